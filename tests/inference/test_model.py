"""Embedding any sensor: agreement with the release, band algebra, unseen sensors, bad input."""

import dataclasses

import jax
import numpy as np
import pytest

import smarties
from smarties import errors
from smarties.inference import model
from smarties.interchange import weights
from smarties.models import positions
from smarties.spectrum import registry

TINY = dict(image_size=32, patch=8, encoder=dict(width=32, depth=1, heads=4))
GOLDEN = {
    "RGB": ("rgb", None),
    "SENTINEL2-L1C": ("sentinel2-l1c", None),
    "SENTINEL1-GRD": ("sentinel1-grd", None),
    "LANDSAT8-LIKE": ("landsat8-oli-tirs", "B1,B2,B3,B4,B5,B6,B7,B10"),
}


@pytest.fixture(scope="module")
def tiny():
    config = weights.config_of(name="tiny", model=TINY, rule="linear")
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: jax.numpy.asarray(rng.normal(size=x.shape, scale=0.2), x.dtype),
        weights.shapes(config),
    )
    return model.Model(config=config, params=params)


def scene(name, count=2, size=32, seed=0):
    """Images [B, H, W, C] in the stored numbers of a sensor, none of them nodata."""
    rng = np.random.default_rng(seed)
    bands = registry.sensor(name).bands
    low, high = np.array([b.clip for b in bands], np.float32).T
    return low + 1 + (high - low - 1) * rng.random((count, size, size, len(bands)), np.float32)


def channels_last(array):
    return array.transpose(0, 2, 3, 1)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize(("file", "pooling"), [("vit_cls", "cls"), ("vit_gap", "mean")])
