"""The step, without a loop: accumulation, averages, statistics, own gradients, golden numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import toy

from smarties.training import norms, optimizer, settings, state, trees


def _made(task, **options):
    """Returns (state, jitted step) of a task with plain AdamW at a constant rate."""
    rate = optax.constant_schedule(0.1)
    tx = optimizer.make(settings.DEFAULTS["optimizer"], rate)
    run = state.make_init(task, tx, 0, options.get("ema", 0.0))()
    return run, jax.jit(state.make_step(task, tx, rate, **options))


def _batch(task, step=0):
    batch = next(iter(task.batches("train", 0, 1, step)))
    return {name: {"x": one["x"], "y": one["y"]} for name, one in batch.items()}


def test_golden_numbers_of_one_step():
    """Worked out by hand: when this fails, the step computes something else than AdamW."""
    task = toy.Linear(width=2, batch=4)
    run, step = _made(task)
    batch = _batch(task)
    x = np.concatenate([batch["few"]["x"], batch["many"]["x"]])
    y = np.concatenate([batch["few"]["y"], batch["many"]["y"]])
    gradient = np.concatenate([-2 * (x * y[:, None]).mean(0), [-2 * y.mean()]])
    _, found = step(run, batch)
    want = {
        "loss": (y**2).mean(),
        "absolute": np.abs(y).mean(),
        "gradient_norm": np.linalg.norm(gradient),
        "update_norm": 0.1 * np.sqrt(3),  # Adam's first step is the sign of the gradient
        "parameter_norm": 0.1 * np.sqrt(3),
        "learning_rate": 0.1,
        "finite": 1.0,
        "skipped": 0,
    }
    assert found.keys() == want.keys() | {"norms"}
    for name, value in want.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


def test_accumulation_equals_the_big_batch():
    # No noise: micro-batches fold their own keys, so only a loss that draws nothing can be equal.
    task = toy.Linear()
    whole_run, whole = _made(task)
    parts_run, parts = _made(task, accumulate=4)
    for i in range(3):
        whole_run, big = whole(whole_run, _batch(task, i))
        parts_run, small = parts(parts_run, _batch(task, i))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), small, big)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), parts_run, whole_run
    )


def test_micro_batches_draw_different_numbers():
    class Draws(toy.Linear):
        def loss(self, params, batch, key):
            value = jax.random.normal(key) + 0 * params["layer"]["bias"].sum()
            return value, {"square": value**2}

    run, step = _made(Draws(), accumulate=4)
    _, metrics = step(run, _batch(Draws()))
    assert metrics["square"] - metrics["loss"] ** 2 > 0.01  # a variance over micro-batches


def test_randomness_depends_on_the_step_alone():
    task = toy.Perceptron(noise=1.0)
    run, step = _made(task)
    first, again = step(run, _batch(task))[1], step(run, _batch(task))[1]
    later = step(run.replace(step=run.step + 1), _batch(task))[1]
    assert first["loss"] == again["loss"] != later["loss"]


def test_moving_average_formula():
    task = toy.Linear()
    run, step = _made(task, ema=0.75)
    want = run.params["layer"]["kernel"]
    for i in range(3):
        run, _ = step(run, _batch(task, i))
        want = 0.75 * want + 0.25 * run.params["layer"]["kernel"]
    np.testing.assert_allclose(run.ema["layer"]["kernel"], want, rtol=1e-6)


def test_statistics_are_returned_anew_and_not_trained():
    task = toy.Perceptron()
    run, step = _made(task, accumulate=2, ema=0.5)
    assert "stats" not in run.opt_state[1].mu
    batch = _batch(task)
    new, _ = step(run, batch)
    mean = np.zeros(8)
    for i in range(2):
        few, many = batch["few"]["x"][i::2], batch["many"]["x"][i::2]
        mean = 0.9 * mean + 0.1 * np.concatenate([few, many]).mean(0)
    np.testing.assert_allclose(new.params["stats"]["mean"], mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(new.ema["stats"]["mean"], new.params["stats"]["mean"])


def test_a_task_may_bring_its_own_gradients():
    class Own(toy.Linear):
        def gradients(self, params, batch, key):
            ones = jax.tree.map(jnp.ones_like, params)
            ones["layer"]["bias"] = 0 * ones["layer"]["bias"]
            return ones, {"loss": jnp.float32(7.0)}

    run, step = _made(Own())
    new, metrics = step(run, _batch(Own()))
    assert metrics["loss"] == 7.0
    moved = {path: np.any(leaf) for path, leaf in trees.leaves(new.params).items()}
    assert moved == {"layer/kernel": True, "layer/bias": False}


def test_a_batch_that_is_not_finite_changes_nothing():
    task = toy.Perceptron(bad_step=1)
    run, step = _made(task, ema=0.5)
    run, _ = step(run, _batch(task, 0))
    kept, metrics = step(run, _batch(task, 1))
    assert not metrics["finite"] and metrics["skipped"] == 1
    assert (int(kept.step), int(kept.skipped)) == (2, 1)
    for name in ("params", "opt_state", "ema"):
        jax.tree.map(np.testing.assert_array_equal, getattr(kept, name), getattr(run, name))
    after, _ = step(kept, _batch(task, 2))
    assert np.any(after.params["leave"]["kernel"] != kept.params["leave"]["kernel"])


def test_norms_by_block_are_those_of_the_layers():
    task = toy.Perceptron()
    run, step = _made(task)
    new, metrics = step(run, _batch(task))
    found = dict(norms.named(metrics["norms"]["parameter"]))
    assert {"blocks/0", "blocks/1", "enter/kernel", "leave/bias", "cls_token"} <= found.keys()
    layers = trees.leaves(new.params["blocks"]).values()
    want = np.sqrt(sum((np.asarray(leaf)[1] ** 2).sum() for leaf in layers))
    np.testing.assert_allclose(found["blocks/1"], want, rtol=1e-6)
    total = np.sqrt(sum(value**2 for value in found.values()))
    np.testing.assert_allclose(metrics["parameter_norm"], total, rtol=1e-6)


def test_not_finite_is_seen_in_loss_and_in_gradient():
    class Bad(toy.Linear):
        def loss(self, params, batch, key):
            at_zero = jnp.sqrt(jnp.abs(params["layer"]["kernel"]).sum() * 0.0)
            return at_zero, {}  # 0, with the gradient of a square root at 0

    good, step = _made(toy.Linear())
    assert step(good, _batch(toy.Linear()))[1]["finite"] == 1
    assert step(good, _batch(toy.Linear(bad_step=0)))[1]["finite"] == 0
    run, step = _made(Bad())
    metrics = step(run, _batch(Bad()))[1]
    assert np.isfinite(metrics["loss"]) and metrics["finite"] == 0
