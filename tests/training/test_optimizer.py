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
