"""A described folder: lazily cut tiles, labels, maps, splits; what is wrong is named by file."""

import pickle

import numpy as np
import pytest
import rasterio
import yaml

from smarties import errors
from smarties.data import geotiff
from smarties.data.archives import described
from smarties.spectrum import registry

S1, S2 = "sentinel1-grd", "sentinel2-l2a"
PAIR = {S2: "S2/*.tif", S1: "S1/{key}.tif"}


def save(file, pixels, *, gsd=10.0, crs="EPSG:32632", corner=(500_000, 5_000_000), **profile):
    """Writes [H, W, C] as a GeoTIFF whose first pixel begins at the corner."""
    file.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = pixels.shape
    profile |= {"crs": crs, "transform": rasterio.Affine(gsd, 0, corner[0], 0, -gsd, corner[1])}
    with rasterio.open(
        file,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=count,
        dtype=pixels.dtype,
        **profile,
    ) as data:
        data.write(np.moveaxis(pixels, -1, 0))


def describe(root, **said):
    (root / "dataset.yaml").write_text(yaml.safe_dump({"sensors": PAIR, **said}))
    return root


@pytest.fixture
def pairs(tmp_path):
    """Scenes p, q, r of 40x50 pixels, land cover, labels; returns the root and the pixels."""
    rng, written = np.random.default_rng(0), {}
    for name in "pqr":
        for part, pixels in (
            ("S2", rng.integers(200, 4000, (40, 50, 12)).astype(np.uint16)),
            ("S1", rng.normal(-14, 3, (40, 50, 2)).astype(np.float32)),
            ("maps", rng.choice([3, 7], (40, 50, 1)).astype(np.uint8)),
        ):
            save(tmp_path / part / f"{name}.tif", pixels)
            written[part, name] = pixels
    (tmp_path / "labels.csv").write_text("scene,cover\np,crop;water\nq,crop\nr,forest\n")
    return tmp_path, written


def test_tiles_cover_scenes_and_end_where_they_end(pairs):
    root, written = pairs
    source = described.Described(describe(root, tile=32))
    names = [f"{s}@{r},{c}" for s in "pqr" for r in (0, 32) for c in (0, 32)]
    assert [source[i]["id"] for i in range(len(source))] == names
    assert source.splits == {"all": range(12)} and not source.omitted
    last = source[3]  # 8 rows and 18 columns are left
    assert last["images"][S2].shape == (32, 32, 12) and last["images"][S2].dtype == np.uint16
    np.testing.assert_array_equal(last["images"][S2][:8, :18], written["S2", "p"][32:, 32:])
    np.testing.assert_array_equal(last["images"][S1][:8, :18], written["S1", "p"][32:, 32:])
    for sensor in (S1, S2):
        assert last["valid"][sensor][:8, :18].all() and last["valid"][sensor].sum() == 8 * 18
        assert not last["images"][sensor][~last["valid"][sensor]].any()
    assert last["crs"] == "EPSG:32632"
    assert last["transform"].tolist() == [10, 0, 500_320, 0, -10, 4_999_680]
    np.testing.assert_allclose(last["location"], (9.006, 45.149), atol=0.002)
    assert np.isnan(last["time"])
    copy = pickle.loads(pickle.dumps(source))
    assert copy.identity() == source.identity()
    np.testing.assert_array_equal(copy[7]["images"][S2], source[7]["images"][S2])


def test_labels_maps_and_splits(pairs):
    root, written = pairs
    said = {
        "labels": {"file": "labels.csv", "key": "scene", "column": "cover", "separator": ";"},
        "maps": {"files": "maps/*.tif", "classes": {3: "low", 7: "high"}},
        "splits": {"train": ["p", "r"], "test": "q"},
        "tile": 32,
    }
    source = described.Described(describe(root, **said))
    assert source.classes == ("crop", "forest", "water")
    assert {name: len(part) for name, part in source.splits.items()} == {"train": 8, "test": 4}
    by_scene = {source[i]["id"][0]: source[i]["labels"].tolist() for i in range(len(source))}
    assert by_scene == {"p": [1, 0, 1], "q": [1, 0, 0], "r": [0, 1, 0]}
    example = source[source.splits["test"].start]
    assert example["map"].dtype == np.uint8
    np.testing.assert_array_equal(example["map"], written["maps", "q"][:32, :32, 0] == 7)
    corner = source[source.splits["test"].stop - 1]["map"]
    assert (corner[8:] == 255).all() and (corner[:8, :18] < 2).all()


