"""What a task's `rate_factor` does: layers slower than others, and parameters that stay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy
from ml_collections import config_dict

from smarties import errors
from smarties.training import optimizer, plan, settings, state, trees


class Stacked:
    """Two parameters that all gradients reach alike, and one stack of four layers."""

    def __init__(self, factors):
        self.rate_factor = factors

    def init(self, key):
        blocks = {"fc1": {"kernel": jnp.zeros((4, 2, 3))}}
        return {
            "encoder": {"blocks": blocks, "cls": jnp.zeros(2)},
            "head": {"bias": jnp.zeros(2)},
            "stats": {"seen": jnp.zeros(())},
        }

    def loss(self, params, batch, key):
        trained = {name: value for name, value in params.items() if name != "stats"}
        total = sum(leaf.sum() for leaf in jax.tree.leaves(trained))
        return total + batch["x"].mean(), {"stats": {"seen": params["stats"]["seen"] + 1}}


def made(factors, **options):
    config = {**settings.DEFAULTS["optimizer"], "clip_norm": 1.0, "weight_decay": 0.0}
    task, rate = Stacked(factors), optax.constant_schedule(0.1)
    tx = optimizer.make(config, rate, factors)
    run = state.make_init(task, tx, 0, options.get("ema", 0.0))()
    return run, jax.jit(state.make_step(task, tx, rate, **options))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_layers_move_by_their_factors(accumulate):
    factors = {"encoder/blocks/fc1/kernel": (0.125, 0.25, 0.5, 1.0), "encoder/cls": 0.0625}
    run, step = made(lambda path: factors.get(path, 1.0), accumulate=accumulate)
    for _ in range(3):
        run, _ = step(run, {"x": jnp.zeros(4)})
    head = run.params["head"]["bias"]
    assert (head < -0.1).all()
    moved = run.params["encoder"]["blocks"]["fc1"]["kernel"][:, 0, 0] / head[0]
    np.testing.assert_allclose(moved, (0.125, 0.25, 0.5, 1.0), rtol=1e-5)
    np.testing.assert_allclose(run.params["encoder"]["cls"] / head, 0.0625, rtol=1e-5)
    assert run.params["stats"]["seen"] == 3 * accumulate


def test_frozen_parameters_have_no_moments_and_do_not_move():
    run, step = made(lambda path: float(path.startswith("head")), ema=0.5)
    moments = trees.leaves(run.opt_state)
    assert any("head" in path for path in moments)
    assert not any("encoder" in path for path in moments)
    new, metrics = step(run, {"x": jnp.zeros(4)})
    for path, leaf in trees.leaves(new.params).items():
        assert np.any(leaf != 0) == (not path.startswith("encoder")), path
    # The frozen layers do not count in the norm that is clipped: two gradients of 1.
    np.testing.assert_allclose(metrics["gradient_norm"], np.sqrt(2), rtol=1e-6)
    assert trees.leaves(new.ema).keys() == trees.leaves(new.params).keys()


def test_layers_of_a_stack_that_stay_are_not_clipped_with():
    factors = {"encoder/blocks/fc1/kernel": (0.0, 0.0, 0.0, 1.0)}
    run, step = made(lambda path: factors.get(path, 0.0))
    new, _ = step(run, {"x": jnp.zeros(4)})
    moved = new.params["encoder"]["blocks"]["fc1"]["kernel"]
    assert (moved[:3] == 0).all() and (moved[3] < 0).all()


def test_a_run_starts_from_the_weights_it_is_given():
    config = settings.resolve(
        config_dict.ConfigDict(
            dict(steps=1, batch_size=24, optimizer=dict(learning_rate=0.1, ema=0.9))
        )
    )
    task = toy.Linear(width=8, batch=16)
    kernel = np.arange(8, dtype=np.float32).reshape(
        jax.eval_shape(task.init, jax.random.key(0))["layer"]["kernel"].shape
    )
    task.pretrained = lambda: {"layer": {"kernel": kernel}}
    planned = plan.make(task, config)
    run = planned.start(task)
    for tree in (run.params, run.ema):
        np.testing.assert_array_equal(tree["layer"]["kernel"], kernel)
        np.testing.assert_array_equal(tree["layer"]["bias"], 0)
    task.pretrained = lambda: {"layer": {"kernel": kernel[:3]}}
    with pytest.raises(errors.UserError, match=r"'layer/kernel' of shape .*model section"):
        planned.start(task)
