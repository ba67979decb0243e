"""Units are told from pixels: real scenes pass, the same scenes in another unit do not."""

import dataclasses

import numpy as np
import pytest

from smarties import errors
from smarties.data import checks, geotiff
from smarties.spectrum import registry

L1C, L2A = "sentinel2-l1c", "sentinel2-l2a"
L1C_FILES = (
    "s1s2_terramesh/S2L1C/*.tif",
    "s1s2_sen1floods11/*_S2Hand.tif",
    "s2_eolearn_slovenia/S2L1C_*.tif",
)
REAL = (
    (L2A, "s1s2_terramesh/S2L2A/*.tif"),
    (L1C, "s1s2_terramesh/S2L1C/*.tif"),
    ("sentinel1-grd", "s1s2_terramesh/S1RTC/*.tif"),
    (L1C, "s1s2_sen1floods11/*_S2Hand.tif"),
    ("sentinel1-grd", "s1s2_sen1floods11/*_S1Hand.tif"),
)


# Reprocessed products of 2020 and 2021 from which the publisher has not taken the offset off: their
# cirrus band is 1004 and more everywhere, that of the other scenes 5 to 67.
CARRYING = ("282D_485L_3_3.tif", "433D_629L_3_1.tif", "609U_541L_3_0.tif")


def real(data_root):
    """Yields sensor, name, pixels and valid mask, on the scale of the older baselines."""
    for name, pattern in REAL:
        sensor = registry.sensor(name)
        files = sorted(data_root.glob(pattern))
        assert files, pattern
        for file in files:
            image = geotiff.inspect((str(file),), sensor)
            pixels, valid = geotiff.read(image, (0, 0, *image.shape), sensor)
            if name == L1C and file.name in CARRYING:
                pixels = pixels - 1000
            yield sensor, file.name, pixels, valid


def real_l1c(data_root):
    """Yields name, pixels and valid mask of all real scenes of level 1C, as they are stored."""
    sensor = registry.sensor(L1C)
    groups = [[str(f)] for p in L1C_FILES for f in sorted(data_root.glob(p))]
    for folder in (
        *sorted(data_root.glob("s1s2_ssl4eo_s12/**/s2c/*/*/")),
        *data_root.glob("s2_jp2_l1c/**/preview/"),
    ):
        files = {geotiff.plain(file.stem): str(file) for file in folder.iterdir()}
        if len(files) > 12:
            groups.append([files[geotiff.plain(band)] for band in sensor.names])
    assert len(groups) == 5 + 1 + 5 + 2 + 1
    for files in groups:
        raster = geotiff.load(tuple(files), sensor)
        yield "/".join(files[0].split("/")[-2:]), raster.pixels, raster.valid


def told(pixels, valid, sensor=None):
    """Returns what `check_image` says, or ""."""
    try:
        checks.check_image(pixels, valid, sensor or registry.sensor(L1C), "x")
    except errors.UserError as error:
        return str(error)
    return ""


def test_the_offset_of_newer_baselines_is_told_in_all_real_scenes_and_in_no_other(data_root):
    """Whole scenes and small tiles: clear, hazy, snow, wholly cloudy, and thick cirrus."""
    carrying = set()
    for name, pixels, valid in real_l1c(data_root):
        stored = pixels.astype(np.int32)
        if "04.00" in told(stored, valid):
            carrying.add(name.split("/")[-1])
            stored = np.where(valid[..., None], stored - 1000, 0)
        more = np.where(valid[..., None], stored + 1000, 0)
        assert not told(stored, valid), name
        assert "processing baseline 04.00 adds" in told(more, valid), name
        for row in range(0, len(pixels) - 31, 96):
            for column in range(0, pixels.shape[1] - 31, 96):
                part = np.s_[row : row + 32, column : column + 32]
                assert not told(stored[part], valid[part]), (name, row, column)
                if "preview" not in name and valid[part].any():  # all but thick cirrus
                    assert "04.00" in told(more[part], valid[part]), (name, row, column)
    assert carrying == {*CARRYING}


def test_a_thick_cloud_is_no_offset():
    rng, valid = np.random.default_rng(0), np.ones((32, 32), bool)
    cloud = rng.integers(1000, 1600, (32, 32, 1)) + rng.integers(0, 4000, (32, 32, 13))
    cloud[..., 10:11] = rng.integers(1000, 1600, (32, 32, 1))
    assert not told(cloud.astype(np.uint16), valid)
    cloud[..., 10] = 1010
    assert "04.00" in told(cloud.astype(np.uint16), valid)
    cloud[:2, :2, 12] = 100  # something darker than the offset
    cloud[5:, 5:, 12] = 100
    assert not told(cloud.astype(np.uint16), valid)
    surface = registry.sensor(L2A)  # no cirrus band, and so no word about it
    assert not told(cloud[..., :12].astype(np.uint16) + 1000, valid, surface)


