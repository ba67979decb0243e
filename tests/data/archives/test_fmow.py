"""fMoW: pictures and composites joined by time, tables with gaps, and broken files."""

import json
import pickle

import layouts
import numpy as np
import PIL.Image
import pytest

from smarties import errors
from smarties.data.archives import fmow

HEADER = "category,location_id,image_id,timestamp,polygon\n"


def picture(root, split, name, shape=(40, 30), told=None):
    category = name.rsplit("_", 2)[0]
    folder = root / "fmow-rgb" / split / category / name.rpartition("_")[0]
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*shape, 3), (200, 100, 50), np.uint8)
    PIL.Image.fromarray(pixels).save(folder / f"{name}_rgb.jpg", quality=100, subsampling=0)
    if told is not None:
        (folder / f"{name}_rgb.json").write_text(json.dumps(told))
    return folder / f"{name}_rgb.jpg"


def composite(root, split, name, seed=0, size=20, bands=13):
    category = name.rsplit("_", 2)[0]
    file = root / "fmow-sentinel" / split / category / name.rpartition("_")[0] / f"{name}.tif"
    pixels = layouts.optical(np.random.default_rng(seed), size, bands)
    layouts.tif(file, pixels, gsd=1e-4, corner=(9.0, 45.0), crs="EPSG:4326")
    return pixels


@pytest.fixture
def world(tmp_path):
    """One airport and one zoo for training; returns the root and composites by name."""
    rows, written = HEADER, {}
    for i, (name, day) in enumerate(
        [
            ("airport_0_3", "2016-01-10"),
            ("airport_0_100", "2016-03-01"),
            ("zoo_7_0", "2017-06-01"),
            ("zoo_7_1", "2017-06-20"),
        ]
    ):
        category, place, image = name.split("_")
        rows += f'{category},{place},{image},{day}T10:00:00Z,"POLYGON ((9 45, 9 44))"\n'
        written[name] = composite(tmp_path, "train", name, i)
    (tmp_path / "fmow-sentinel" / "train.csv").write_text(rows)
    for name in ("airport_0_1", "airport_0_3", "zoo_7_0", "zoo_7_1"):
        picture(tmp_path, "train", name, told={"timestamp": "2016-02-20T00:00:00Z"})
    return tmp_path, written


def open_(root, **options):
    return fmow.Fmow(root, splits=("train",), sizes=(16, 32), **options)


def test_pictures_are_joined_with_the_composite_of_their_time(world):
    root, written = world
    source = open_(root)
    ids = [source[i]["id"] for i in range(len(source))]
    assert ids == ["train/airport_0_3", "train/zoo_7_0", "train/zoo_7_1"]
    for i, (label, name) in enumerate(((0, "airport_0_3"), (61, "zoo_7_0"), (61, "zoo_7_1"))):
        example = source[i]
        assert example["labels"] == label
        np.testing.assert_array_equal(example["images"]["sentinel2-l1c"], written[name][2:18, 2:18])
        assert example["valid"]["sentinel2-l1c"].all()
        rgb, valid = example["images"]["rgb"], example["valid"]["rgb"]
        assert rgb.shape == (32, 32, 3) and valid.sum() == 32 * 30 and not rgb[~valid].any()
        np.testing.assert_allclose(rgb[valid].mean(axis=0), (200, 100, 50), atol=2)
        np.testing.assert_allclose(example["location"], (9.001, 44.999), atol=1e-5)
    assert source[0]["time"] == 1_452_420_000
    said = [o.file for o in source.omitted]
    assert said == ["fmow-rgb/train/airport/airport_0/airport_0_1_rgb.jpg"]
    copy = pickle.loads(pickle.dumps(source))
    assert copy.identity() == source.identity() and copy[2]["id"] == ids[2]


def test_older_pictures_take_their_time_from_the_file_beside(world):
    root, written = world
    source = open_(root, older=True)
    assert source[0]["id"] == "train/airport_0_1" and not source.omitted
    np.testing.assert_array_equal(
        source[0]["images"]["sentinel2-l1c"], written["airport_0_100"][2:18, 2:18]
    )
    assert len(open_(root, older=True, days=5)) == 3
    sidecar = root / "fmow-rgb/train/airport/airport_0/airport_0_1_rgb.json"
    sidecar.write_text("[1]")
    assert str(sidecar) in [o.file for o in open_(root, older=True).omitted]


def test_a_lost_composite_is_replaced_by_the_next_in_time(world):
    root, written = world
    (root / "fmow-sentinel/train/airport/airport_0/airport_0_3.tif").unlink()
    source = open_(root, days=60)
    np.testing.assert_array_equal(
        source[0]["images"]["sentinel2-l1c"], written["airport_0_100"][2:18, 2:18]
    )
    reasons = {o.file: o.reason for o in source.omitted}
    assert reasons["fmow-sentinel/train/airport/airport_0/airport_0_3.tif"] == (
        "a row without an image"
    )


def test_rows_that_are_wrong_are_omitted_by_line(world):
    root, _ = world
    table = root / "fmow-sentinel" / "train.csv"
    table.write_text(
        table.read_text() + "zooo,1,1,2017-06-01T10:00:00Z,\n../../x,1,1,2017-06-01T10:00:00Z,\n"
        "zoo,x,1,2017-06-01T10:00:00Z,\nzoo,1,1,today,\nzoo,7,0,2017-06-01T10:00:00Z,\n"
    )
    source = open_(root)
    reasons = {o.file: o.reason for o in source.omitted}
    assert "did you mean 'zoo'?" in reasons["train.csv, line 6"]
    assert "unknown label '../../x'" in reasons["train.csv, line 7"]
    assert reasons["train.csv, line 8"] == reasons["train.csv, line 9"]
    assert reasons["train.csv, line 10"] == "the id appears twice"
    assert len(source) == 3


def test_bad_files_are_named(world):
    root, _ = world
    source = open_(root)
    jpeg = root / "fmow-rgb/train/airport/airport_0/airport_0_3_rgb.jpg"
    layouts.halve(jpeg)
    with pytest.raises(errors.Unreadable, match="airport_0_3_rgb.jpg: missing, truncated"):
        source[0]
    composite(root, "train", "zoo_7_0", bands=1)
    with pytest.raises(errors.Unreadable, match="zoo_7_0.tif: 1 bands, but sentinel2-l1c has 13"):
        source[1]
    layouts.halve(root / "fmow-sentinel/train/zoo/zoo_7/zoo_7_1.tif")
    with pytest.raises(errors.Unreadable, match="zoo_7_1.tif: missing, truncated"):
        source[2]


def test_tables_and_splits(world):
    root, _ = world
    assert len(set(fmow.Fmow.CLASSES)) == 62
    assert list(fmow.Fmow.CLASSES) == sorted(fmow.Fmow.CLASSES)
    with pytest.raises(errors.UserError, match="val.csv: missing"):
        fmow.Fmow(root)
    with pytest.raises(errors.UserError, match="unknown split of fMoW 'trian'"):
        fmow.Fmow(root, splits=("trian",))
    (root / "fmow-sentinel" / "val.csv").write_text("category,image_id\n")
    with pytest.raises(errors.UserError, match="val.csv: no column location_id, timestamp"):
        fmow.Fmow(root)
    (root / "fmow-sentinel" / "val.csv").write_text(HEADER)
    assert fmow.Fmow(root).splits["val"] == range(3, 3)
    with pytest.raises(errors.UserError, match="no example of Fmow"):
        fmow.Fmow(root, splits=("val",))
