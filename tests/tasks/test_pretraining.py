"""The pretraining task: what the encoder may see, what the loss may count, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import config_dict

from smarties import errors, tasks
from smarties.data import prepare
from smarties.data.planet import source as planet_source
from smarties.models import mixup


def config(**task):
    planet = dict(kind="planet", sensors=("sentinel2-l2a", "sentinel1-grd"), size=32)
    return config_dict.ConfigDict(
        dict(
            name="tiny",
            seed=0,
            batch_size=8,
            task=dict(name="pretraining", **task),
            model=dict(
                image_size=32,
                patch=8,
                encoder=dict(width=32, depth=2, heads=2),
                decoder=dict(width=16, depth=1, heads=2),
            ),
            data=dict(
                streams=dict(
                    radar=dict(
                        first="sentinel2-l2a",
                        second="sentinel1-grd",
                        share=1.0,
                        source={**planet, "count": 64, "cache": True},
                    )
                ),
                threads=0,
            ),
            evaluate=dict(
                every=0,
                source={**planet, "count": 16, "first": 1000, "cache": True},
                archive={**planet, "count": 16, "first": 2000, "cache": True},
                pairs=dict(radar=("sentinel2-l2a", "sentinel1-grd")),
                batch=8,
            ),
        )
    )


@pytest.fixture(scope="module")
def task():
    return tasks.make(config())


@pytest.fixture(scope="module")
def params(task):
    return jax.jit(task.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def batch(task):
    host = next(iter(task.batches("train", 0, 1, 0)))
    return {"radar": {side: host["radar"][side] for side in ("first", "second")}}


def test_masked_pixels_cannot_reach_the_encoder(task, params, batch):
    """The encoder's output has no gradient at masked patches of either sensor, but at visible."""
    patches, _ = task.view(batch, None)
    (drawn,) = task.draws(jax.random.key(3), [8])

    def encoded(pair):
        bound = task.model.bind({"params": params})
        streams = bound._mixed(pair, task.mixings[0], drawn)
        out, _ = bound.encoder.encode(jnp.concatenate(streams))
        return (out * jnp.cos(jnp.arange(out.size).reshape(out.shape))).sum()

    for grad in jax.grad(encoded)(patches[0]):
        size = np.abs(grad).sum((2, 3))
        masked = np.take_along_axis(size, np.asarray(drawn.masked), 1)
        visible = np.take_along_axis(size, np.asarray(drawn.visible), 1)
        assert (masked == 0).all() and (visible > 0).mean() > 0.9


def test_mirrored_streams_hold_every_token_of_both_sensors_once():
    drawn = mixup.draw(jax.random.key(0), 4, 16, 0.5, 0.75)
    first, second = jnp.zeros((4, 16, 1)), jnp.ones((4, 16, 1))
    one, two = mixup.mix(first, second, drawn.first, "mirrored")
    np.testing.assert_array_equal(one + two, np.ones((4, 16, 1)))
    assert (np.asarray(one).sum((1, 2)) == 8).all()
    _, released = mixup.mix(first, second, drawn.first, "released")
    assert (released == 1).all()
    both = np.sort(np.concatenate([drawn.visible, drawn.masked], 1), 1)
    np.testing.assert_array_equal(both, np.tile(np.arange(16), (4, 1)))


def test_the_loss_ignores_visible_targets(task, params, batch):
    """Visible targets do not move the loss when the prediction is held; masked ones do."""
    from smarties.tasks import objective

    patches, valid = task.view(batch, None)
    (drawn,) = draws = task.draws(jax.random.key(3), [8])
    outputs = task.model.apply({"params": params}, patches, task.mixings, draws)

    def value(pair):
        (losses,) = objective.per_sample(
            outputs, (pair,), valid, draws, standardised=False, count=None
        )
        return losses.sum()

    for grad in jax.grad(value)(patches[0]):
        size = np.abs(grad).sum((2, 3))
        assert (np.take_along_axis(size, np.asarray(drawn.visible), 1) == 0).all()
        assert (np.take_along_axis(size, np.asarray(drawn.masked), 1) > 0).all()


