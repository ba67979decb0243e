"""The CSMAE task: options, what evaluation sees, and what its losses teach on a toy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy_csmae as toy
from ml_collections import config_dict

from smarties import errors, tasks
from smarties.tasks import csmae

S1, S2 = "sentinel1-grd", "sentinel2-l2a"
ALONE = dict(mim=False, mde=False)


def config(model=None, streams=None, **task):
    planet = dict(kind="planet", sensors=(S1, S2), size=32, cache=True)
    sizes = dict(
        image_size=32, patch=8, encoder=dict(width=32, heads=2, specific=1, shared=1),
        decoder=dict(width=16, depth=1, heads=2),
    )  # fmt: skip
    pair = dict(first=S1, second=S2, share=1.0, source={**planet, "count": 32})
    return config_dict.ConfigDict(
        dict(
            name="tiny",
            seed=0,
            batch_size=8,
            task=dict(name="csmae", **task),
            model={**sizes, **(model or {})},
            data=dict(streams=streams or dict(radar=pair), threads=0),
            evaluate=dict(
                every=0,
                source={**planet, "count": 16, "first": 1000},
                pairs=dict(radar=(S1, S2)),
                batch=8,
            ),
        )
    )


def started(task):
    params = jax.jit(task.init)(jax.random.key(0))
    host = next(iter(task.batches("train", 0, 1, 0)))
    spec = task.batch_spec()
    batch = {name: {side: host[name][side] for side in part} for name, part in spec.items()}
    return params, batch


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(maskin="x"), "did you mean 'task.masking'"),
        (dict(masking="disjont"), "did you mean 'disjoint'"),
        (dict(masking="disjoint", mask_ratio=0.7), "11.2: disjoint masks need a whole number"),
        (dict(mask_ratio=0.999), "some must be masked and some visible"),
        (dict(unimodal=False, crossmodal=False, mim=False), "nothing is learnt"),
        (dict(temperature=0.0), "task.temperature is 0.0: above 0"),
        (dict(placement="released", masking="disjoint"), "use placement paper"),
        (dict(scored="source"), "task.scored"),
        (dict(model=dict(pooling="mean")), "model.pooling"),
    ],
)
def test_wrong_options_are_named(change, words):
    with pytest.raises(errors.UserError, match=words):
        tasks.make(config(**change))


def test_every_term_is_one_field():
    """Each ablation changes which terms the loss has, and nothing else."""
    own, across = [f"error/{s}->{s}" for s in (S1, S2)], [f"error/{S1}->{S2}", f"error/{S2}->{S1}"]
    for change, terms in (
        ({}, [*own, *across, "mim"]),
        (dict(mde=True), [*own, *across, "mim", "mde"]),
        (dict(crossmodal=False, mim=False), own),
        (dict(unimodal=False, mim=False), across),
        (dict(unimodal=False, crossmodal=False), ["mim"]),
    ):
        task = tasks.make(config(**change))
        shapes = jax.eval_shape(task.init, jax.random.key(0))
        _, metrics = jax.eval_shape(task.loss, shapes, task.batch_spec(), jax.random.key(0))
        assert set(metrics) == {*terms, "empty_share"}


def test_evaluation_sees_all_tokens_whatever_the_masking():
    """With disjoint masks the released code would leave Sentinel-2 without a token."""
    features = {}
    for kind in ("disjoint", "random"):
        task = tasks.make(config(masking=kind))
        params, batch = started(task)
        image = jnp.asarray(batch["radar"]["second"]["image"], jnp.float32) / 3000
        encoded = jax.jit(task.encoded, static_argnums=(2, 3))
        features[kind], _ = encoded(params, image, task.pairs["radar"][1], "mean")
        apart = np.abs(features[kind][0] - features[kind][1]).max()
        assert np.isfinite(features[kind]).all() and apart > 1e-3
    np.testing.assert_array_equal(features["disjoint"], features["random"])


def test_features_do_not_depend_on_the_order_of_tokens():
    task = tasks.make(config())
    params, _ = started(task)
    patches = jax.random.normal(jax.random.key(0), (2, 16, 2, 64))
    where = jax.random.normal(jax.random.key(1), (2, 16, 32))
    order = jax.random.permutation(jax.random.key(2), 16)

    @jax.jit
    def pooled(patches, where):
        def run(encoder):
            normed, _ = encoder.finish(encoder.own(S1, patches, where, None))
            return encoder.pool(normed)

        bound = task.model.encoder
        return bound.apply({"params": params["encoder"]}, method=lambda m: run(m))

    shuffled = pooled(patches[:, order], where[:, order])
    np.testing.assert_allclose(pooled(patches, where), shuffled, atol=1e-5)
    assert np.abs(pooled(patches, where) - pooled(patches[:, order], where)).max() > 1e-3


def test_visible_pixels_do_not_count_as_targets():
    """Of what a sensor says of itself, visible targets move nothing and masked ones all."""
    task = tasks.make(config(crossmodal=False, **ALONE))
    params, batch = started(task)
    (patches,), (valid,) = task.view(batch, None)
    masks = task.masks(jax.random.key(3), 8)
    outputs = jax.jit(
        lambda p: task.model.apply({"params": p}, (S1, S2), patches, (None, None), masks, task.jobs)
    )(params)

    def value(pair):
        found = csmae.terms(task.recipe, task.jobs, outputs, pair, valid, masks)
        return sum(x.sum() for x in found.values())

    for grad, mask in zip(jax.grad(value)(patches), masks, strict=True):
        size = np.abs(grad).sum((2, 3))
        assert (np.take_along_axis(size, np.asarray(mask.visible), 1) == 0).all()
        assert (np.take_along_axis(size, np.asarray(mask.masked), 1) > 0).all()


def test_pairs_without_a_valid_pixel_teach_nothing():
    task = tasks.make(config(mde=True))
    params, batch = started(task)
    for side in ("first", "second"):
        batch["radar"][side]["valid"][:2] = False
    spoiled = jax.tree.map(np.copy, batch)
    spoiled["radar"]["first"]["image"][:2] = np.nan
    loss = jax.jit(task.loss)
    value, metrics = loss(params, batch, jax.random.key(5))
    assert float(metrics["empty_share"]) == pytest.approx(0.25) and np.isfinite(value)
    assert float(loss(params, spoiled, jax.random.key(5))[0]) == float(value)


def test_any_pair_of_sensors_through_the_spectrum(tmp_path):
    """Two streams of three sensors, one projection; each has its own blocks."""
    streams = {
        name: dict(
            first=first, second=second, share=0.5,
            source=dict(kind="planet", sensors=(first, second), size=32, count=16),
        )
        for name, (first, second) in dict(vhr=("rgb", S2), radar=(S1, S2)).items()
    }  # fmt: skip
    given = config(model=dict(embedding="spectrum", decoding="specific"), streams=streams)
    del given.evaluate
    task = tasks.make(given)
    params, batch = started(task)
    assert {k for k in params["encoder"] if k.startswith("stack_")} == {
        f"stack_{n}" for n in ("rgb", S1, S2)
    }
    loss = jax.jit(jax.value_and_grad(lambda p: task.loss(p, batch, jax.random.key(0))[0]))
    value, grads = loss(params)
    assert np.isfinite(value)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(grads["encoder"]["projection"]))


def test_held_out_numbers_stand_beside_their_baselines(tmp_path):
    task = tasks.make(config(mim=False))
    params = jax.jit(task.init)(jax.random.key(0))
    host = [b["radar"] for b, _ in zip(task.batches("train", 0, 1, 0), range(4), strict=False)]
    pairs = [{side: b[side] for side in ("first", "second")} for b in host]
    batches = jax.tree.map(lambda *x: np.stack(x), *pairs)
    tx = optax.adam(1e-3)

    @jax.jit
    def run(params):
        def step(carry, number):
            batch = {"radar": jax.tree.map(lambda x: jnp.asarray(x)[number % 4], batches)}
            key = jax.random.fold_in(jax.random.key(0), number)
            grads = jax.grad(lambda p: task.loss(p, batch, key)[0])(carry[0])
            updates, state = tx.update(grads, carry[1])
            return (optax.apply_updates(carry[0], updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), jnp.arange(60))[0][0]

    values = task.evaluate(run(params), 60, tmp_path)
    for name in (S1, S2, f"{S1}->{S2}", f"{S2}->{S1}"):
        assert values[f"reconstruct/{name}"] < values[f"reconstruct/{name}/random"]
        assert values[f"reconstruct/{name}/mean"] > 0
    assert {f"retrieve/{S1}->{S2}", f"retrieve/{S2}->{S1}/chance"} <= set(values)


@pytest.fixture(scope="module")
def world():
    return [toy.images(count, seed) for count, seed in ((1024, 0), (256, 1), (512, 2))]


@pytest.mark.slow
def test_only_what_crosses_the_sensors_brings_them_together(world):
    """MIM for 60 steps does, with pairs; with pairs permuted, nothing is left but chance."""
    pair, *held = world
    model, floor = toy.module("cecd"), toy.chance(held[0][1], held[1][1])
    recipe = csmae.Recipe(unimodal=False, crossmodal=False)
    scores = []
    for other in (pair[0][1], np.roll(pair[0][1], 1, 0)):
        params = toy.train(model, recipe, (pair[0][0], other), jax.random.key(0), 80)
        scores.append(np.mean(toy.across(model, params, *held)))
    assert scores[0] > floor + 0.3 and scores[1] < floor + 0.1, (scores, floor)


@pytest.mark.long
def test_behaviour_of_the_losses(world):
    """Cross-modal F1@10 [spec sheet, table of learned behaviour], after 250 steps.

    The flipped sign of MDE is the mistake of who takes the released function by itself.
    """
    pair, *held = world
    model, floor = toy.module("cecd"), toy.chance(held[0][1], held[1][1])
    got = {"untrained": toy.across(model, jax.jit(toy.start, static_argnums=0)(model), *held)}
    for name, recipe, mde in (
        ("own", csmae.Recipe(crossmodal=False, **ALONE), 1.0),
        ("across", csmae.Recipe(**ALONE), 1.0),
        ("mde", csmae.Recipe(mim=False, mde=True), 1.0),
        ("flipped", csmae.Recipe(mim=False, mde=True), -1.0),
    ):
        params = toy.train(model, recipe, pair[0], jax.random.key(0), 250, mde)
        got[name] = toy.across(model, params, *held)
    mean = {name: np.mean(both) for name, both in got.items()}
    assert mean["untrained"] <= floor + 0.1 and mean["own"] <= floor + 0.05, got
    assert mean["across"] >= 0.70 and mean["mde"] >= mean["across"] - 0.02, got
    assert mean["flipped"] <= 0.55 and mean["flipped"] <= mean["across"] - 0.25, got


@pytest.mark.long
@pytest.mark.parametrize("masking", ["random", "identical", "disjoint"])
@pytest.mark.parametrize("variant", toy.VARIANTS)
def test_all_variants_learn_with_all_masks(world, variant, masking):
    pair, *held = world
    model = toy.module(variant)
    recipe = csmae.Recipe(masking=masking)
    params = toy.train(model, recipe, pair[0], jax.random.key(0), 250)
    there, back = toy.across(model, params, *held)
    assert min(there, back) >= 0.88 and abs(there - back) <= 0.03, (there, back)


@pytest.mark.long
def test_reconstruction_uses_the_other_sensor(world):
    """Held-out error of sensor two from one: below the mean's, and above with another's images."""
    pair, held, _ = world
    model, recipe = toy.module("cecd"), csmae.Recipe()
    params = toy.train(model, recipe, pair[0], jax.random.key(0), 250)
    masks = toy.draw(recipe, jax.random.key(1), len(held[1]))
    one, two = held[0]
    error = jax.jit(lambda *p: toy.losses(model, recipe, params, p, masks)[0, 1])
    mean = np.square(two - pair[0][1].mean((0, 1, 2))).mean()
    true, wrong = float(error(one, two)), float(error(np.roll(one, 1, 0), two))
    assert true <= 0.85 * mean and wrong >= 1.1 * mean, (true / mean, wrong / mean)
