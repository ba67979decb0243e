"""Folders of GeoTIFF: matching, splitting, masks, grids, and one clear line for bad files."""

import pickle
import warnings

import numpy as np
import pytest
import rasterio
import rasterio.errors

from smarties import errors
from smarties.data import folder, geotiff, scenes
from smarties.spectrum import registry

S1, S2 = "sentinel1-grd", "sentinel2-l2a"
PATTERNS = {S2: "S2/*.tif", S1: "S1/*.tif"}


def save(file, pixels, *, gsd=10.0, corner=(500_000.0, 5_000_000.0), crs="EPSG:32632", **profile):
    """Writes [H, W, C] as a GeoTIFF; descriptions name its bands."""
    descriptions = profile.pop("descriptions", ())
    file.parent.mkdir(parents=True, exist_ok=True)
    height, width, count = pixels.shape
    if crs:
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
        for i, text in enumerate(descriptions, 1):
            data.set_band_description(i, text)


def optical(rng, size=64, bands=12, dtype=np.uint16):
    return rng.integers(200, 4000, (size, size, bands)).astype(dtype)


def radar(rng, size=64):
    return rng.normal(-14, 3, (size, size, 2)).astype(np.float32)


@pytest.fixture
def pairs(tmp_path):
    """Three scenes of 64 pixels; returns the root and the pixels by file."""
    rng, written = np.random.default_rng(0), {}
    for name in ("p", "q", "r"):
        for part, pixels in (("S2", optical(rng)), ("S1", radar(rng))):
            save(tmp_path / part / f"{name}.tif", pixels)
            written[part, name] = pixels
    return tmp_path, written


def test_tiles_are_the_pixels_of_their_window(pairs):
    root, written = pairs
    source = folder.Folder(root, PATTERNS, tile=32)
    assert len(source) == source.report["tiles"] == 12
    assert source.sensors == (S2, S1)
    for i in range(len(source)):
        example = source[i]
        name, place = example["id"].split("@")
        row, column = map(int, place.split(","))
        window = np.s_[row : row + 32, column : column + 32]
        np.testing.assert_array_equal(example["images"][S2], written["S2", name][window])
        np.testing.assert_array_equal(example["images"][S1], written["S1", name][window])
        assert all(mask.all() for mask in example["valid"].values())
        crs, affine = source.geo(i)
        assert crs == "EPSG:32632"
        assert affine == (10, 0, 500_000 + 10 * column, 0, -10, 5_000_000 - 10 * row)
        assert source.scene(i) == name
        np.testing.assert_allclose(example["location"], (9.0, 45.15), atol=0.02)
    copy = pickle.loads(pickle.dumps(source))
    assert copy[5]["id"] == source[5]["id"] and copy.identity() == source.identity()


def test_what_is_lost_is_counted(pairs):
    root, written = pairs
    (root / "S1" / "q.tif").unlink()
    blank = written["S2", "p"].copy()
    blank[:32, :32] = 0
    save(root / "S2" / "p.tif", blank)
    source = folder.Folder(root, PATTERNS, tile=24)
    assert source.report == {
        "scenes": 2, "unmatched": 1, "incomplete": 0, "tiles": 7, "all_invalid": 1,
        "margin_pixels": 2 * (64 * 64 - 48 * 48),
    }  # fmt: skip


def test_nodata_nan_and_masks_become_invalid(pairs):
    root, written = pairs
    optic, echo = written["S2", "p"].copy(), written["S1", "p"].copy()
    optic[1, 2] = 0  # the sensor's nodata
    optic[3, 4, 5] = 9999  # the file's, in one band
    echo[5, 6, 1] = np.nan
    save(root / "S2" / "p.tif", optic, nodata=9999)
    save(root / "S1" / "p.tif", echo)
    mask = np.full((64, 64), 255, np.uint8)
    mask[7, 8] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(root / "S1" / "p.tif", "r+") as data:
            data.write_mask(mask)
    example = folder.Folder(root, PATTERNS, tile=64)[0]
    assert list(map(tuple, np.argwhere(~example["valid"][S2]))) == [(1, 2), (3, 4)]
    assert list(map(tuple, np.argwhere(~example["valid"][S1]))) == [(5, 6), (7, 8)]
    assert np.isfinite(example["images"][S1]).all()


