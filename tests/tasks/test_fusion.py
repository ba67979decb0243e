"""Several sensors, some bands, and sensors that are missing at test time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import planet
import pytest

from smarties import errors
from smarties.data import pipeline, views

BOTH = (planet.S2, planet.S1)


def tokens(fusion, names=BOTH, sensors=BOTH, bands=None):
    """Returns the streams [B, N, D] of the first images, by the sensors `names`."""
    task, _ = planet.make(task=dict(fusion=fusion), data=dict(sensors=sensors, bands=bands or {}))
    params = jax.jit(task.init)(jax.random.key(0))["encoder"]
    (batch, _), *_ = pipeline.sequential(task.data.train, range(4), batch=4)
    images, valid = ({n: batch[kind][n] for n in names} for kind in ("images", "valid"))

    def run(params, images, valid):
        seen = task.inputs.view(images, valid, views.whole_window(4))
        return [stream[0] for stream in task.inputs.encode(params, seen)]

    return [np.asarray(stream) for stream in jax.jit(run)(params, images, valid)]


def test_streams_of_sensors():
    one, two = tokens("concat")
    np.testing.assert_allclose(one, tokens("concat", BOTH[:1], BOTH[:1])[0], atol=1e-4)
    np.testing.assert_allclose(two, tokens("concat", BOTH[1:], BOTH[1:])[0], atol=1e-4)
    (stack,) = tokens("stack")
    assert np.abs(stack - one).max() > 0.01 and np.abs(stack - two).max() > 0.01
    mixed = tokens("mixup_concat")
    assert len(mixed) == 2 and np.abs(mixed[0] - mixed[1]).max() > 0.01
    for a, b in zip(mixed, tokens("mixup_concat"), strict=True):
        np.testing.assert_array_equal(a, b)  # evaluation draws nothing


@pytest.mark.parametrize("fusion", ["concat", "stack", "mixup_concat"])
@pytest.mark.parametrize("name", BOTH)
def test_a_missing_sensor_leaves_its_place_to_the_other(fusion, name):
    (alone,) = tokens("concat", (name,), (name,))
    for stream in tokens(fusion, (name,)):
        np.testing.assert_allclose(stream, alone, atol=1e-4)


def test_mirrored_mixtures_hold_each_token_once():
    task, _ = planet.make(task=dict(fusion="mixup_concat"), data=dict(sensors=BOTH))
    encoder = dataclasses.replace(task.inputs, encoder=_Tokens())
    images = {
        n: jnp.full((3, 32, 32, len(b)), i) for i, (n, b) in enumerate(task.data.bands.items())
    }
    for key in (None, jax.random.key(1)):
        one, two = (stream[0][..., 0] for stream in encoder.encode({}, images, key=key))
        np.testing.assert_array_equal(one + two, 1)
        np.testing.assert_array_equal(one.sum(1), 8)
        assert (key is None) == bool((one == one[:1]).all())


class _Tokens:
    """An encoder whose tokens are the mean of their pixels."""

    def apply(self, variables, x, *arguments, method, **options):
        if method == "project":
            return x.mean((2, 3))[..., None]
        return (x, x) if method == "encode" else x


def test_bands_are_taken_by_name_in_any_order():
    some = ("B04", "B03", "B02")
    (rgb,) = tokens("concat", BOTH[:1], BOTH[:1], {planet.S2: some})
    (turned,) = tokens("concat", BOTH[:1], BOTH[:1], {planet.S2: some[::-1]})
    np.testing.assert_allclose(rgb, turned, atol=1e-4)
    (other,) = tokens("concat", BOTH[:1], BOTH[:1], {planet.S2: ("B04", "B03", "B08")})
    assert np.abs(rgb - other).max() > 0.01


def test_evaluation_leaves_sensors_out():
    task, config = planet.make(
        task=dict(fusion="concat"), steps=60, data=dict(sensors=BOTH),
        optimizer=dict(learning_rate=1e-2), evaluate=dict(missing=(planet.S1,)),
    )  # fmt: skip
    run, _, _ = planet.trained(task, config)
    values = task.evaluate(planet.on_one(run.params), 0, None)
    whole, part = values["test/micro_ap"], values[f"test/without {planet.S1}/micro_ap"]
    assert whole != part and part > 0.4, (whole, part)


def test_no_sensor_at_all_is_refused():
    task, _ = planet.make()
    with pytest.raises(errors.UserError, match="no image of any of sentinel2-l2a"):
        task.inputs.encode({}, {})