def test_one_class_each_and_whole_scenes(pairs):
    root, written = pairs
    (root / "labels.csv").write_text("scene,cover\np,crop\nq,crop\nr,forest\nz,crop\n")
    labels = {"file": "labels.csv", "column": "cover", "classes": ["forest", "crop"]}
    source = described.Described(describe(root, labels=labels))
    assert [source[i]["id"] for i in range(3)] == ["p", "q", "r"]
    assert [source[i]["labels"].item() for i in range(3)] == [1, 1, 0]
    assert source[0]["labels"].dtype == np.int64
    np.testing.assert_array_equal(source[1]["images"][S1], written["S1", "q"])
    assert [(o.file, o.reason) for o in source.omitted] == [
        ("z", "a row of labels.csv without an image")
    ]
    labels["classes"] = ["forest", "crops"]
    with pytest.raises(
        errors.Unreadable, match="labels.csv: p: unknown label 'crop': did you mean"
    ):
        described.Described(describe(root, labels=labels))[0]


def test_opening_reads_no_pixels(pairs, monkeypatch):
    root, _ = pairs
    read = []
    monkeypatch.setattr(geotiff, "read", lambda *a: read.append(a))
    described.Described(describe(root, tile=32))
    monkeypatch.setattr(geotiff, "inspect", lambda *a: read.append(a))
    described.Described(describe(root))
    assert not read


def test_coarser_band_files_and_a_sensor_of_ones_own(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "{name: mine, bands: [{name: A, center: 600, fwhm: 30, gsd: 10, scale: 1.0e-4},"
        " {name: B, center: 850, fwhm: 30, gsd: 20, scale: 1.0e-4}], defaults: {nodata: 0,"
        " clip: [0, 5000], mean: 0.4, std: 0.2, statistics: made up, dtype: uint16}}"
    )
    fine = np.random.default_rng(0).integers(1, 3000, (16, 16, 1)).astype(np.uint16)
    coarse = np.arange(1, 65, dtype=np.uint16).reshape(8, 8, 1)
    fine[2, 5] = 0
    save(tmp_path / "X" / "one" / "A.tif", fine)
    save(tmp_path / "X" / "one" / "B.tif", coarse, gsd=20)
    save(tmp_path / "X" / "two" / "A.tif", fine)
    described_as = describe(tmp_path, sensors={"mine.yaml": "X/{key}/{band}.tif"}, tile=8)
    source = described.Described(described_as)
    assert len(source) == 4 and source.sensors == ("mine",)
    assert [o.file for o in source.omitted] == ["two"]
    assert "band B" in source.omitted[0].reason
    example = source[1]
    np.testing.assert_array_equal(example["images"]["mine"][..., 0], fine[:8, 8:, 0])
    twice = np.kron(coarse[:4, 4:, 0], np.ones((2, 2), int))
    np.testing.assert_array_equal(example["images"]["mine"][..., 1], twice)
    assert np.argwhere(~source[0]["valid"]["mine"]).tolist() == [[2, 5]]
    for change, message in (
        ({"crs": "EPSG:32633"}, "B.tif: EPSG:32633, but .*A.tif has EPSG:32632"),
        ({"corner": (500_100.0, 5_000_000.0)}, "B.tif: begins elsewhere than .*A.tif"),
    ):
        save(tmp_path / "X" / "one" / "B.tif", coarse, gsd=20, **change)
        whole = describe(tmp_path, sensors={"mine.yaml": "X/{key}/{band}.tif"})
        with pytest.raises(errors.Unreadable, match=message):
            described.Described(whole)[0]
    save(tmp_path / "X" / "one" / "B.tif", coarse.astype(np.float32), gsd=20)
    source = described.Described(describe(tmp_path, sensors={"mine.yaml": "X/{key}/{band}.tif"}))
    with pytest.raises(errors.Unreadable, match="B.tif: float32, but .*A.tif is uint16"):
        source[0]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"sensor": {}}, "unknown key of .*dataset.yaml 'sensor': did you mean 'sensors'"),
        ({"sensors": {"sentinel2": "S2/*.tif"}}, "unknown sensor 'sentinel2': did you mean"),
        ({"sensors": {S2: "../*.tif"}}, "leaves its root"),
        ({"sensors": {S2: "/tmp/*.tif"}}, "leaves its root"),
        ({"sensors": {"../x.yaml": "S2/*.tif"}}, "leaves its root"),
        ({"sensors": {S2: 3}}, "pattern 3 is no text"),
        ({"sensors": []}, "sensors must be a mapping"),
        ({"labels": {"file": "labels.csv"}}, "labels in .* has no 'column'"),
        ({"labels": {"file": "../l.csv", "column": "cover"}}, "leaves its root"),
        ({"labels": {"file": "labels.csv", "column": "covers"}}, "did you mean 'cover'"),
        ({"labels": {"file": "labels.csv", "colunm": "c"}}, "unknown key of labels in .* 'colunm'"),
        ({"maps": {"files": "maps/*.tif"}}, "maps in .* has no 'classes'"),
        ({"splits": {"a": ["p"], "b": ["p"]}}, "splits: p is in a and in b"),
        ({"resampling": "cubics"}, "did you mean 'cubic'"),
        ({"match": "keys"}, "did you mean 'key'"),
        ({"tile": "big"}, "tile is 'big'"),
    ],
)
def test_impossible_descriptions(pairs, said, message):
    with pytest.raises(errors.UserError, match=message) as told:
        described.Described(describe(pairs[0], **said))
    assert "\n" not in str(told.value)