def test_split_is_by_place_and_leaves_nothing_out(tmp_path):
    rng = np.random.default_rng(0)
    for place in "abcde":
        for date in ("20200101", "20200601"):
            save(tmp_path / "S2" / place / f"{date}.tif", optical(rng, 16))
            save(tmp_path / "S1" / place / f"{date}.tif", radar(rng, 16))
    patterns = {S2: "S2/*/*.tif", S1: "S1/*/*.tif"}

    def places(**kwargs):
        return {s.key[0] for s in folder.Folder(tmp_path, patterns, tile=16, **kwargs).scenes}

    train, test = (places(split=s, test_share=0.4) for s in ("train", "test"))
    assert train | test == set("abcde") and not train & test and len(test) == 2
    assert places(split="test", test_share=0.4) == test
    assert len({frozenset(places(split="test", seed=s)) for s in range(8)}) > 1
    assert places(split="test", test_scenes=("b",)) == {"b"}
    assert places(split="train", test_scenes=("b",)) == set("acde")
    with pytest.raises(errors.UserError, match="unknown test scene 'bb'"):
        places(split="test", test_scenes=("bb",))


def test_one_file_per_band_is_resampled_to_the_finest(tmp_path):
    sensor, rng = registry.sensor(S2), np.random.default_rng(0)
    ramp = 1000 + 10 * np.arange(48)[:, None, None] * np.ones((48, 48, 1))
    for band in sensor.bands:
        k = {10: 1, 20: 2, 60: 6}[int(band.gsd)]
        pixels = ramp.reshape(48 // k, k, 48 // k, k).mean(axis=(1, 3))[..., None]
        name = geotiff.plain(band.name).upper()
        save(tmp_path / "s2" / "x" / f"d20200604/{name}.tif", pixels.astype(np.uint16), gsd=10 * k)
    for name in ("VV", "VH"):
        save(tmp_path / "s1" / "x" / f"S1_20200607/{name}.tif", radar(rng, 50)[..., :1])
    patterns = {S2: "s2/*/*/{band}.tif", S1: "s1/*/*/{band}.tif"}
    with pytest.raises(errors.UserError, match="no scene is seen by all sensors"):
        folder.Folder(tmp_path, patterns, tile=24)
    source = folder.Folder(tmp_path, patterns, tile=24, match="order")
    assert len(source) == 4 and source.scenes[0].shape == (48, 48)
    image = source[2]["images"][S2]  # rows 24..48
    assert image.shape == (24, 24, 12)
    inner = ramp[24:45, :24]  # the last rows of 60 m have no neighbour to lean on
    np.testing.assert_allclose(image[:21].astype(float) - inner, 0, atol=15)
    (tmp_path / "s2" / "x" / "d20200604" / "B5.tif").unlink()
    with pytest.raises(errors.UserError, match="no image that matches .* has all bands"):
        folder.Folder(tmp_path, patterns, tile=24, match="order")


def test_order_joins_dates_not_names():
    def files(*keys):
        return {key: ("f",) for key in keys}

    echo = files(("x", "S1B_20200101"), ("x", "S1A_20200601"), ("y", "S1A_20200601"))
    optic = files(("x", "20200603_T"), ("x", "20200105_T"))
    joined = [scenes._in_order(found) for found in (echo, optic)]
    assert set(joined[0]) == {("x", "0000"), ("x", "0001"), ("y", "0000")}
    assert scenes.match([echo, optic], "order", "root")[1] == 1


def test_coarser_sensors_cover_the_same_ground(pairs):
    root, _ = pairs
    for name in "pqr":
        ramp = np.repeat(np.arange(32, dtype=np.float32)[:, None] - 40, 32, axis=1)
        save(root / "S1" / f"{name}.tif", np.stack([ramp, ramp], -1), gsd=20)
    example = folder.Folder(root, PATTERNS, tile=32)[2]
    assert example["id"] == "p@32,0"
    assert example["images"][S1].shape == (16, 16, 2)
    np.testing.assert_array_equal(example["images"][S1][:, 0, 0], np.arange(16, 32) - 40)
    with pytest.raises(errors.UserError, match="2 times those .* multiples of 2"):
        folder.Folder(root, PATTERNS, tile=33)


def test_grids_that_differ_by_two_pixels_meet_in_the_centre(pairs):
    root, written = pairs
    rng = np.random.default_rng(1)
    wider = radar(rng, 66)
    save(root / "S1" / "p.tif", wider, corner=(499_990.0, 5_000_010.0))
    example = folder.Folder(root, PATTERNS, tile=64)[0]
    np.testing.assert_array_equal(example["images"][S1], wider[1:65, 1:65])
    np.testing.assert_array_equal(example["images"][S2], written["S2", "p"])


def test_grids_that_are_shifted_meet_where_both_see(pairs):
    root, written = pairs
    shifted = radar(np.random.default_rng(1), 64)
    # Its first pixel is that of row 3 and column -2 of the other grid.
    save(root / "S1" / "p.tif", shifted, corner=(499_980.0, 4_999_970.0))
    source = folder.Folder(root, PATTERNS, tile=61, stride=64)
    assert source.name(0) == "p@0,0" and source.scenes[0].shape == (61, 62)
    np.testing.assert_array_equal(source[0]["images"][S1], shifted[:61, 2:63])
    np.testing.assert_array_equal(source[0]["images"][S2], written["S2", "p"][3:64, :61])
    assert source.geo(0)[1] == (10, 0, 500_000, 0, -10, 4_999_970)


@pytest.mark.parametrize(("west", "skipped"), [(-10, 1), (10, 1), (0, 0), (-20, 0)])
def test_coarse_pixels_that_begin_between_two_fine_ones(pairs, west, skipped):
    """Both start where a pixel of each begins, on the same ground."""
    root, written = pairs
    ramp = np.repeat(np.arange(32, dtype=np.float32)[None] - 40, 32, axis=0)
    save(root / "S1" / "p.tif", np.stack([ramp, ramp], -1), gsd=20, corner=(5e5 + west, 5e6))
    scene = folder.Folder(root, {S2: "S2/p.tif", S1: "S1/p.tif"}, tile=32).scenes[0]
    fine, coarse = (scene.offsets[i][1] for i in (0, 1))
    assert 10 * fine == west + 20 * coarse and fine >= skipped


def test_an_edit_in_place_is_other_data(pairs):
    root, written = pairs
    before = folder.Folder(root, PATTERNS, tile=64).identity()
    assert folder.Folder(root, PATTERNS, tile=64).identity() == before
    pixels = written["S2", "p"].copy()
    pixels[5, 5, 5] += 1
    save(root / "S2" / "p.tif", pixels)
    assert folder.Folder(root, PATTERNS, tile=64).identity() != before


def test_files_without_georeference_are_read_quietly(pairs):
    root, _ = pairs
    rng = np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        for part, pixels in (("S2", optical(rng)), ("S1", radar(rng))):
            for file in (root / part).iterdir():
                save(file, pixels, crs=None)
    source = folder.Folder(root, PATTERNS, tile=64)
    assert "location" not in source[0] and source.geo(0)[0] == ""


def test_int16_is_cast_when_it_fits(pairs):
    root, _ = pairs
    pixels = optical(np.random.default_rng(1), dtype=np.int16)
    save(root / "S2" / "p.tif", pixels)
    image = folder.Folder(root, PATTERNS, tile=64)[0]["images"][S2]
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, pixels)
    pixels[9, 9, 2] = -5
    save(root / "S2" / "p.tif", pixels)
    with pytest.raises(errors.UserError, match=r"p.tif: values -5..\d+ do not fit uint16"):
        folder.Folder(root, PATTERNS, tile=64)


