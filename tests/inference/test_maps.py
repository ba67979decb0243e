"""Class maps of whole scenes: a head that is known exactly, so that every pixel is."""

import dataclasses
import json
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import scenery
from scenery import L2A, NORTH_UP

from smarties import errors
from smarties.inference import maps, products, scenes

OPTIONS = products.Options(overlap=8, batch=3, swath=64, every=0)


@dataclasses.dataclass
class Head:
    """The class of a pixel is the third its B02 falls in; on tokens, that of the mean."""

    classes: tuple = ("water & ice", "field", "town")
    size: int = 32
    patch: int = 8
    cell: int = 1
    calls: int = 0

    @property
    def params(self):
        return {"bounds": np.array([1000.0, 2000.0])}

    def predict(self, images, valid):
        self.calls += 1
        assert images.shape[:3] == valid.shape and not images.shape[1] % self.patch
        b, h, w, _ = images.shape
        shape = (b, h // self.cell, self.cell, w // self.cell, self.cell)
        value = images[..., 1].reshape(shape).mean((2, 4)) / 1000
        near = np.exp(-10 * np.abs(value[:, None] - np.array([0.5, 1.5, 2.5])[:, None, None]))
        return near / near.sum(1, keepdims=True)


def scene(path, image, **place):
    return scenes.open_scene([scenery.write(path, image, **place)], L2A)


def ground(rows, columns):
    """An image of three classes in patches of 16 pixels, and the classes."""
    classes = np.random.default_rng(0).integers(0, 3, (-(-rows // 16), -(-columns // 16)))
    classes = np.kron(classes, np.ones((16, 16), int))[:rows, :columns]
    image = scenery.pixels(rows, columns)
    image[..., 1] = 1000 * classes + 500
    return image, classes


def test_a_map_is_the_scene_pixel_by_pixel(tmp_path):
    image, classes = ground(75, 203)
    image[20:60, 100:180] = 0
    image[3, 5, 4] = 0  # one band of one pixel
    seen = image.all(-1)
    head, opened = Head(), scene(tmp_path / "a.tif", image)
    maps.predict(head, opened, tmp_path / "m.tif", OPTIONS, probabilities=tmp_path / "p.tif")
    found, profile = scenery.read(tmp_path / "m.tif")
    np.testing.assert_array_equal(found[..., 0], np.where(seen, classes, maps.UNSEEN))
    assert profile["transform"] == NORTH_UP and profile["nodata"] == 255
    assert profile["dtype"] == "uint8" and profile["crs"] == "EPSG:32632"
    shares, other = scenery.read(tmp_path / "p.tif")
    np.testing.assert_array_equal(np.isnan(shares).all(-1), ~seen)
    np.testing.assert_allclose(shares[seen].sum(-1), 1, atol=1e-5)
    assert (shares[seen].argmax(-1) == classes[seen]).all() and other["transform"] == NORTH_UP
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.tif", "m.tif", "m.tif.aux.xml", "p.tif"
    ]  # fmt: skip


def test_names_and_colours_are_in_the_file(tmp_path):
    head, opened = Head(), scene(tmp_path / "a.tif", ground(64, 64)[0])
    maps.predict(head, opened, tmp_path / "m.tif", OPTIONS, probabilities=tmp_path / "p.tif")
    with rasterio.open(tmp_path / "m.tif") as file:
        table, tags = file.colormap(1), file.tags()
    assert json.loads(tags["CLASSES"]) == list(head.classes)
    assert len({table[i] for i in range(3)}) == 3
    root = ElementTree.parse(tmp_path / "m.tif.aux.xml").getroot()
    assert [c.text for c in root.iter("Category")] == list(head.classes)
    rows = [[cell.text for cell in row] for row in root.iter("Row")]
    assert rows[2] == ["2", "town", *map(str, table[2][:3])]
    with rasterio.open(tmp_path / "p.tif") as file:
        assert file.descriptions == head.classes


def test_tokens_become_pixels_bilinearly(tmp_path):
    image, classes = ground(64, 96)
    opened = scene(tmp_path / "a.tif", image)
    maps.predict(Head(cell=8), opened, tmp_path / "m.tif", OPTIONS)
    found = scenery.read(tmp_path / "m.tif")[0][..., 0]
    rows, columns = (np.arange(n) % 16 for n in classes.shape)
    inner = ((rows >= 4) & (rows < 12))[:, None] & ((columns >= 4) & (columns < 12))[None]
    assert (found[inner] == classes[inner]).all()
    assert 0.8 < (found == classes).mean() <= 1


def test_overviews_show_the_most_frequent_class(tmp_path):
    image = scenery.pixels(32, 1040)
    image[..., 1] = 500
    image[::2, ::2, 1] = 2500  # a quarter of all pixels, and every one that "nearest" would take
    opened = scene(tmp_path / "a.tif", image)
    maps.predict(Head(), opened, tmp_path / "m.tif", dataclasses.replace(OPTIONS, swath=4096))
    with rasterio.open(tmp_path / "m.tif") as file:
        assert file.overviews(1)
        small = file.read(1, out_shape=(16, 520))
    assert (small == 0).all()


def test_small_scenes_and_empty_windows(tmp_path):
    image, classes = ground(20, 27)
    maps.predict(Head(), scene(tmp_path / "a.tif", image), tmp_path / "m.tif", OPTIONS)
    assert (scenery.read(tmp_path / "m.tif")[0][..., 0] == classes).all()
    image, _ = ground(32, 1000)
    image[:, 32:] = 0
    head = Head()
    maps.predict(head, scene(tmp_path / "a.tif", image), tmp_path / "m.tif", OPTIONS)
    assert head.calls == 1  # the windows without data cost nothing
    found = scenery.read(tmp_path / "m.tif")[0]
    assert (found[:, 32:] == 255).all() and (found[:, :32] < 255).all()


def test_a_killed_map_goes_on(tmp_path):
    opened = scene(tmp_path / "a.tif", ground(100, 150)[0])
    both = dict(probabilities=tmp_path / "p.tif")
    whole = Head(cell=8)
    maps.predict(whole, opened, tmp_path / "m.tif", OPTIONS, **both)
    want = [(tmp_path / name).read_bytes() for name in ("m.tif", "p.tif")]

    class Dying(Head):
        def predict(self, images, valid):
            if self.calls == 4:
                raise KeyboardInterrupt
            return super().predict(images, valid)

    for name in ("m.tif", "p.tif"):
        (tmp_path / name).unlink()
    with pytest.raises(KeyboardInterrupt):
        maps.predict(Dying(cell=8), opened, tmp_path / "m.tif", OPTIONS, **both)
    assert not (tmp_path / "m.tif").exists() and not (tmp_path / "p.tif").exists()
    head = Head(cell=8)
    maps.predict(head, opened, tmp_path / "m.tif", OPTIONS, **both)
    assert head.calls == whole.calls - 4 > 0
    assert want == [(tmp_path / name).read_bytes() for name in ("m.tif", "p.tif")]


def test_classes_and_head_disagree(tmp_path):
    opened = scene(tmp_path / "a.tif", ground(40, 40)[0])
    with pytest.raises(errors.UserError, match="has 2 classes: a, b"):
        maps.predict(Head(classes=("a", "b")), opened, tmp_path / "m.tif", OPTIONS)
    assert not (tmp_path / "m.tif").exists()
