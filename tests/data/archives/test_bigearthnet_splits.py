"""Patch names of all spellings, the split rule on all 549,488 rows, and leakage refused by name."""

import collections

import numpy as np
import pytest
import rasterio

from smarties import errors
from smarties.data import geotiff
from smarties.data.archives import bigearthnet_splits

V2 = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57"


def test_all_spellings_of_a_name():
    patch = bigearthnet_splits.parse(V2)
    assert (patch.mission, patch.tile, patch.column, patch.row) == ("S2A", "33UUP", 26, 57)
    assert patch.time == 1_497_348_631  # date -u -d "2017-06-13 10:10:31" +%s
    assert bigearthnet_splits.parse("S2A_MSIL2A_20170613T101031_26_57").key == patch.key
    padded = bigearthnet_splits.parse(V2.replace("26_57", "04_07"))
    plain = bigearthnet_splits.parse("S2A_MSIL2A_20170613T101031_4_7")
    assert padded.key == plain.key and plain.tile == ""
    short = bigearthnet_splits.parse("S2B_MSIL2A_20170924T93020_41_73")
    assert short.key == bigearthnet_splits.parse("S2B_MSIL2A_20170924T093020_41_73").key
    minute = bigearthnet_splits.parse("S2B_MSIL2A_20180204T94160_23_31")
    assert minute.time == bigearthnet_splits.parse("S2B_MSIL2A_20180204T094159_23_31").time + 1
    radar = bigearthnet_splits.parse("S1A_IW_GRDH_1SDV_20170617T064724_29UPU_4_55")
    assert (radar.tile, radar.column, radar.row) == ("29UPU", 4, 55)
    for wrong in ("", "../" + V2, V2 + "/x", V2[:-3], "S2A_MSIL2A_20171301T000000_1_1"):
        with pytest.raises(errors.UserError):
            bigearthnet_splits.parse(wrong)


def test_borders_of_the_rings():
    places = {12: 0, 13: 1, 22: 1, 23: 2, 68: 2, 69: 1, 77: 1, 78: 0, 0: 0, 90: 0, 45: 2}
    for place, expected in places.items():
        assert bigearthnet_splits.split_of(np.array([place]), np.array([45])) == expected
        assert bigearthnet_splits.split_of(np.array([45]), np.array([place])) == expected
    assert bigearthnet_splits.splits([V2, V2.replace("26_57", "22_12")]) == ["test", "train"]
    share = np.bincount(bigearthnet_splits.split_of(*np.indices((91, 91)).reshape(2, -1))) / 91**2
    np.testing.assert_allclose(share, (0.5, 0.25, 0.25), atol=0.02)
    with pytest.raises(errors.UserError, match="_column_row"):
        bigearthnet_splits.splits(["S2A_x_y"])


@pytest.fixture(scope="module")
def rows(data_root):
    """All rows of both tables: patch_id, split, s2v1_name, s1_name."""
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    columns = ["patch_id", "split", "s2v1_name", "s1_name"]
    tables = [
        parquet.read_table(data_root / "bigearthnet_samples" / "v2" / file, columns=columns)
        for file in ("metadata.parquet", "metadata_for_patches_with_snow_cloud_or_shadow.parquet")
    ]
    assert [table.num_rows for table in tables] == [480_038, 69_450]
    return {name: pyarrow.concat_tables(tables)[name].to_pylist() for name in columns}


def test_the_rule_gives_the_published_split_of_every_row(rows):
    published = np.array(rows["split"])
    found = np.array(bigearthnet_splits.splits(rows["patch_id"]))
    assert len(found) == 549_488 and np.array_equal(found, published)
    moved = [name[:-5] + name[-2:] + name[-3:-2] + name[-5:-3] for name in rows["patch_id"]]
    assert np.array_equal(
        bigearthnet_splits.splits(moved), published
    )  # columns and rows count alike
    outwards = [f"_{abs(int(name[-5:-3]) - 1)}_{name[-2:]}" for name in rows["patch_id"]]
    assert not np.array_equal(bigearthnet_splits.splits(outwards), published)


def test_the_three_names_of_a_row_agree(rows):
    later = set()
    for i in range(0, len(rows["patch_id"]), 97):
        new, old, radar = (
            bigearthnet_splits.parse(rows[name][i]) for name in ("patch_id", "s2v1_name", "s1_name")
        )
        assert (new.mission, new.column, new.row) == (old.mission, old.column, old.row)
        later.add(old.time - new.time)
        assert new.tile == radar.tile and (new.column, new.row) == (radar.column, radar.row)
    assert later >= {0, 1, 2} and max(map(abs, later)) <= 8
    assert len({bigearthnet_splits.parse(name).key for name in rows["s2v1_name"]}) == 549_488


