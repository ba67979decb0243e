"""The contact sheet of scenes: pictures stay in range, and each kind of sensor gets its views."""

import numpy as np

from smarties.data.planet import source
from smarties.figures import scenes
from smarties.spectrum import registry


def test_sheet_shows_every_view_of_every_place(tmp_path):
    planet = source.Planet(sensors=("sentinel2-l2a", "rgb", "sentinel1-grd"), count=2, size=32)
    sheet = scenes.contact_sheet([planet[0], planet[1]])
    titles = [axis.get_title() for axis in sheet.axes]
    assert len(titles) == 2 * 5  # two of Sentinel-2, one of each other, and the land cover
    assert any("planet-0-1" in title for title in titles)
    assert scenes.write([planet[0]], tmp_path / "sheet.png").stat().st_size > 5_000


def test_composite_takes_the_bands_nearest_to_the_colours():
    sensor = registry.sensor("sentinel2-l2a")
    image = np.full((8, 8, len(sensor.bands)), 300, np.uint16)
    image[..., sensor.names.index("B04")] = 2000
    picture = scenes.composite(image, sensor, (660, 560, 480))
    assert picture.shape == (8, 8, 3) and 0 <= picture.min() and picture.max() <= 1
    assert picture[0, 0, 0] > 2 * picture[0, 0, 2]
