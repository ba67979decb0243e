"""Weight decay and clipping do what they say, to whom they say."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from smarties import errors
from smarties.training import optimizer, settings

_PARAMS = {
    "blocks": {"fc": {"kernel": jnp.ones((2, 3, 3)), "bias": jnp.ones((2, 3))}},
    "norm": {"scale": jnp.ones((3,)), "bias": jnp.ones((3,))},
    "cls_token": jnp.ones((1, 1, 3)),
    "mask_token": jnp.ones((1, 1, 3)),
    "pos": jnp.ones((1, 4, 3)),
}


def _config(**changes):
    return {**settings.DEFAULTS["optimizer"], **changes}


def _moved(**changes):
    """Returns the parameters moved by a step with gradient 0: by weight decay alone."""
    tx = optimizer.make(_config(weight_decay=0.5, **changes), optax.constant_schedule(0.1))
    zeros = jax.tree.map(jnp.zeros_like, _PARAMS)
    updates, _ = tx.update(zeros, tx.init(_PARAMS), _PARAMS)
    found = {}
    for keys, update in jax.tree_util.tree_leaves_with_path(updates):
        if np.any(update):
            np.testing.assert_allclose(update, -0.05, rtol=1e-6)
            found[jax.tree_util.keystr(keys, simple=True, separator="/")] = update
    return set(found)


def test_weight_decay_hits_only_kernels():
    assert _moved() == {"blocks/fc/kernel"}


def test_released_decay_hits_the_tokens_too():
    assert _moved(decay="released") == {"blocks/fc/kernel", "cls_token", "mask_token"}


def test_clipping_bounds_the_gradient_that_adam_sees():
    tx = optimizer.make(_config(clip_norm=1.0, beta1=0.0), optax.constant_schedule(1.0))
    params = {"kernel": jnp.zeros((4,))}
    for scale, norm in ((100.0, 1.0), (0.1, 0.2)):
        gradient = {"kernel": jnp.full((4,), scale)}
        _, state = tx.update(gradient, tx.init(params), params)
        np.testing.assert_allclose(optax.tree.norm(state[1].mu), norm, rtol=1e-6)


def test_unknown_decay_is_refused():
    with pytest.raises(errors.UserError, match="kernels"):
        optimizer.decay_mask(_PARAMS, "kernel")


def test_schedule_free_is_that_of_optax_and_evaluates_its_average():
    rate = optax.linear_schedule(0.0, 0.1, 3)
    own = optimizer.make(
        _config(kind="schedule_free", schedule="constant", beta1=0.9, beta2=0.99, decay="all"), rate
    )
    theirs = optax.contrib.schedule_free_adamw(rate, b1=0.9, b2=0.99, weight_decay=0.05)
    found, wanted = _PARAMS, _PARAMS
    kept, reference = own.init(found), theirs.init(wanted)
    for _ in range(6):
        for tx, which in ((own, 0), (theirs, 1)):
            params, state = ((found, kept), (wanted, reference))[which]
            updates, state = tx.update(jax.tree.map(lambda x: 2 * x, params), state, params)
            moved = optax.apply_updates(params, updates), state
            if which:
                wanted, reference = moved
            else:
                found, kept = moved
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    average = optimizer.averaged(kept, found)
    jax.tree.map(
        np.testing.assert_array_equal,
        average,
        optax.contrib.schedule_free_eval_params(reference, wanted),
    )
    assert np.abs(average["pos"] - found["pos"]).max() > 1e-4


def test_schedule_free_has_no_schedule():
    with pytest.raises(errors.UserError, match="constant"):
        optimizer.make(_config(kind="schedule_free"), optax.constant_schedule(0.1))