def test_two_sensors_of_one_name(pairs):
    root, _ = pairs
    (root / "own.yaml").write_text("{name: sentinel2-l2a, title: mine, extends: sentinel2-l2a}")
    said = {S2: "S2/*.tif", "own.yaml": "S2/*.tif"}
    with pytest.raises(errors.UserError, match="sensor sentinel2-l2a is there twice"):
        described.Described(describe(root, sensors=said))


def test_a_repeated_or_missing_row(pairs):
    root, _ = pairs
    labels = {"file": "labels.csv", "column": "cover"}
    (root / "labels.csv").write_text("scene,cover\np,a\nq,a\np,b\n")
    with pytest.raises(errors.UserError, match="labels.csv: line 4: p appears twice"):
        described.Described(describe(root, labels=labels))
    (root / "labels.csv").write_text("scene,cover\np,a\nq,a\n")
    source = described.Described(describe(root, labels=labels, splits={"train": ["p", "x"]}))
    assert [(o.file, o.reason) for o in source.omitted] == [
        ("r", "no row of labels.csv names it"),
        ("q", "in no split"),
        ("x", "listed in a split without an image"),
    ]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("truncated", "S2/p.tif: missing, truncated or no image"),
        ("count", "S2/p.tif: 11 bands, but sentinel2-l2a has 12"),
        ("size", "are no grids of one ground"),
        ("crs", "co-registered images share one CRS"),
        ("power", "p: values .* look like linear power"),
        ("class", "maps/p.tif: unknown label '5'"),
        ("map", "S.*maps/p.tif|maps/p.tif"),
    ],
)
def test_what_is_wrong_is_named_when_read(pairs, what, message):
    root, written = pairs
    optical, radar, cover = (written[part, "p"].copy() for part in ("S2", "S1", "maps"))
    file = root / "S2" / "p.tif"
    if what == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif what == "count":
        save(file, optical[..., 1:])
    elif what == "size":
        save(file, optical[:30])
    elif what == "crs":
        save(file, optical, crs="EPSG:32633")
    elif what == "power":
        save(root / "S1" / "p.tif", 10 ** (radar / 10))
    elif what == "class":
        cover[4, 4] = 5
        save(root / "maps" / "p.tif", cover)
    elif what == "map":
        save(root / "maps" / "p.tif", cover[:20])
    maps = {"files": "maps/*.tif", "classes": {3: "low", 7: "high"}}
    source = described.Described(describe(root, maps=maps))
    with pytest.raises(errors.Unreadable, match=message) as told:
        source[0]
    assert "\n" not in str(told.value)
    assert source[1]["map"].shape == (40, 50)


def test_headers_that_cannot_be_cut_are_omitted(pairs):
    root, _ = pairs
    (root / "S1" / "q.tif").write_bytes(b"no image")
    (root / "S2" / "r.tif").unlink()
    source = described.Described(describe(root, tile=64))
    assert len(source) == 1
    assert source.omitted[0].file.endswith("S1/r.tif") and "only sentinel1" in str(source.omitted)
    assert source.omitted[1].file == "q" and "S1/q.tif: missing" in source.omitted[1].reason


def test_real_pairs(data_root, tmp_path):
    """All tiles of five real scenes put together again are the files, as rasterio reads them."""
    root = tmp_path / "terramesh"
    root.mkdir()
    for part in ("S2L2A", "S1RTC", "LULC"):
        (root / part).mkdir()
        for file in (data_root / "s1s2_terramesh" / part).glob("*.tif"):
            (root / part / file.name).write_bytes(file.read_bytes())
    said = {
        "sensors": {S2: "S2L2A/*.tif", S1: "S1RTC/*.tif"},
        "maps": {"files": "LULC/*.tif", "classes": {i: f"class {i}" for i in range(10)}},
        "tile": 96,
    }
    source = described.Described(describe(root, **said))
    assert len(source) == 5 * 9 and not source.omitted
    whole = {}
    for i in range(len(source)):
        example = source[i]
        name, place = example["id"].split("@")
        row, column = map(int, place.split(","))
        for sensor, part in ((S2, "S2L2A"), (S1, "S1RTC")):
            board = whole.setdefault((part, name), np.zeros((288, 288, 12), np.float64))
            image = example["images"][sensor]
            board[row : row + 96, column : column + 96, : image.shape[-1]] = image
    assert registry.sensor(S2).names[8] == "B8A"
    for (part, name), board in whole.items():
        with rasterio.open(root / part / f"{name}.tif") as data:
            pixels = np.moveaxis(data.read(), 0, -1)
        np.testing.assert_array_equal(board[:224, :224, : pixels.shape[-1]], pixels)
        assert not board[224:].any() and not board[:, 224:].any()
