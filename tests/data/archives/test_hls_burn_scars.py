"""HLS Burn Scars: published splits, reflectance, masks and bad files."""

import pickle

import layouts
import numpy as np
import pytest

from smarties import errors
from smarties.data.archives import ground, hls_burn_scars

ONE = "subsetted_512x512_HLS.S30.T10SDH.2020248.v1.4"
TWO = "subsetted_512x512_HLS.S30.T11SKU.2018001.v1.4"


def scene(root, split, name, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0.01, 0.4, (512, 512, 6)).astype(np.float32)
    mask = rng.integers(-1, 2, (512, 512)).astype(np.int16)
    layouts.tif(root / split / f"{name}_merged.tif", pixels, gsd=30)
    layouts.tif(root / split / f"{name}.mask.tif", mask, gsd=30)
    return pixels, mask


@pytest.fixture
def world(tmp_path):
    parts = (("training", ONE), ("validation", TWO))
    return tmp_path, {p: scene(tmp_path, *p, i) for i, p in enumerate(parts)}


def test_scenes_in_their_splits(world):
    root, written = world
    pixels, mask = written["training", ONE]
    pixels[3, 4] = -9999
    layouts.tif(root / "training" / f"{ONE}_merged.tif", pixels, gsd=30)
    source = hls_burn_scars.HlsBurnScars(root)
    assert source.splits == {"training": range(1), "validation": range(1, 2)}
    example = source[0]
    image, valid = (example[k]["hls-burn-scars"] for k in ("images", "valid"))
    assert list(map(tuple, np.argwhere(~valid))) == [(3, 4)]
    np.testing.assert_array_equal(image[valid], pixels[valid])
    assert image.dtype == np.float32 and not image[3, 4].any()
    np.testing.assert_array_equal(example["map"] == ground.UNLABELLED, mask == -1)
    np.testing.assert_array_equal(example["map"][mask >= 0], mask[mask >= 0])
    assert example["time"] == 1_599_177_600  # 4 September 2020
    assert source[1]["time"] == 1_514_764_800 and source[1]["id"] == TWO
    copy = pickle.loads(pickle.dumps(source))
    assert copy.identity() == source.identity()


def test_the_sensor_is_that_of_hls_in_reflectance():
    sensor = hls_burn_scars.sensor()
    assert sensor.names == ("B02", "B03", "B04", "B8A", "B11", "B12")
    assert {(b.dtype, b.scale, b.unit) for b in sensor.bands} == {("float32", 1.0, "reflectance")}
    assert all(0 <= b.clip[0] < 0.01 and 0.2 < b.clip[1] < 1 for b in sensor.bands)


def test_what_is_missing_or_bad_is_named(world):
    root, written = world
    pixels, mask = written["training", ONE]
    image, labels = (root / "training" / f"{ONE}{end}" for end in ("_merged.tif", ".mask.tif"))
    source = hls_burn_scars.HlsBurnScars(root)
    for file, content, profile, message in (
        (image, pixels * 1e4, {}, "look like digital numbers"),
        (image, pixels[..., :5], {}, "_merged.tif: 5 bands, but hls-burn-scars has 6"),
        (image, pixels[:400], {}, "_merged.tif .*400x512|512x512 and 400x512"),
        (labels, mask + np.int16(5), {}, ".mask.tif: .*unknown label"),
        (labels, mask, {"crs": "EPSG:32611"}, ".mask.tif.*share one CRS"),
        (labels, mask, {"corner": (7e5, 5e6)}, ".mask.tif.*same ground"),
    ):
        layouts.tif(file, content, gsd=30, **profile)
        with pytest.raises(errors.Unreadable, match=message):
            source[0]
        layouts.tif(image, pixels, gsd=30)
        layouts.tif(labels, mask, gsd=30)
    layouts.halve(image)
    with pytest.raises(errors.Unreadable, match="_merged.tif: missing, truncated"):
        source[0]
    image.unlink()
    source = hls_burn_scars.HlsBurnScars(root)
    assert [o.file for o in source.omitted] == [f"training/{ONE}_merged.tif"] and len(source) == 1
    with pytest.raises(errors.UserError, match="no example of HlsBurnScars"):
        hls_burn_scars.HlsBurnScars(root / "training")