def test_numbers_of_the_wrong_sign(data_root):
    sensor, valid = registry.sensor(L2A), np.ones((32, 32), bool)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 3000, (32, 32, 12)).astype(np.int16)
    pixels[4, 4:7, 3] = (-3, -40, -1)  # as atmospheric correction leaves them over water
    assert not told(pixels, valid, sensor)
    wrapped = pixels.view(np.uint16)
    assert "band B04 of sentinel2-l2a has 2 pixels like 65533: negative" in told(
        wrapped, valid, sensor
    )
    shaded = valid.copy()
    shaded[4, 4:7] = False
    assert not told(wrapped, shaded, sensor)
    saturated = rng.integers(0, 3000, (32, 32, 12)).astype(np.uint16)
    saturated[1, 1] = 65_535
    assert not told(saturated, valid, sensor)
    saturated[1, 2:5, 3] = (40_000, 65_000, 50_000)  # a glint may be as bright as it likes
    assert not told(saturated, valid, sensor)
    assert "band B04 of sentinel2-l2a has values down to -25536, no reflectance" in told(
        saturated.view(np.int16), valid, sensor
    )
    pixels[7, 7, 5] = -9999
    assert "band B06 of sentinel2-l2a has values down to -9999" in told(pixels, valid, sensor)
    for sensor, where, pixels, valid in real(data_root):
        if sensor.name == "sentinel1-grd":
            continue
        part = pixels[:64, :64].astype(np.int32)
        part[part < 0] = 0
        part[10, 10, 2] = -7
        message = told(part.astype(np.uint16), valid[:64, :64], sensor)
        assert "65529: negative numbers wrapped" in message, where


def as_unit(sensor, unit, scale):
    bands = tuple(dataclasses.replace(band, unit=unit, scale=scale) for band in sensor.bands)
    return dataclasses.replace(sensor, bands=bands)


def test_real_scenes_pass_and_in_another_unit_are_told(data_root):
    for sensor, where, pixels, valid in real(data_root):
        for r in range(0, min(pixels.shape[:2]) - 31, 64):  # small tiles are the hardest to judge
            part = np.s_[r : r + 32, r : r + 32]
            checks.check_image(pixels[part], valid[part], sensor, where)
        if sensor.name == "sentinel1-grd":
            other, other_sensor = 10 ** (pixels / 10), as_unit(sensor, "power", 1.0)
            like, unlike = "look like linear power", "look like dB"
        else:
            other, other_sensor = pixels / 10_000, as_unit(sensor, "reflectance", 1.0)
            like, unlike = "look like reflectance in 0..1", "look like digital numbers"
        with pytest.raises(errors.UserError, match=like) as told:
            checks.check_image(other, valid, sensor, where)
        assert where in str(told.value) and sensor.name in str(told.value)
        checks.check_image(other, valid, other_sensor, where)
        with pytest.raises(errors.UserError, match=unlike):
            checks.check_image(pixels, valid, other_sensor, where)


def test_integers_of_nothing_but_ones_are_reflectance_cast_too_early():
    sensor = registry.sensor(L2A)
    pixels = np.zeros((8, 8, 12), np.uint16)
    valid = np.ones((8, 8), bool)
    checks.check_image(pixels, valid, sensor, "black")
    pixels[0, 0] = 1
    with pytest.raises(errors.UserError, match="multiply by 10000"):
        checks.check_image(pixels, valid, sensor, "cast")
    pixels[0, 1] = 60  # dark water at night is still digital numbers
    checks.check_image(pixels, valid, sensor, "dark")


def test_not_finite_is_an_error_unless_marked_invalid():
    sensor = registry.sensor("sentinel1-grd")
    pixels = np.full((8, 8, 2), -12.0, np.float32)
    pixels[2, 3, 1] = np.nan
    valid = np.ones((8, 8), bool)
    with pytest.raises(errors.UserError, match="1 pixels are not finite, e.g. in band VH"):
        checks.check_image(pixels, valid, sensor, "x")
    valid[2, 3] = False
    checks.check_image(pixels, valid, sensor, "x")


def test_band_count_and_rank():
    sensor = registry.sensor("sentinel1-grd")
    for shape in ((8, 8, 3), (8, 8)):
        with pytest.raises(errors.UserError, match="2 bands of sentinel1-grd: VV, VH"):
            checks.check_image(np.zeros(shape), np.ones(shape[:2], bool), sensor, "x")
