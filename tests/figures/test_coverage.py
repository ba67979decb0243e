"""The coverage chart draws every band of every sensor, radar apart."""

import matplotlib.image
import numpy as np
import pytest

from smarties import errors
from smarties.figures import coverage
from smarties.spectrum import registry
from smarties.spectrum.bands import Band, Sensor


def painted(path) -> np.ndarray:
    """Returns the columns that hold saturated paint in the row of the only sensor."""
    pixels = matplotlib.image.imread(path)[..., :3]
    height = pixels.shape[0]
    lower = pixels[int(height * 0.74) : int(height * 0.84)]
    return (np.ptp(lower, axis=-1) > 0.25).any(axis=0)


def test_the_chart_shows_all_sensors(tmp_path):
    path = tmp_path / "coverage.png"
    assert coverage.chart(registry.spectrum(), list(registry.sensors().values()), path) == path
    pixels = matplotlib.image.imread(path)
    assert pixels.shape[1] > 1500 and pixels.std() > 0.05


def test_more_bands_paint_more_and_at_longer_wavelengths(tmp_path):
    columns = {}
    for name in ("rgb", "sentinel2-l2a", "sentinel1-grd"):
        path = coverage.chart(
            registry.spectrum(), [registry.sensor(name)], tmp_path / f"{name}.png"
        )
        columns[name] = np.nonzero(painted(path))[0]
    assert columns["sentinel2-l2a"].max() > columns["rgb"].max() + 200
    assert columns["sentinel1-grd"].min() > columns["sentinel2-l2a"].max(), "radar stands apart"


def test_the_axes_reach_a_sensor_beyond_them(tmp_path):
    bands = (
        Band(name="far", center=16000.0, fwhm=1000.0),
        Band(name="HH", frequency=1.27, polarization="HH"),
    )
    made_up = Sensor(name="made-up", bands=bands)
    path = coverage.chart(registry.spectrum(), [made_up], tmp_path / "far.png")
    at = np.nonzero(painted(path))[0]
    assert (at < 1740).any() and (at > 1740).any(), "one bar, and one radar mark apart from it"


def test_colours_read_as_wavelengths():
    blue, green, red = (np.argmax(coverage.colour(nm)) for nm in (450, 540, 660))
    assert (blue, green, red) == (2, 1, 0)
    assert coverage.colour(11000) != coverage.colour(2200) != coverage.colour(800)


@pytest.mark.parametrize("name", ["missing/folder/chart.png", "chart.notaformat"])
def test_a_place_that_cannot_be_written(tmp_path, name):
    with pytest.raises(errors.UserError, match="cannot be written"):
        coverage.chart(registry.spectrum(), [registry.sensor("rgb")], tmp_path / name)
