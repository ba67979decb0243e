"""The LMDB gives the examples of the TIFF files it was made of, in any process, and no pickle."""

import multiprocessing
import pickle
import warnings

import bigearthnet_files as files
import numpy as np
import pytest
import rasterio
from safetensors import numpy as tensors

from smarties import errors
from smarties.data.archives import bigearthnet_lmdb, bigearthnet_v2

lmdb = pytest.importorskip("lmdb")
pyarrow = pytest.importorskip("pyarrow")
compute = pytest.importorskip("pyarrow.compute")
parquet = pytest.importorskip("pyarrow.parquet")
S1, S2 = files.S1, files.S2
COLUMNS = ("patch_id", "s1_name")
ROWS = [
    files.row((3, 40), "train", ["Arable land"]),
    files.row((45, 5), "test", ["Urban fabric", "Marine waters"]),
]


def pack(root, values):
    """Writes {key: {band: [h, w]} or bytes} as rico-hdl does."""
    with lmdb.open(str(root), map_size=1 << 26) as environment:
        with environment.begin(write=True) as transaction:
            for key, value in values.items():
                blob = value if isinstance(value, bytes) else tensors.save(value)
                transaction.put(key.encode(), blob)


def convert(source):
    """Returns the values of all TIFF files below a folder of the layout of v2."""
    values = {}
    for file in sorted(source.glob("*/*/*/*.tif")):
        with rasterio.open(file) as data:
            pixels = data.read(1)
        if file.stem.endswith("_reference_map"):
            values[file.stem] = {"Data": pixels}
        else:
            values.setdefault(file.parent.name, {})[file.stem.rsplit("_", 1)[1]] = pixels
    return values


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, dict):
            assert_same(value, second[key])
        elif isinstance(value, str):
            assert value == second[key]
        else:
            np.testing.assert_array_equal(value, second[key], key)
            assert value.dtype == second[key].dtype


@pytest.mark.parametrize(
    ("sensors", "maps"), [((S2,), None), ((S1,), None), ((), "codes"), ((), "classes")]
)
def test_real_patches(data_root, tmp_path, sensors, maps):
    real = data_root / "bigearthnet_samples" / "v2"
    values = convert(real)
    shapes = {
        band: pixels.shape for v in values.values() if "B01" in v for band, pixels in v.items()
    }
    assert shapes == {band: (side, side) for band, side in files.SIDES.items()}
    pack(tmp_path, values)
    rows = parquet.read_table(real / "metadata.parquet")
    names = [name.removesuffix("_reference_map") for name in values]
    here = compute.or_(*(compute.is_in(rows[c], pyarrow.array(names)) for c in COLUMNS))
    parquet.write_table(rows.filter(here), tmp_path / "metadata.parquet")
    options = {"sensors": sensors, "maps": maps, "resampling": "bilinear"}
    packed = bigearthnet_lmdb.BigEarthNetLMDB(tmp_path, **options)
    loose = bigearthnet_v2.BigEarthNetV2(real, metadata=tmp_path, **options)
    assert len(packed) == len(loose) == 1
    assert_same(packed[0], loose[0])


@pytest.fixture
def written(tmp_path):
    """Returns folders of the TIFF files and of the LMDB of the same two patches."""
    loose, packed = tmp_path / "tiffs", tmp_path / "lmdb"
    files.v2(loose, ROWS, np.random.default_rng(0))
    for root in (loose, packed):
        files.metadata(root, ROWS)
    pack(packed, convert(loose))
    return loose, packed


def test_pairs(written):
    loose, packed = written
    for resampling in ("nearest", "cubic"):
        options = {"maps": "classes", "resampling": resampling}
        first = bigearthnet_v2.BigEarthNetV2(loose, **options)
        second = bigearthnet_lmdb.BigEarthNetLMDB(packed, **options)
        assert first.splits == second.splits
        for i in range(2):
            assert_same(first[i], second[i])


