"""BigEarthNet v2: real patches, and every kind of bad file in tiny archives of the same layout."""

import pickle
import time

import bigearthnet_files as files
import numpy as np
import pytest
import rasterio

from smarties import errors
from smarties.data.archives import bigearthnet_v2, nomenclature
from smarties.spectrum import registry

pytest.importorskip("pyarrow")
S1, S2 = files.S1, files.S2
TILE = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP"
EXCLUDED = "metadata_for_patches_with_snow_cloud_or_shadow.parquet"


@pytest.fixture(scope="module")
def real(data_root):
    return data_root / "bigearthnet_samples" / "v2"


def band(root, folder, name, part):
    product = name.rsplit("_", 3 if folder.endswith("S1") else 2)[0]
    with rasterio.open(root / folder / product / name / f"{name}_{part}.tif") as data:
        return data.read(1)


def test_real_optical_patch(real):
    start = time.monotonic()
    source = bigearthnet_v2.BigEarthNetV2(real, sensors=(S2,))
    assert time.monotonic() - start < 60  # 3 s here, for 480,038 rows
    assert len(source) == 1 and len(source.omitted) == 480_037
    assert "metadata row without image" in source.omitted[0].reason
    assert list(source.splits) == ["train", "validation", "test"]
    assert source.splits["validation"] == range(1)
    example = source[0]
    assert example["id"] == f"{TILE}_75_43"
    image = example["images"][S2]
    assert image.dtype == np.uint16 and image.shape == (120, 120, 12)
    for i, name in enumerate(registry.sensor(S2).names):
        pixels = band(real, "BigEarthNet-S2", example["id"], name)
        times = 120 // len(pixels)
        np.testing.assert_array_equal(image[..., i], np.kron(pixels, np.ones((times, times))))
    assert image[..., 1].min() < 1000  # no offset of baseline 04.00
    assert example["valid"][S2].all()
    assert [source.classes[i] for i in np.flatnonzero(example["labels"])] == [
        "Arable land",
        "Pastures",
        "Land principally occupied by agriculture, with significant areas of natural vegetation",
    ]
    assert example["labels"].dtype == np.uint8 and source.classes == nomenclature.CLASSES_19
    assert example["time"] == 1_497_348_631  # 2017-06-13 10:10:31 UTC
    np.testing.assert_allclose(example["location"], (13.5256, 48.2740), atol=1e-3)
    assert example["crs"] == "EPSG:32633"
    np.testing.assert_array_equal(example["transform"], (10, 0, 390_000, 0, -10, 5_348_400))


def test_real_radar_patch(real):
    source = bigearthnet_v2.BigEarthNetV2(real, sensors=(S1,), snow=True, clouds_or_shadows=True)
    assert len(source) == 1 and len(source.omitted) == 549_487
    example = source[0]
    assert example["id"] == f"{TILE}_70_48"
    image = example["images"][S1]
    assert image.dtype == np.float32
    for i, name in enumerate(("VV", "VH")):
        expected = band(
            real, "BigEarthNet-S1", "S1A_IW_GRDH_1SDV_20170613T165043_33UUP_70_48", name
        )
        np.testing.assert_array_equal(image[..., i], expected)
    assert image[..., 0].mean() > image[..., 1].mean()
    assert example["time"] == 1_497_372_643  # of the radar: 16:50:43


def test_real_map_agrees_with_its_labels(real):
    source = bigearthnet_v2.BigEarthNetV2(real, sensors=(), maps="codes")
    example = source[0]
    assert example["id"] == f"{TILE}_26_57" and source.splits["test"] == range(1)
    codes = band(real, "Reference_Maps", example["id"], "reference_map")
    np.testing.assert_array_equal(example["map"], codes)
    assert example["map"].dtype == np.uint16 and set(np.unique(codes)) == {211, 231, 311, 313}
    np.testing.assert_array_equal(nomenclature.map_labels(codes), example["labels"])
    classes = bigearthnet_v2.BigEarthNetV2(real, sensors=(), maps="classes")[0]["map"]
    assert classes.dtype == np.uint8
    assert {(c, i) for c, i in zip(codes.flat, classes.flat, strict=True)} == {
        (211, 2), (231, 4), (311, 8), (313, 10),
    }  # fmt: skip


def test_class_frequencies_are_the_published_ones(real):
    """Counted by the authors, per split of the recommended subset."""
    table = bigearthnet_v2.table(real)
    counts = {
        name: [int(table.labels[table.splits == split, i].sum()) for split in range(3)]
        for i, name in enumerate(nomenclature.CLASSES_19)
    }
    assert counts["Arable land"] == [88_236, 49_737, 50_052]
    assert counts["Mixed forest"] == [78_791, 42_705, 44_284]
    assert counts["Beaches, dunes, sands"] == [738, 426, 152]
    assert counts["Coastal wetlands"] == [670, 610, 117]
    assert np.bincount(table.splits).tolist() == [237_871, 122_342, 119_825]
    assert abs(table.labels.sum(1).mean() - 2.95) < 0.01 and table.labels.sum(1).max() == 11
    assert not table.wrong


