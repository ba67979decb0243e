"""Windows of rasters that reach beyond them, and labels."""

import numpy as np
import pytest

from smarties import errors
from smarties.data import geotiff
from smarties.data.archives import ground


def raster(height=5, width=7):
    pixels = np.arange(1, height * width + 1, dtype=np.uint16).reshape(height, width, 1)
    valid = pixels[..., 0] != 10
    return geotiff.Raster(pixels, valid, "EPSG:32632", (10, 0, 100, 0, -10, 200))


@pytest.mark.parametrize(
    ("row", "column"), [(0, 0), (2, 3), (-1, -2), (4, 6), (-2, 5), (9, 9), (-9, 0), (5, 7)]
)
def test_windows_beyond_the_edges_are_invalid(row, column):
    whole, size = raster(), 4
    part = ground.cut(whole, row, column, size)
    padded = np.pad(whole.pixels[..., 0], 20)
    mask = np.pad(whole.valid, 20)
    there = np.s_[20 + row : 24 + row, 20 + column : 24 + column]
    np.testing.assert_array_equal(part.pixels[..., 0], padded[there])
    np.testing.assert_array_equal(part.valid, mask[there])
    assert part.transform == (10, 0, 100 + 10 * column, 0, -10, 200 - 10 * row)
    assert part.pixels.dtype == np.uint16


def test_fitting_keeps_the_centre():
    part = ground.fit(raster(), 3)
    np.testing.assert_array_equal(part.pixels[..., 0], raster().pixels[1:4, 2:5, 0])
    larger = ground.fit(raster(), 9)
    np.testing.assert_array_equal(larger.pixels[2:7, 1:8], raster().pixels)
    assert larger.valid.sum() == 34


def test_labels():
    pixels = np.array([[1, 2], [3, 0]], np.int16)[..., None]
    found = geotiff.Raster(pixels, np.array([[True, False], [True, True]]), "", (1, 0, 0, 0, 1, 0))
    labels = ground.labels(found, 3, "x.tif", first=1, none=0)
    np.testing.assert_array_equal(labels, [[0, ground.UNLABELLED], [2, ground.UNLABELLED]])
    with pytest.raises(errors.Unreadable, match="x.tif: 1 pixels have unknown label 3: .*0..2"):
        ground.labels(found, 3, "x.tif")