def names(source):
    return [source[i]["id"] for i in range(len(source))]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_other_processes_open_their_own(written, start):
    source = bigearthnet_lmdb.BigEarthNetLMDB(written[1])
    again = bigearthnet_lmdb.BigEarthNetLMDB(written[1])  # a second source of one file
    copy = pickle.loads(pickle.dumps(source))
    expected = [row["patch_id"] for row in ROWS]
    assert names(source) == names(again) == names(copy) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking a process with threads
        with multiprocessing.get_context(start).Pool(2) as pool:
            assert pool.map(names, [source, source, copy]) == [expected] * 3


def test_pickles_are_refused_unread(tmp_path):
    """A pickle that would leave a trace if it were loaded."""
    trace = tmp_path / "trace"

    class Harm:
        def __reduce__(self):
            return (type(trace).touch, (trace,))

    for protocol in (2, 4, 5):
        root = tmp_path / str(protocol)
        files.metadata(root, ROWS)
        pack(root, {ROWS[0]["s1_name"]: pickle.dumps(Harm(), protocol)})
        with pytest.raises(errors.UserError, match="pickled objects"):
            bigearthnet_lmdb.BigEarthNetLMDB(root)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Harm()))
    assert trace.exists()


BAD = {
    "truncated": (lambda v: tensors.save(v)[:999], "truncated or no safetensors"),
    "pickle": (lambda v: pickle.dumps(v), "pickled objects"),
    "band": (lambda v: {k: x for k, x in v.items() if k != "B07"}, "no band B07, only B01"),
    "size": (lambda v: {**v, "B09": np.full((30, 30), 9, np.uint16)}, "B09 has 20x20"),
    "dtype": (lambda v: {**v, "B09": v["B09"].astype(np.int32)}, "int32, but B09 is stored as"),
    "volume": (lambda v: {**v, "B09": v["B09"][None]}, "band B09 is no image"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_values_are_named(written, what):
    loose, packed = written
    spoil, reason = BAD[what]
    key = ROWS[1]["patch_id"]
    pack(packed, {key: spoil(convert(loose)[key])})
    source = bigearthnet_lmdb.BigEarthNetLMDB(packed)
    with pytest.raises(errors.UserError) as error:
        source[1]
    assert key in str(error.value) and reason in str(error.value)
    assert source[0]["id"] == ROWS[0]["patch_id"]


def test_vh_equal_to_vv_is_refused(written):
    loose, packed = written
    key = ROWS[0]["s1_name"]
    value = convert(loose)[key]
    pack(packed, {key: {**value, "VH": value["VV"]}})
    with pytest.raises(errors.Unreadable, match=f"{key}.*VH equals VV"):
        bigearthnet_lmdb.BigEarthNetLMDB(packed)[0]


def test_missing_keys_and_files(written, tmp_path):
    _, packed = written
    with lmdb.open(str(packed)) as environment, environment.begin(write=True) as transaction:
        transaction.delete(ROWS[0]["s1_name"].encode())
    source = bigearthnet_lmdb.BigEarthNetLMDB(packed)
    assert len(source) == 1 and ROWS[0]["s1_name"] in source.omitted[0].reason
    assert len(bigearthnet_lmdb.BigEarthNetLMDB(packed, sensors=(S2,))) == 2
    with pytest.raises(errors.UserError, match="no such LMDB"):
        bigearthnet_lmdb.BigEarthNetLMDB(tmp_path / "none", metadata=packed)
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.UserError, match="no LMDB"):
        bigearthnet_lmdb.BigEarthNetLMDB(tmp_path / "empty", metadata=packed)
    file = tmp_path / "broken.mdb"
    file.write_bytes(b"no LMDB" * 999)
    with pytest.raises(errors.UserError, match=r"broken\.mdb: truncated or no LMDB"):
        bigearthnet_lmdb.BigEarthNetLMDB(file, metadata=packed)