def bad(root, what):
    rng = np.random.default_rng(1)
    file, names = root / "S2" / "p.tif", list(registry.sensor(S2).names)
    if what == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif what == "text":
        file.write_text("not an image")
    elif what == "count":
        save(file, optical(rng, bands=13))
    elif what == "order":
        names[2], names[3] = names[3], names[2]
        save(file, optical(rng), descriptions=names)
    elif what == "small":
        save(file, optical(rng, 30))
        save(root / "S1" / "p.tif", radar(rng, 30))
    elif what == "grid":
        save(file, optical(rng, 60))
    elif what == "elsewhere":
        save(file, optical(rng), corner=(500_200.0, 5_000_000.0))
    elif what == "crs":
        save(file, optical(rng), crs="EPSG:32633")
    elif what == "reflectance":
        save(file, (optical(rng) / 1e4).astype(np.float32))
    elif what == "power":
        save(root / "S1" / "p.tif", 10 ** (radar(rng) / 10))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("truncated", "p.tif: missing, truncated or no image"),
        ("text", "p.tif: missing, truncated or no image"),
        ("count", "p.tif: 13 bands, but sentinel2-l2a has 12: B01, B02"),
        ("order", "p.tif: band 3 is B04, but B03 in sentinel2-l2a"),
        ("small", "30x30 pixels, smaller than a tile of 32"),
        ("grid", "are no grids of one ground"),
        ("elsewhere", "do not cover the same ground"),
        ("crs", "EPSG:32632 and EPSG:32633|EPSG:32633 and EPSG:32632"),
        ("reflectance", "p.tif: .* look like reflectance in 0..1"),
        ("power", "S1/p.tif: .* look like linear power"),
    ],
)
def test_bad_files_get_one_clear_line(pairs, what, message):
    root, _ = pairs
    bad(root, what)
    with pytest.raises(errors.UserError, match=message) as told:
        folder.Folder(root, PATTERNS, tile=32)
    assert "\n" not in str(told.value)


