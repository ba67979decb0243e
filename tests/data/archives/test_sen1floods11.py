"""Sen1Floods11: chips in one folder or as published, lists of splits, and bad files."""

import pickle

import layouts
import numpy as np
import pytest

from smarties import errors
from smarties.data.archives import ground, sen1floods11

INNER = "v1.1/data/flood_events/HandLabeled"


def chip(root, name, seed, nested=True):
    rng = np.random.default_rng(seed)
    parts = {
        "S1Hand": layouts.radar(rng, 512),
        "S2Hand": layouts.optical(rng, 512, 13, np.int16),
        "LabelHand": rng.integers(-1, 2, (512, 512)).astype(np.int16),
    }
    for kind, pixels in parts.items():
        folder = root / INNER / kind if nested else root
        layouts.tif(folder / f"{name}_{kind}.tif", pixels)
    return parts


@pytest.fixture
def world(tmp_path):
    return tmp_path, {name: chip(tmp_path, name, i) for i, name in enumerate(("India_1", "USA_2"))}


def test_chips_of_the_published_folders(world):
    root, written = world
    written["India_1"]["S1Hand"][3, 4, 0] = np.nan
    layouts.tif(root / INNER / "S1Hand" / "India_1_S1Hand.tif", written["India_1"]["S1Hand"])
    source = sen1floods11.Sen1Floods11(root)
    assert [source[i]["id"] for i in range(2)] == ["India_1", "USA_2"]
    example, parts = source[0], written["India_1"]
    np.testing.assert_array_equal(example["images"]["sentinel2-l1c"], parts["S2Hand"])
    assert example["images"]["sentinel2-l1c"].dtype == np.int16
    assert list(map(tuple, np.argwhere(~example["valid"]["sentinel1-grd"]))) == [(3, 4)]
    assert not example["images"]["sentinel1-grd"][3, 4].any()
    label = parts["LabelHand"]
    np.testing.assert_array_equal(example["map"] == ground.UNLABELLED, label == -1)
    np.testing.assert_array_equal(example["map"][label >= 0], label[label >= 0])
    copy = pickle.loads(pickle.dumps(source))
    assert copy.identity() == source.identity() and copy[1]["id"] == "USA_2"


def test_published_lists_make_the_splits(world):
    root, _ = world
    lists = root / "v1.1/splits/flood_handlabeled"
    lists.mkdir(parents=True)
    rows = "India_1_S1Hand.tif,India_1_LabelHand.tif\nGhana_9_S1Hand.tif,Ghana_9_LabelHand.tif\n"
    (lists / "flood_train_data.csv").write_text(rows)
    (lists / "flood_test_data.csv").write_text("USA_2_S1Hand.tif,USA_2_LabelHand.tif\n")
    source = sen1floods11.Sen1Floods11(root)
    assert source.splits == {
        "train": range(1), "valid": range(1, 1), "test": range(1, 2), "bolivia": range(2, 2),
    }  # fmt: skip
    assert source[1]["id"] == "USA_2"
    said = {o.file.rpartition("/")[2]: o.reason for o in source.omitted}
    assert "flood_train_data.csv lists it" in said["Ghana_9_S1Hand.tif"]
    assert said["flood_valid_data.csv"] == "no list of this split"
    (lists / "flood_valid_data.csv").write_text("../../../../secret_S1Hand.tif,x\n")
    with pytest.raises(errors.UserError, match="leaves its root"):
        sen1floods11.Sen1Floods11(root)


def test_what_is_missing_or_bad_is_named(world):
    root, written = world
    base, parts = root / INNER, written["India_1"]
    (base / "S2Hand" / "USA_2_S2Hand.tif").unlink()
    source = sen1floods11.Sen1Floods11(root)
    assert len(source) == 1
    assert [o.file for o in source.omitted] == ["S2Hand/USA_2_S2Hand.tif"]
    label = parts["LabelHand"].copy()
    label[0, 0] = 7
    for kind, pixels, profile, message in (
        ("LabelHand", label, {}, "India_1_LabelHand.tif: 1 pixels have unknown label 7"),
        ("S1Hand", 10 ** (parts["S1Hand"] / 10), {}, "India_1: .*look like linear power"),
        ("S1Hand", parts["S1Hand"], {"crs": "EPSG:32633"}, "India_1_S1Hand.tif .*one CRS"),
        ("S1Hand", parts["S1Hand"], {"corner": (6e5, 5e6)}, "India_1_S1Hand.tif .*same ground"),
        ("S1Hand", parts["S1Hand"][:300], {}, "India_1_S1Hand.tif .*300x512 and 512x512"),
        ("S2Hand", parts["S2Hand"][..., :4], {}, "India_1_S2Hand.tif: 4 bands"),
    ):
        layouts.tif(base / kind / f"India_1_{kind}.tif", pixels, **profile)
        with pytest.raises(errors.Unreadable, match=message):
            source[0]
        layouts.tif(base / kind / f"India_1_{kind}.tif", parts[kind])
    layouts.halve(base / "S2Hand" / "India_1_S2Hand.tif")
    with pytest.raises(errors.Unreadable, match="India_1_S2Hand.tif: missing, truncated"):
        source[0]
    with pytest.raises(errors.UserError, match="unknown sensor of Sen1Floods11"):
        sen1floods11.Sen1Floods11(root, sensors=("sentinel2-l2a",))


def test_real_chip(data_root):
    root = data_root / "s1s2_sen1floods11"
    source = sen1floods11.Sen1Floods11(root)
    assert len(source) == 1 and not source.omitted
    example = source[0]
    assert example["id"] == "Spain_7370579" and example["crs"] == "EPSG:4326"
    kinds = ("S2Hand", "S1Hand", "LabelHand")
    radiance, echo, label = (layouts.read(root / f"Spain_7370579_{k}.tif") for k in kinds)
    np.testing.assert_array_equal(example["images"]["sentinel2-l1c"], radiance)
    valid = np.isfinite(echo).all(axis=-1)
    np.testing.assert_array_equal(example["valid"]["sentinel1-grd"], valid)
    np.testing.assert_array_equal(example["images"]["sentinel1-grd"][valid], echo[valid])
    label = label[..., 0]
    np.testing.assert_array_equal(example["map"], np.where(label < 0, ground.UNLABELLED, label))
    assert {0, 1, ground.UNLABELLED} == set(np.unique(example["map"]))
    # Water is dark for both: the two images and the labels lie on one ground.
    water, land = example["map"] == 1, example["map"] == 0
    vv, swir = echo[..., 0], radiance[..., 11]
    assert np.median(vv[water & valid]) < np.median(vv[land & valid]) - 3
    assert np.median(swir[water]) < np.median(swir[land]) / 2
    np.testing.assert_allclose(example["location"], (-0.7589, 38.1058), atol=1e-3)
    assert sen1floods11.Sen1Floods11(root, size=256)[0]["map"].shape == (256, 256)