def test_the_grid_of_a_name_is_that_of_the_file(data_root, rows):
    """Sentinel-2 names of v1 do not tell the tile; there it is that of the patch in v2."""
    new = dict(zip(rows["s2v1_name"], rows["patch_id"], strict=True))
    checked = set()
    for file in sorted((data_root / "bigearthnet_samples").glob("v*/**/*.tif")):
        patch = bigearthnet_splits.parse(new.get(file.parent.name, file.parent.name))
        crs, transform = patch.grid
        with rasterio.open(file) as data:
            assert data.crs.to_string() == crs
            assert (data.transform.c, data.transform.f) == (transform[2], transform[5]), file
        checked.add(patch.tile)
    assert len(checked) >= 8 and {tile[2] for tile in checked} == set("STUVW")


def test_every_tile_has_a_grid(rows):
    """Where zones and bands of latitude are: 6 degrees from 180 W, 8 degrees from 80 S."""
    tiles = {bigearthnet_splits.parse(name).tile: name for name in rows["patch_id"]}
    assert len(tiles) == 54
    for tile, name in tiles.items():
        crs, transform = bigearthnet_splits.parse(name).grid
        lon, lat = geotiff.lonlat(crs, transform, (120, 120))
        west, south = -186 + 6 * int(tile[:2]), -80 + 8 * "CDEFGHJKLMNPQRSTUVW".index(tile[2])
        assert west - 0.1 < lon < west + 8 and south - 1.1 < lat < south + 8.1, name
        assert transform[2] % 60 == 0 and transform[5] % 60 == 0
    for tile in ("33CUP", "33UAP", "33UUZ", "1UUP"):  # south; letters that the zone has not
        with pytest.raises(errors.Unreadable, match="no tile of the northern half"):
            print(bigearthnet_splits.parse(V2.replace("33UUP", tile)).grid)


def test_leakage_between_versions_is_seen_in_the_names(rows, data_root):
    """The eleven v1 patches here are patches of v2, in all of its splits."""
    folder = data_root / "bigearthnet_samples" / "v1" / "BigEarthNet-v1.0"
    v1 = sorted(path.name for path in folder.iterdir())
    v2 = collections.defaultdict(list)
    for name, split in zip(rows["s2v1_name"], rows["split"], strict=True):
        v2[split].append(name)
    found = {split: bigearthnet_splits.overlap(v1, v2[split]) for split in v2}
    assert sorted(sum(found.values(), [])) == v1
    assert found["test"] and found["train"]
    padded = [name.replace("T9", "T09") for name in v1]
    assert bigearthnet_splits.overlap(padded, v2["test"]) == found["test"]
    assert bigearthnet_splits.overlap([], v2["test"]) == []


def test_leakage_is_refused_by_name():
    check = bigearthnet_splits.check_leakage
    with pytest.raises(errors.UserError, match="60,886") as error:
        check("bigearthnet-v1:train", "bigearthnet-v2:test")
    assert "bigearthnet-v1:train" in str(error.value) and "allow_leakage" in str(error.value)
    for seen, judged in (
        ("bigearthnet-v2:train", "bigearthnet-v1:test"),
        ("bigearthnet-v1:test", "bigearthnet-v2:test"),
        ("bigearthnet-v1", "bigearthnet-v2:validation"),
        ("bigearthnet-v2", "bigearthnet-v2:test"),
        ("bigearthnet-v2:test", "bigearthnet-v2:test"),
        (("fmow", "bigearthnet-v1:train"), "bigearthnet-v2:test"),
    ):
        with pytest.raises(errors.UserError, match="cannot be evaluated"):
            check(seen, judged)
        check(seen, judged, allow_leakage=True)
    check("bigearthnet-v2:train", "bigearthnet-v2:test")
    check(["bigearthnet-v1:train", "bigearthnet-v1:validation"], "bigearthnet-v1:test")
    check("fmow", "bigearthnet-v2:test")
    check("bigearthnet-v1", "eurosat:test")
    with pytest.raises(errors.UserError, match="'validation'"):
        check("bigearthnet-v2:valid", "bigearthnet-v2:test")
    with pytest.raises(errors.UserError, match="version"):
        check("bigearthnet", "bigearthnet-v2:test")
    assert "test" in bigearthnet_splits.SPLITS and "val" not in bigearthnet_splits.SPLITS
