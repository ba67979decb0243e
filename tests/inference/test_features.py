"""Features of labelled examples: the model's own, coarser, of fewer bands; and the baselines."""

import dataclasses

import jax
import numpy as np
import pytest

from smarties import errors
from smarties.data import sources, subsets
from smarties.data.planet import source as planet
from smarties.inference import baselines, features, model
from smarties.interchange import weights

TINY = dict(image_size=32, patch=8, encoder=dict(width=32, depth=1, heads=4))
SENSORS = ("sentinel2-l2a", "landsat8-oli-tirs", "sentinel1-grd")


@pytest.fixture(scope="module")
def tiny():
    config = weights.config_of(name="tiny", model=TINY, rule="linear")
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: jax.numpy.asarray(rng.normal(size=x.shape, scale=0.2), x.dtype),
        weights.shapes(config),
    )
    return model.Model(config=config, params=params)


@pytest.fixture(scope="module")
def part():
    held = sources.Cached(planet.Planet(sensors=SENSORS, count=10, size=32, gaps=0.3))
    return subsets.read(held, "land_cover", planet.LAND_COVER)[0]


@pytest.fixture(scope="module")
def whole_part():
    held = sources.Cached(planet.Planet(sensors=SENSORS[:1], count=8, size=32))
    return subsets.read(held, "land_cover", planet.LAND_COVER)[0]


def images(part, sensor):
    examples = [part.source[i] for i in part.indices]
    return (np.stack([e[k][sensor] for e in examples]) for k in ("images", "valid"))


def test_are_those_of_embed_whatever_the_batch(tiny, part):
    seen = features.view(part.source, "sentinel2-l2a")
    pixels, valid = images(part, "sentinel2-l2a")
    found = features.extract(features.Transformer(tiny), part, seen, batch=4)
    again = features.extract(features.Transformer(tiny), part.take(np.array([9, 2])), seen, 4)
    for pooling in ("cls", "mean"):
        z = tiny.embed(pixels, sensor="sentinel2-l2a", valid=valid, pooling=pooling)
        np.testing.assert_allclose(found[pooling], z, atol=1e-5)
        np.testing.assert_allclose(again[pooling], z[[9, 2]], atol=1e-5)


def test_bands_by_name_in_any_order(tiny, part):
    pixels, valid = images(part, "sentinel2-l2a")
    want = tiny.embed(pixels, sensor="sentinel2-l2a", bands="B04,B03,B08", valid=valid)
    for bands in ("B04,B03,B08", "B08,B04,B03"):
        seen = features.view(part.source, "sentinel2-l2a", bands)
        found = features.extract(features.Transformer(tiny), part, seen)["cls"]
        np.testing.assert_allclose(found, want, atol=1e-5)


@pytest.mark.parametrize("name", ["model", "statistics", "convolutions"])
def test_a_coarser_camera_is_ever_farther_from_the_whole(tiny, whole_part, name):
    part = whole_part
    whole = features.view(part.source, "sentinel2-l2a")
    encoder = {
        "model": features.Transformer(tiny),
        "statistics": baselines.Statistics(whole.sensor),
        "convolutions": baselines.convolutions(part, whole, filters=16),
    }[name]
    full = features.extract(encoder, part, whole)
    variant = next(iter(full))
    apart = []
    for share in (0.5, 0.25, 0.125):
        seen = dataclasses.replace(whole, resolution=share)
        found = features.extract(encoder, part, seen)[variant]
        apart.append(np.abs(found - full[variant]).mean())
    assert 0 < apart[0] < apart[1] < apart[2]


def test_another_size_than_the_files(tiny, part):
    seen = features.view(part.source, "sentinel1-grd")
    pixels, valid = images(part, "sentinel1-grd")
    found = features.extract(features.Transformer(tiny, ("mean",), size=16), part, seen)
    want = tiny.embed(pixels, sensor="sentinel1-grd", valid=valid, size=16, pooling="mean")
    np.testing.assert_allclose(found["mean"], want, atol=1e-5)


def test_random_weights_are_seeded_and_have_another_digest(tiny):
    one, again, other = (features.untrained(tiny, seed) for seed in (0, 0, 1))
    digests = [features.digest(m) for m in (tiny, one, again, other)]
    assert digests[1] == digests[2] and len(set(digests)) == 3
    shapes = [jax.tree.map(np.shape, m.params["encoder"]) for m in (tiny, one)]
    assert shapes[0] == shapes[1]


