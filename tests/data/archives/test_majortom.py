"""Major TOM: whole cells and tiles, cloud masks, baselines, bad files."""

import pickle

import layouts
import numpy as np
import pytest

from smarties import errors
from smarties.data.archives import ground, majortom
from smarties.spectrum import registry

L2A = "sentinel2-l2a"
OLD = "S2B_MSIL2A_20200223T032739_N0214_R018_T48QUE_20200223T183543"


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """A cell of 48 pixels; returns the root, its product folder and the pixels by band."""
    monkeypatch.setattr(majortom, "CELL", 48)
    return tmp_path, tmp_path / "S2L2A/199U/199U_1099R" / OLD, write(tmp_path, OLD)


def write(root, product, cell="199U_1099R"):
    rng, written = np.random.default_rng(0), {}
    folder = root / "S2L2A" / cell.partition("_")[0] / cell / product
    for band in registry.sensor(L2A).bands:
        step = int(band.gsd) // 10
        pixels = rng.integers(1100, 4000, (48 // step, 48 // step)).astype(np.uint16)
        layouts.tif(folder / f"{band.name}.tif", pixels, gsd=10 * step)
        written[band.name] = np.kron(pixels, np.ones((step, step), np.uint16))
    clouds = np.zeros((48, 48), np.uint8)
    clouds[10:12, 20:30] = 3
    layouts.tif(folder / "cloud_mask.tif", clouds)
    return written | {"clouds": clouds}


def test_tiles_are_windows_of_the_cell(cells):
    root, _, written = cells
    whole, tiled = majortom.MajorTom(root), majortom.MajorTom(root, tile=20)
    assert len(whole) == 1 and len(tiled) == 9
    cell = whole[0]
    stacked = np.stack([written[name] for name in registry.sensor(L2A).names], -1)
    np.testing.assert_array_equal(cell["images"][L2A], stacked)
    np.testing.assert_array_equal(cell["map"], written["clouds"])
    assert cell["valid"][L2A].all() and cell["id"] == "199U_1099R"
    assert cell["time"] == 1_582_428_459
    for i in range(9):
        example = tiled[i]
        row, column = map(int, example["id"].removeprefix("199U_1099R@").split(","))
        part = stacked[row : row + 20, column : column + 20]
        there = np.zeros((20, 20), bool)
        there[: len(part), : part.shape[1]] = True
        np.testing.assert_array_equal(example["valid"][L2A], there)
        np.testing.assert_array_equal(example["images"][L2A][there], part.reshape(-1, 12))
        assert not example["images"][L2A][~there].any()
        assert (example["map"][~there] == ground.UNLABELLED).all()
        assert example["transform"][2] == 5e5 + 10 * column
        assert example["transform"][5] == 5e6 - 10 * row
    copy = pickle.loads(pickle.dumps(tiled))
    assert copy.identity() == tiled.identity() != whole.identity()


def test_clouds_are_kept_unless_asked_for(cells):
    root, _, written = cells
    example = majortom.MajorTom(root, clouds="invalid")[0]
    np.testing.assert_array_equal(example["valid"][L2A], written["clouds"] == 0)
    assert not example["images"][L2A][written["clouds"] > 0].any()
    with pytest.raises(errors.UserError, match="unknown option for clouds"):
        majortom.MajorTom(root, clouds="maybe")


@pytest.mark.parametrize(
    ("product", "option", "offset"),
    [
        ("S2B_MSIL2A_20200223T032739_N0500_R018_T48QUE_20230924T183543", None, 1000),
        ("S2B_MSIL2A_20200223T032739_N9999_R018_T48QUE_20230924T183543", None, 0),
        ("S2B_MSIL2A_20230223T032739_N9999_R018_T48QUE_20230924T183543", 4.0, 1000),
        ("S2B_MSIL2A_20230223T032739_N9999_R018_T48QUE_20230924T183543", 3.0, 0),
        ("S2B_MSIL2A_20230223T032739_N9999_R018_T48QUE_20230924T183543", None, None),
    ],
)
def test_baselines_are_on_one_scale(cells, tmp_path, product, option, offset):
    root = tmp_path / "other"
    written = write(root, product)
    source = majortom.MajorTom(root, baseline=option)
    if offset is None:
        with pytest.raises(errors.Unreadable, match=f"{product}: .*does not name its processing"):
            source[0]
    else:
        np.testing.assert_array_equal(source[0]["images"][L2A][..., 1], written["B02"] - offset)


def test_bad_files_are_named(cells):
    root, folder, _ = cells
    source = majortom.MajorTom(root)
    layouts.tif(folder / "cloud_mask.tif", np.zeros((24, 24), np.uint8))
    with pytest.raises(errors.Unreadable, match="cloud_mask.tif: 24x24 pixels, a cell has 48x48"):
        source[0]
    (folder / "cloud_mask.tif").unlink()
    with pytest.raises(errors.Unreadable, match="cloud_mask.tif: missing"):
        source[0]
    layouts.tif(folder / "B05.tif", np.ones((31, 31), np.uint16))
    with pytest.raises(errors.Unreadable, match="B05.tif: 31x31 pixels cannot cover"):
        source[0]
    layouts.tif(folder / "B05.tif", np.ones((24, 24), np.uint16), gsd=20)
    layouts.halve(folder / "B05.tif")
    with pytest.raises(errors.Unreadable, match="B05.tif: missing, truncated"):
        source[0]
    (folder / "B05.tif").unlink()
    with pytest.raises(errors.Unreadable, match="B05.tif: missing"):
        source[0]


def test_a_cell_seen_twice_is_omitted_once(cells):
    root, _, _ = cells
    write(root, OLD.replace("20200223T032739", "20200323T032739"))
    source = majortom.MajorTom(root)
    assert len(source) == 1
    assert [o.reason for o in source.omitted] == ["the id appears twice, in all"]
    for arguments in ({"sensor": "sentinel2"}, {"sensor": "sentinel2-l1c"}):
        with pytest.raises(errors.UserError, match="unknown sensor|no example of MajorTom"):
            majortom.MajorTom(root, **arguments)


def test_nodata_in_one_coarse_pixel(cells):
    root, folder, _ = cells
    pixels = layouts.read(folder / "B01.tif")
    pixels[1, 2] = 0
    layouts.tif(folder / "B01.tif", pixels, gsd=60)
    example = majortom.MajorTom(root)[0]
    expected = np.ones((48, 48), bool)
    expected[6:12, 12:18] = False
    np.testing.assert_array_equal(example["valid"][L2A], expected)


def test_real_cell(data_root):
    root = data_root / "s2_majortom"
    whole, tiled = majortom.MajorTom(root), majortom.MajorTom(root, tile=224)
    assert (
        len(whole) == 1
        and len(tiled) == 25
        and tiled.name(tiled._items[7]) == ("199U_1099R@224,448")
    )
    cell, tile, corner = whole[0], tiled[7], tiled[24]
    assert cell["images"][L2A].shape == (1068, 1068, 12)
    (folder,) = (root / "Major-TOM-Core/S2L2A/199U/199U_1099R").glob("*")
    for i, (band, step) in {1: ("B02", 1), 4: ("B05", 2), 0: ("B01", 6)}.items():
        pixels = layouts.read(folder / f"{band}.tif")[..., 0]
        whole_band = np.kron(pixels, np.ones((step, step), np.uint16))
        np.testing.assert_array_equal(cell["images"][L2A][..., i], whole_band)
        np.testing.assert_array_equal(tile["images"][L2A][..., i], whole_band[224:448, 448:672])
    assert corner["valid"][L2A].sum() == 172 * 172
    np.testing.assert_allclose(cell["location"], (103.75, 17.92), atol=0.01)
    assert cell["time"] == 1_582_428_459 and not cell["map"].any()