def test_bad_arguments(pairs):
    root, _ = pairs
    for arguments, message in (
        ({"split": "trian"}, "did you mean 'train'"),
        ({"match": "keys"}, "did you mean 'key'"),
        ({"resampling": "cubics"}, "did you mean 'cubic'"),
    ):
        with pytest.raises(errors.UserError, match=message):
            folder.Folder(root, PATTERNS, **arguments)
    with pytest.raises(errors.UserError, match="no such folder"):
        folder.Folder(root / "none", PATTERNS)
    with pytest.raises(errors.UserError, match="no file of sentinel1-grd matches"):
        folder.Folder(root, PATTERNS | {S1: "S3/*.tif"})


@pytest.mark.parametrize(
    ("name", "patterns", "match", "tiles"),
    [
        ("s1s2_terramesh", {S2: "S2L2A/*.tif", S1: "S1RTC/*.tif"}, "key", 20),
        ("s1s2_sen1floods11", {"sentinel2-l1c": "*_S2Hand.tif", S1: "*_S1Hand.tif"}, "key", 25),
        (
            "s1s2_ssl4eo_s12/SSL4EO-S12",
            {S2: "s2a/*/*/{band}.tif", S1: "s1/*/*/{band}.tif"},
            "order",
            8,
        ),
    ],
)
def test_real_pairs_are_read_whole(data_root, name, patterns, match, tiles):
    source = folder.Folder(data_root / name, patterns, tile=96, match=match)
    assert source.report["tiles"] == len(source) == tiles
    assert source.report["unmatched"] == source.report["all_invalid"] == 0
    example = source[0]
    for sensor, image in example["images"].items():
        assert image.shape == (96, 96, len(registry.sensor(sensor).bands))
        assert example["valid"][sensor].mean() > 0.99
        assert image[example["valid"][sensor]].std() > 0