def test_vectors_of_the_release(golden, file, pooling, name):
    loaded = smarties.load(golden / "smarties" / f"{file}.safetensors", heads=4)
    case, (sensor, bands) = np.load(golden / "smarties" / f"{file}.npz"), GOLDEN[name]
    z = loaded.embed(channels_last(case[f"in/{name}/img"]), sensor=sensor, bands=bands,
                     pooling=pooling, normalized=True)  # fmt: skip
    np.testing.assert_allclose(z, case[f"out/{name}/features"], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", GOLDEN)
def test_token_maps_of_the_release(golden, name):
    loaded = smarties.load(golden / "smarties" / "vit_all.safetensors", heads=4)
    case, (sensor, bands) = np.load(golden / "smarties" / "vit_all.npz"), GOLDEN[name]
    image = channels_last(case[f"in/{name}/img"])
    t = loaded.tokens(image, sensor=sensor, bands=bands, normalized=True)
    want = channels_last(case[f"out/{name}/features"])
    np.testing.assert_allclose(t, want, rtol=1e-4, atol=2e-5)
    final = loaded.tokens(image, sensor=sensor, bands=bands, normalized=True, final_norm=True)
    assert np.abs(final - want).max() > 0.1


def test_positions_of_another_grid(golden):
    """The release's own table is checked as it is, and any table when interpolated."""
    case = np.load(golden / "smarties" / "pos_embed_interp.npz")
    grid = int(case["in/new_grid"])
    ours = positions.interpolate(case["in/pos_embed"][0, 1:].reshape(4, 4, 64), (grid, grid))
    np.testing.assert_allclose(
        ours.reshape(-1, 64), case["out/pos_embed"][0, 1:], rtol=1e-4, atol=2e-5
    )
    for width, key in ((64, "sincos_pos_embed"), (32, "sincos_decoder_pos_embed")):
        np.testing.assert_allclose(
            positions.sincos_2d((4, 4), width), case[f"out/{key}"][0, 1:], atol=1e-6
        )


def test_band_order_does_not_matter_when_names_follow(tiny):
    images, names = scene("sentinel2-l2a"), ("B04", "B03", "B08")
    position = registry.sensor("sentinel2-l2a").index(names)
    z = tiny.embed(images, sensor="sentinel2-l2a", bands=names)
    for order in ((0, 1, 2), (2, 0, 1)):
        subset = images[..., [position[i] for i in order]]
        again = tiny.embed(subset, sensor="sentinel2-l2a", bands=[names[i] for i in order])
        np.testing.assert_allclose(again, z, atol=1e-5)
    wrong = tiny.embed(subset, sensor="sentinel2-l2a", bands=names)
    assert np.abs(wrong - z).max() > 1e-2


def test_rgb_tiled_four_times_is_rgb(tiny):
    rgb, images = registry.sensor("rgb"), scene("rgb")
    tiled = dataclasses.replace(
        rgb,
        bands=tuple(
            dataclasses.replace(b, name=f"{b.name}{i}") for i in range(4) for b in rgb.bands
        ),
    )
    z = tiny.embed(images, sensor=rgb)
    np.testing.assert_allclose(tiny.embed(np.tile(images, 4), sensor=tiled), z, atol=1e-5)


@pytest.mark.parametrize("name", ["landsat5-tm", "enmap", "naip"])
def test_sensors_nobody_trained_on(tiny, name):
    one, two = tiny.embed(scene(name), sensor=name)
    assert np.isfinite(one).all() and np.abs(one - two).max() > 1e-3


def test_file_bands_and_selected_bands_are_both_understood(tiny):
    images, sensor = scene("sentinel2-l1c"), registry.sensor("sentinel2-l1c")
    selected = images[..., list(sensor.index())]
    assert selected.shape[-1] == 12 < images.shape[-1]
    np.testing.assert_allclose(
        tiny.embed(images, sensor=sensor), tiny.embed(selected, sensor=sensor), atol=1e-6
    )


def test_any_number_of_images_any_grid_one_program(tiny):
    images = scene("rgb", count=11, size=48)[:, :40]
    before = model._features._cache_size()
    z = tiny.embed(images, sensor="rgb", batch_size=4)
    tiny.embed(images[:7], sensor="rgb", batch_size=4)
    assert model._features._cache_size() == before + 1
    assert z.shape == (11, 32) and tiny.tokens(images[:1], sensor="rgb").shape == (1, 5, 6, 32)
    np.testing.assert_allclose(tiny.embed(images[9:10], sensor="rgb")[0], z[9], atol=1e-5)


def test_size_resamples(tiny):
    images = np.repeat(np.repeat(scene("rgb", size=16), 2, 1), 2, 2)
    assert tiny.tokens(images[:, :29, :31], sensor="rgb", size=24).shape == (2, 3, 3, 32)


@pytest.mark.parametrize("fill", [np.nan, np.inf, 0.0])
def test_invalid_pixels_have_no_influence(tiny, fill):
    """Non-finite numbers, and 0: nodata of Sentinel-2."""
    images = scene("sentinel2-l2a")
    hole = np.ones(images.shape[:3], bool)
    hole[:, 3:9, 4:12] = False
    marked = tiny.embed(images, sensor="sentinel2-l2a", valid=hole)
    filled = tiny.embed(np.where(hole[..., None], images, fill), sensor="sentinel2-l2a")
    np.testing.assert_allclose(filled, marked, atol=1e-6)
    assert np.abs(marked - tiny.embed(images, sensor="sentinel2-l2a")).max() > 1e-3


def test_the_sensor_as_trained_goes_before_the_registry(tiny):
    other = dataclasses.replace(
        registry.sensor("rgb"),
        bands=tuple(dataclasses.replace(b, mean=0.1) for b in registry.sensor("rgb").bands),
    )
    config = {**tiny.config, "sensors": {"rgb": registry.sensor_to_dict(other)}}
    trained = model.Model(config=config, params=tiny.params)
    images = scene("rgb")
    z = trained.embed(images, sensor="rgb")
    np.testing.assert_allclose(z, tiny.embed(images, sensor=other), atol=1e-6)
    assert np.abs(z - tiny.embed(images, sensor="rgb")).max() > 1e-3


def _dead(images):
    images = images.copy()
    images[1] = np.nan
    return images


MISTAKES = {
    r"images are \[32, 32, 12\]": dict(images=scene("sentinel2-l2a")[0]),
    "images have 5 bands, but sentinel2-l2a has 12: B01": dict(
        images=scene("sentinel2-l2a")[..., :5]
    ),
    "images have 11 bands.*13.*or 12, its selected bands": dict(
        images=scene("sentinel2-l1c")[..., :11], sensor="sentinel2-l1c"
    ),
    "did you mean 'B04'": dict(bands="B4,B03"),
    "did you mean 'sentinel2-l2a'": dict(sensor="sentinel2-12a"),
    "did you mean 'mean'": dict(pooling="means"),
    "no whole number of patches of 8: crop them, or give size=32": dict(
        images=scene("sentinel2-l2a", size=33)
    ),
    "smaller than a patch": dict(images=scene("sentinel2-l2a", size=6)),
    "size 20 is not a multiple": dict(size=20),
    "image 1 has no valid pixel": dict(images=_dead(scene("sentinel2-l2a"))),
    "look like reflectance in 0..1": dict(images=scene("sentinel2-l2a") / 10_000),
    "look like linear power": dict(images=np.full((1, 32, 32, 2), 0.1), sensor="sentinel1-grd"),
    r"valid is \[2, 32\]": dict(valid=np.ones((2, 32), bool)),
    "of type bool": dict(images=scene("sentinel2-l2a") > 0),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(tiny, words):
    given = dict(images=scene("sentinel2-l2a"), sensor="sentinel2-l2a") | MISTAKES[words]
    with pytest.raises(errors.UserError, match=words) as caught:
        tiny.embed(given.pop("images"), **given)
    assert "\n" not in str(caught.value)