def test_statistics_are_those_of_valid_pixels(part):
    seen = features.view(part.source, "sentinel2-l2a", "B04,B08")
    found = features.extract(baselines.Statistics(seen.sensor), part, seen)["bands"]
    pixels, valid = images(part, "sentinel2-l2a")
    for row, image, mask in zip(found, pixels, valid, strict=True):
        for i, name in enumerate(("B04", "B08")):
            position = seen.whole.names.index(name)
            band = seen.whole.bands[position]
            unit = (image[..., position][mask] - band.clip[0]) / (band.clip[1] - band.clip[0])
            x = (np.clip(unit, 0, 1) - band.mean) / band.std
            want = [x.mean(), x.std(), *np.percentile(x, baselines.PERCENTILES)]
            np.testing.assert_allclose(row[7 * i : 7 * i + 7], want, atol=2e-3)


def test_bands_of_another_sensor_are_made_of_their_neighbours_in_wavelength(part):
    s2, l8, s1 = (features.view(part.source, name).sensor for name in SENSORS)
    weights = baselines.matched(s2, l8)
    for row, band in zip(weights, s2.bands, strict=True):
        centers = [b.center for b, w in zip(l8.bands, row, strict=True) if w]
        made = sum(w * b.center for w, b in zip(row, l8.bands, strict=True) if w)
        assert row.sum() == pytest.approx(1) and 1 <= len(centers) <= 2
        inside = min(b.center for b in l8.bands) < band.center < max(b.center for b in l8.bands)
        assert not inside or made == pytest.approx(band.center, abs=1)
    assert not baselines.matched(s2, s1).any() and not baselines.matched(s1, s2).any()
    np.testing.assert_array_equal(baselines.matched(s1, s1), np.eye(2))
    np.testing.assert_array_equal(
        baselines.matched(s2, s2.select(s2.names[::-1])), np.eye(12)[::-1]
    )
    thermal = [b.domain == "thermal" for b in l8.bands]
    found = features.extract(baselines.Statistics(l8), part, features.view(part.source, SENSORS[0]))
    lacking = np.isnan(found["bands"].reshape(len(part), len(l8.bands), -1))
    assert lacking[:, thermal].all() and not lacking[:, np.logical_not(thermal)].any()


def test_convolutions_see_texture_that_statistics_do_not():
    """Images with the same pixels in another order differ for filters alone."""
    rng = np.random.default_rng(0)
    smooth = np.sort(rng.uniform(300, 2500, (8, 32, 32, 12)).reshape(8, -1, 12), 1)
    smooth = smooth.reshape(8, 32, 32, 12).astype(np.uint16)
    rough = rng.permuted(smooth.reshape(8, -1, 12), axis=1).reshape(smooth.shape)

    class Two:
        sensors = ("sentinel2-l2a",)

        def __len__(self):
            return 16

        def __getitem__(self, i):
            image = (smooth, rough)[i % 2][i // 2]
            return {
                "images": {"sentinel2-l2a": image},
                "valid": {"sentinel2-l2a": np.ones((32, 32), bool)},
                "id": str(i),
                "labels": np.int64(i % 2),
            }

    part, _ = subsets.read(Two(), "labels", "ab")
    seen = features.view(part.source, "sentinel2-l2a")
    apart = {}
    for encoder in (
        baselines.Statistics(seen.sensor),
        baselines.convolutions(part, seen, filters=16),
    ):
        ((name, values),) = features.extract(encoder, part, seen).items()
        spread = values[::2].mean(0) - values[1::2].mean(0)
        apart[name] = np.abs(spread).max() / values.std()
    assert apart["bands"] < 1e-3 and apart["filters"] > 0.1


def test_mistakes_are_one_line(part):
    for words, given in {
        "unknown band of sentinel2-l2a 'B4': did you mean": ("sentinel2-l2a", "B4,B08"),
        "unknown sensor of a source 'enmap': known": ("enmap",),
        "resolution 1.5: a share": ("sentinel2-l2a", "", 1.5),
    }.items():
        with pytest.raises(errors.UserError, match=words):
            features.view(part.source, *given)
