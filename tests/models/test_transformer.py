"""Rematerialisation: the same numbers from less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smarties.models import transformer

DEPTH, SHAPE = 6, (4, 64, 64)


def gradient(remat):
    model = transformer.Transformer(depth=DEPTH, heads=4, remat=remat, unroll=DEPTH)
    params = model.init(jax.random.key(0), jnp.zeros(SHAPE))
    x, weight = jax.random.normal(jax.random.key(1), (2, *SHAPE))
    compiled = jax.jit(jax.grad(lambda p: (weight * model.apply(p, x)[0]).mean()))
    return compiled.lower(params).compile(), params


@pytest.mark.parametrize("remat", ["dots", "block"])
def test_remat_gives_the_same_gradient_from_less_memory(remat):
    plain, params = gradient("none")
    saving, _ = gradient(remat)
    # The scale of a gradient is that of its leaf: sums run in another order.
    for one, two in zip(*(jax.tree.leaves(f(params)) for f in (plain, saving)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5 * float(jnp.abs(one).max()))
    bytes_of = lambda f: f.memory_analysis().temp_size_in_bytes  # noqa: E731
    assert bytes_of(saving) < 0.75 * bytes_of(plain)
