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


def test_a_class_has_one_colour_in_every_example():
    maps = [np.full((8, 8), 2, np.uint8), np.full((8, 8), 1, np.uint8)]
    maps[0][0, 0], maps[1][0, 0] = 1, 255
    examples = [{"id": str(i), "images": {}, "map": codes} for i, codes in enumerate(maps)]
    (one,), (two,) = (scenes._pictures(example, {}) for example in examples)
    np.testing.assert_array_equal(one[1][0, 0], two[1][3, 3])
    assert (one[1][3, 3] != two[1][3, 3]).any() and (two[1][0, 0] == two[1][0, 0, 0]).all()
    sheet = scenes.contact_sheet(examples, classes=("water", "trees", "crops"))
    said = [text.get_text() for text in sheet.legends[0].get_texts()]
    assert said == ["trees", "crops", "255"]


def test_every_sensor_has_the_views_it_can_have():
    for name, count in (("sentinel2-l2a", 2), ("rgb", 1), ("sentinel1-grd", 1)):
        sensor = registry.sensor(name)
        assert len(scenes.views(np.full((4, 4, len(sensor.bands)), 9.0), sensor)) == count
    thermal = registry.sensor("landsat8-oli-tirs").select("B10")
    assert scenes.views(np.full((4, 4, 1), 290.0), thermal) == []