def test_all_invalid_images_are_counted_and_teach_nothing(task, params, batch):
    hidden = jax.tree.map(np.copy, batch)
    for side in ("first", "second"):
        hidden["radar"][side]["valid"][:2] = False
        hidden["radar"][side]["image"][:2] = 0
    spoiled = jax.tree.map(np.copy, hidden)
    spoiled["radar"]["second"]["image"][:2] = np.nan
    key = jax.random.key(5)
    value, metrics = task.loss(params, hidden, key)
    assert float(metrics["empty_share"]) == pytest.approx(0.25)
    assert np.isfinite(value) and float(task.loss(params, spoiled, key)[0]) == float(value)


def test_flops_agree_with_the_published_count():
    """8 pairs of ViT-B: encoder 137, decoder 169, projection 2.2, heads 4.5 GFLOP [spec 4.1]."""
    from smarties.models import flops

    stages = flops.autoencoder(
        pairs=[(4, 3, 12), (4, 12, 2)],
        tokens=196,
        visible=49,
        pixels=256,
        encoder=(768, 12),
        decoder=(512, 8),
    )
    got = {s.name: s.flops / 1e9 for s in stages}
    assert got["encoder"] == pytest.approx(137, rel=0.03)
    assert got["decoder"] == pytest.approx(169, rel=0.03)
    assert got["projection"] == pytest.approx(2.2, rel=0.05)
    assert got["heads"] == pytest.approx(4.5, rel=0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(mixupp="x"), "did you mean 'task.mixup'"),
        (dict(mixup="mirored"), "did you mean 'mirrored'"),
        (dict(mask_ratio=1.0), "task.mask_ratio"),
    ],
)
def test_wrong_options_are_named(change, words):
    with pytest.raises(errors.UserError, match=words):
        tasks.make(config(**change))


@pytest.mark.slow
def test_training_beats_the_mean_and_random_weights_on_held_out_scenes(
    task, params, batch, tmp_path
):
    """A hundred and fifty steps are enough for reconstruction; shuffled targets would not pass."""
    import optax

    tx = optax.adamw(2e-3)
    state = tx.init(params)

    @jax.jit
    def step(params, state, batch, key):
        (loss, _), grads = jax.value_and_grad(task.loss, has_aux=True)(params, batch, key)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    trained, losses = params, []
    for i, host in enumerate(task.batches("train", 0, 1, 0)):
        if i == 150:
            break
        part = {"radar": {side: host["radar"][side] for side in ("first", "second")}}
        trained, state, loss = step(trained, state, part, jax.random.fold_in(jax.random.key(0), i))
        losses.append(float(loss))
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:5])
    values = task.evaluate(trained, 150, tmp_path)
    for sensor in ("sentinel2-l2a", "sentinel1-grd"):
        name = f"reconstruct/{sensor}"
        assert values[name] < 0.75 * values[f"{name}/random"]
    with np.load(tmp_path / "reconstructions.npz") as scenes:
        assert int(scenes["step"]) == 150
        assert scenes["radar/0/sentinel2-l2a/predicted"].shape == (4, 12, 12, 64)
    assert all(np.isfinite(v) for v in values.values())


def test_weights_are_not_judged_by_patches_they_have_seen(tmp_path):
    class Patches(planet_source.Planet):
        published = ()

    for name, published in (("one", "bigearthnet-v1:train"), ("two", "bigearthnet-v2:train")):
        places = Patches(sensors=("sentinel2-l2a", "sentinel1-grd"), size=32, count=8)
        places.published = (published,)
        prepare.prepare(places, tmp_path, name)
    changed = config()
    changed.data.streams.radar.source = dict(kind="records", directory=str(tmp_path / "one"))
    changed.evaluate.source = dict(kind="records", directory=str(tmp_path / "two"))
    with pytest.raises(errors.UserError, match="bigearthnet-v1:train cannot be evaluated on"):
        tasks.make(changed)
    changed.evaluate.allow_leakage = True
    tasks.make(changed)