ROWS = [
    files.row((3, 40), "train", ["Arable land"]),
    files.row((45, 45), "test", ["Urban fabric", "Marine waters"]),
    files.row((15, 45), "validation", ["Pastures"]),
]
SNOW = files.row((45, 46), "test", ["Inland wetlands"], contains_seasonal_snow=True)
CLOUD = files.row((45, 47), "test", ["Inland wetlands"], contains_cloud_or_shadow=True)


@pytest.fixture
def written(tmp_path):
    """Returns the root of five patches and their bands."""
    bands = files.v2(tmp_path, [*ROWS, SNOW, CLOUD], np.random.default_rng(0))
    files.metadata(tmp_path, ROWS)
    files.metadata(tmp_path, [SNOW, CLOUD], EXCLUDED)
    return tmp_path, bands


def folder(root, kind, number=0):
    entry = ROWS[number]
    if kind == S1:
        return root / "BigEarthNet-S1" / files.RADAR / entry["s1_name"]
    return root / "BigEarthNet-S2" / files.PRODUCT / entry["patch_id"]


def test_pairs_with_maps(written):
    root, bands = written
    source = bigearthnet_v2.BigEarthNetV2(root, maps="classes")
    assert {split: len(part) for split, part in source.splits.items()} == {
        "train": 1, "validation": 1, "test": 1,
    }  # fmt: skip
    assert not source.omitted and source.sensors == (S2, S1)
    for example in (source[i] for i in range(3)):
        patch = example["id"]
        for i, name in enumerate(("VV", "VH")):
            expected = bands[patch, S1][name]
            np.testing.assert_array_equal(example["images"][S1][..., i], expected)
        np.testing.assert_array_equal(example["images"][S2][..., 1], bands[patch, S2]["B02"])
        assert example["map"][0, 0] == 255 and (example["map"].flat[1:] == 2).all()
    assert source[source.splits["test"][0]]["labels"].nonzero()[0].tolist() == [0, 18]
    copy = pickle.loads(pickle.dumps(source))
    assert copy.identity() == source.identity() and copy[1]["id"] == source[1]["id"]
    assert source.identity() != bigearthnet_v2.BigEarthNetV2(root).identity()


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"snow": True}, [SNOW]),
        ({"clouds_or_shadows": True}, [CLOUD]),
        ({"snow": True, "clouds_or_shadows": True}, [SNOW, CLOUD]),
    ],
)
def test_snow_and_clouds_only_when_asked_for(written, options, more):
    source = bigearthnet_v2.BigEarthNetV2(written[0], **options)
    names = [source.name(source._items[i]) for i in source.splits["test"]]
    assert names == [ROWS[1]["patch_id"], *(entry["patch_id"] for entry in more)]


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
def test_coarse_bands_land_on_the_ten_metre_grid(written, resampling):
    """A ramp stays where it is; only nearest keeps its steps."""
    root, _ = written
    ramp = 1000 + np.arange(120)[:, None] * 10.0 + np.arange(120) * 3.0
    for name, side in files.SIDES.items():
        k = 120 // side
        pixels = ramp.reshape(side, k, side, k).mean((1, 3)).round().astype(np.uint16)
        path = folder(root, S2)
        files.tiff(path / f"{path.name}_{name}.tif", pixels, files.corner(3, 40))
    source = bigearthnet_v2.BigEarthNetV2(root, resampling=resampling)
    image = source[0]["images"][S2][10:-10, 10:-10].astype(float)
    error = np.abs(image - ramp[10:-10, 10:-10, None]).max((0, 1))
    coarse = error[list(registry.sensor(S2).index(("B01", "B09")))]
    assert (coarse > 25).all() if resampling == "nearest" else (error < 3).all()


def test_no_data_becomes_invalid_in_all_bands(written):
    root, bands = written
    path, place = folder(root, S2), files.corner(3, 40)
    coarse = bands[path.name, S2]["B01"]
    coarse[0, 1] = 0
    files.tiff(path / f"{path.name}_B01.tif", coarse, place, nodata=0)
    echo = folder(root, S1)
    pixels = bands[path.name, S1]["VH"]
    pixels[5, 7] = np.nan
    files.tiff(echo / f"{echo.name}_VH.tif", pixels, place)
    for resampling in ("nearest", "bilinear"):
        example = bigearthnet_v2.BigEarthNetV2(root, resampling=resampling)[0]
        assert np.argwhere(~example["valid"][S1]).tolist() == [[5, 7]]
        expected = np.ones((120, 120), bool)
        expected[:6, 6:12] = False
        np.testing.assert_array_equal(example["valid"][S2], expected)
        assert (example["images"][S2][~expected] == 0).all()
        assert example["images"][S2][expected].min() >= 200  # nothing is mixed with no data
        assert (example["images"][S1][5, 7] == 0).all()


