"""Units are told from pixels: real scenes pass, the same scenes in another unit do not."""

import dataclasses

import numpy as np
import pytest

from smarties import errors
from smarties.data import checks, geotiff
from smarties.spectrum import registry

L2A = "sentinel2-l2a"
REAL = (
    (L2A, "s1s2_terramesh/S2L2A/*.tif"),
    ("sentinel2-l1c", "s1s2_terramesh/S2L1C/*.tif"),
    ("sentinel1-grd", "s1s2_terramesh/S1RTC/*.tif"),
    ("sentinel2-l1c", "s1s2_sen1floods11/*_S2Hand.tif"),
    ("sentinel1-grd", "s1s2_sen1floods11/*_S1Hand.tif"),
)


def real(data_root):
    for name, pattern in REAL:
        sensor = registry.sensor(name)
        files = sorted(data_root.glob(pattern))
        assert files, pattern
        for file in files:
            image = geotiff.inspect((str(file),), sensor)
            yield sensor, file.name, *geotiff.read(image, (0, 0, *image.shape), sensor)


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
