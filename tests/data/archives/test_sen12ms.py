"""SEN12MS and DFC2020: triplets by name, class numbers that begin with 1, and bad files."""

import pickle

import layouts
import numpy as np
import pytest

from smarties import errors
from smarties.data.archives import ground, sen12ms

SPRING, FALL = "ROIs1158_spring", "ROIs1970_fall"


def write(root, season, region, patch, kind, pixels, **profile):
    name = f"{season}_{kind}_{region}_p{patch}.tif"
    layouts.tif(root / season / f"{kind}_{region}" / name, pixels, **profile)


def triplet(root, season, region, patch, labels="lc", layers=4, classes=17):
    rng = np.random.default_rng(int(patch))
    parts = {
        "s1": layouts.radar(rng, 256),
        "s2": layouts.optical(rng, 256, 13),
        labels: rng.integers(1, classes + 1, (256, 256, layers)).astype(np.uint16),
    }
    for kind, pixels in parts.items():
        write(root, season, region, patch, kind, pixels)
    return parts


@pytest.fixture
def world(tmp_path):
    places = ((SPRING, "1", "30"), (SPRING, "1", "4"), (FALL, "10", "2"))
    return tmp_path, {place: triplet(tmp_path, *place) for place in places}


def test_triplets_are_read_by_number(world):
    root, written = world
    source = sen12ms.Sen12Ms(root)
    examples = [source[i] for i in range(len(source))]
    order = [(SPRING, "1", "4"), (SPRING, "1", "30"), (FALL, "10", "2")]
    assert [e["id"] for e in examples] == [f"{s}_{r}_p{p}" for s, r, p in order]
    for example, place in zip(examples, order, strict=True):
        parts = written[place]
        np.testing.assert_array_equal(example["images"]["sentinel2-l1c"], parts["s2"])
        np.testing.assert_array_equal(example["images"]["sentinel1-grd"], parts["s1"])
        np.testing.assert_array_equal(example["map"], parts["lc"][..., 0] - 1)
        assert example["map"].dtype == np.uint8 and example["map"].max() == 16
        assert example["crs"] == "EPSG:32632" and np.isnan(example["time"])
    copy = pickle.loads(pickle.dumps(source))
    assert copy.identity() == source.identity() and copy[1]["id"] == examples[1]["id"]


def test_dfc_labels_and_missing_labels(tmp_path):
    parts = triplet(tmp_path, "ROIs0000_test", "0", "5", "dfc", 1, 10)
    parts["dfc"][3, 4] = 0
    parts["dfc"][5, 6] = 255
    write(tmp_path, "ROIs0000_test", "0", "5", "dfc", parts["dfc"])
    source = sen12ms.Dfc2020(tmp_path)
    assert len(source.classes) == 10 and len(sen12ms.Sen12Ms.CLASSES) == 17
    found = source[0]["map"]
    assert found[3, 4] == found[5, 6] == ground.UNLABELLED
    assert (found == ground.UNLABELLED).sum() == 2
    known = found != ground.UNLABELLED
    np.testing.assert_array_equal(found[known], parts["dfc"][..., 0][known] - 1)
    parts["dfc"][7, 8] = 11
    write(tmp_path, "ROIs0000_test", "0", "5", "dfc", parts["dfc"])
    with pytest.raises(errors.Unreadable, match="dfc_0_p5.tif: 1 pixels have unknown label 11"):
        source[0]
    with pytest.raises(errors.UserError, match="no example of Sen12Ms"):
        sen12ms.Sen12Ms(tmp_path)


def test_splits_are_by_season_or_region(world):
    root, _ = world
    parts = {"train": [SPRING], "test": [f"{FALL}/10"]}
    source = sen12ms.Sen12Ms(root, splits=parts)
    assert source.splits == {"train": range(2), "test": range(2, 3)}
    assert source[2]["id"].startswith(FALL)
    with pytest.raises(errors.UserError, match=f"did you mean '{SPRING}'"):
        sen12ms.Sen12Ms(root, splits={"train": ["ROIs1158_sprin"]})
    with pytest.raises(errors.UserError, match="unknown sensor"):
        sen12ms.Sen12Ms(root, sensors=("s2",))


def test_what_is_missing_is_omitted_by_name(world):
    root, _ = world
    (root / SPRING / "s1_1" / f"{SPRING}_s1_1_p4.tif").unlink()
    rng = np.random.default_rng(0)
    layouts.tif(root / FALL / "s2_10" / f"{SPRING}_s2_10_p9.tif", layouts.optical(rng, 256, 13))
    source = sen12ms.Sen12Ms(root)
    said = [o.file for o in source.omitted]
    assert f"{SPRING}/s1_1/{SPRING}_s1_1_p4.tif" in said and len(source) == 2
    assert len(sen12ms.Sen12Ms(root, sensors=("sentinel2-l1c",))) == 3


def bad(root, what, parts):
    place = (SPRING, "1", "4")
    if what == "truncated":
        layouts.halve(root / SPRING / "s2_1" / f"{SPRING}_s2_1_p4.tif")
    elif what == "bands":
        write(root, *place, "s2", parts["s2"][..., :12])
    elif what == "size":
        write(root, *place, "s1", parts["s1"][:200, :200])
    elif what == "crs":
        write(root, *place, "s1", parts["s1"], crs="EPSG:32633")
    elif what == "elsewhere":
        write(root, *place, "lc", parts["lc"], corner=(5e5, 5.1e6))
    elif what == "power":
        write(root, *place, "s1", 10 ** (parts["s1"] / 10))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("truncated", "s2_1_p4.tif: missing, truncated"),
        ("bands", "s2_1_p4.tif: 12 bands, but sentinel2-l1c has 13"),
        ("size", "s1_1_p4.tif .*200x200 and 256x256"),
        ("crs", "s1_1_p4.tif .*share one CRS"),
        ("elsewhere", "lc_1_p4.tif .*same ground"),
        ("power", "ROIs1158_spring_1_p4: .*look like linear power"),
    ],
)
def test_bad_files_are_named(world, what, message):
    root, written = world
    bad(root, what, written[SPRING, "1", "4"])
    source = sen12ms.Sen12Ms(root)
    with pytest.raises(errors.Unreadable, match=message):
        source[0]
    assert source[1]["id"] == f"{SPRING}_1_p30"