def broken(root, what):
    """Spoils the first patch; returns the file to be named and the reason."""
    path, echo, place = folder(root, S2), folder(root, S1), files.corner(3, 40)
    rng = np.random.default_rng(1)
    first = path / f"{path.name}_B03.tif"
    if what == "truncated":
        first.write_bytes(first.read_bytes()[:5000])
        return first, "truncated"
    if what == "missing":
        first.unlink()
        return first, "missing"
    if what == "size":
        file = path / f"{path.name}_B01.tif"
        files.tiff(file, np.full((30, 30), 900, np.uint16), place)
        return file, "30x30 pixels, but B01 has 20x20"
    if what == "dtype":
        files.tiff(first, np.full((120, 120), 900.0, np.float32), place)
        return first, "float32, but B03 is stored as uint16"
    if what == "band elsewhere":
        files.tiff(first, np.full((120, 120), 900, np.uint16), files.corner(4, 40))
        return first, "does not overlap"
    if what == "vh":
        vv = (echo / f"{echo.name}_VV.tif").read_bytes()
        (echo / f"{echo.name}_VH.tif").write_bytes(vv)
        return echo / f"{echo.name}_VV.tif", "VH equals VV"
    if what == "linear":
        for name in ("VV", "VH"):
            pixels = 10 ** (rng.normal(-14, 3, (120, 120)) / 10)
            files.tiff(echo / f"{echo.name}_{name}.tif", pixels.astype(np.float32), place)
        return path, "linear power"
    if what == "crs":
        files.radar(echo, (3, 40), rng, crs="EPSG:32634")
        return echo, "its CRS is EPSG:32634"
    if what == "overlap":
        files.radar(echo, (60, 60), rng)
        return echo, "does not overlap"
    if what == "shifted":
        files.radar(echo, (3.5, 40), rng)
        return echo, "differs from"
    map_folder = root / "Reference_Maps" / files.PRODUCT / path.name
    files.reference_map(map_folder, (3, 40), np.full((120, 120), 150, np.uint16))
    return map_folder, "150 is no CORINE"


@pytest.mark.parametrize(
    "what",
    ["truncated", "missing", "size", "dtype", "band elsewhere", "vh", "linear", "crs", "overlap",
     "shifted", "map"],
)  # fmt: skip
def test_bad_files_are_named(written, what):
    root, _ = written
    file, reason = broken(root, what)
    source = bigearthnet_v2.BigEarthNetV2(root, maps="classes")
    with pytest.raises(errors.Unreadable) as error:
        source[0]
    assert file.name in str(error.value) and reason in str(error.value)
    assert source[1]["id"] != file.name  # the others are as before


def test_bad_rows_are_omitted_and_named(written):
    root, _ = written
    other = files.row((50, 50), "test", ["Pastures"])
    rows = [
        *ROWS,
        ROWS[0],
        files.row((45, 46), "test", ["Pasture"]),
        files.row((45, 47), "val", ["Pastures"]),
        other,
        {**other, "patch_id": "../../x", "s1_name": "../x"},
    ]
    files.metadata(root, rows)
    source = bigearthnet_v2.BigEarthNetV2(root)
    assert len(source) == 3
    reasons = {omission.reason for omission in source.omitted}
    assert len(source.omitted) == 5
    for part in ("did you mean 'Pastures'", "unknown split 'val'", "appears twice",
                 f"metadata row without image: no {other['patch_id']}"):  # fmt: skip
        assert any(part in reason for reason in reasons), part


def test_images_without_a_row_are_told(written):
    root, _ = written
    files.optical(root / "BigEarthNet-S2" / "x" / "stray", (1, 1), np.random.default_rng(0))
    assert not bigearthnet_v2.BigEarthNetV2(root).omitted
    source = bigearthnet_v2.BigEarthNetV2(root, snow=True, clouds_or_shadows=True)
    assert [(o.file, o.reason) for o in source.omitted] == [
        ("stray", f"image of {S2} without metadata row")
    ]


def test_what_cannot_be_opened_says_why(written, tmp_path_factory):
    root, _ = written
    opened = bigearthnet_v2.BigEarthNetV2
    with pytest.raises(errors.UserError, match="resampling 'near'"):
        opened(root, resampling="near")
    with pytest.raises(errors.UserError, match="did you mean 'classes'"):
        opened(root, maps="class")
    with pytest.raises(errors.UserError, match="nothing to read"):
        opened(root, sensors=())
    with pytest.raises(errors.UserError, match="band of BigEarthNet in sentinel2-l1c 'B10'"):
        opened(root, sensors=("sentinel2-l1c",))
    with pytest.raises(errors.UserError, match=r"metadata\.parquet: missing"):
        opened(tmp_path_factory.mktemp("empty"))
    file = root / "metadata.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.UserError, match=r"metadata\.parquet: missing, truncated"):
        opened(root)
    files.metadata(root, [{k: v for k, v in row.items() if k != "labels"} for row in ROWS])
    with pytest.raises(errors.UserError, match=r"metadata\.parquet: no column labels"):
        opened(root)
    files.metadata(root, [files.row((9, 9), "train", ["Pastures"])])
    with pytest.raises(errors.UserError, match="no example of BigEarthNetV2, e.g. .*_09_09"):
        opened(root)
    with pytest.raises(errors.UserError, match="no such folder: .*Reference_Maps"):
        (root / "Reference_Maps").rename(root / "maps")
        opened(root, maps="codes")
