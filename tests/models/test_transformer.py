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


def test_drop_path_acts_in_training_keeps_the_mean_and_grows_with_depth():
    model = transformer.Transformer(depth=3, heads=2)
    x = jax.random.normal(jax.random.key(0), (4, 5, 8))
    params = model.init(jax.random.key(1), x)["params"]
    off = model.apply({"params": params}, x, 0.0, (1, 2, 3))
    np.testing.assert_array_equal(off[1], model.apply({"params": params}, x)[1])
    np.testing.assert_array_equal(off[1], off[4])
    many = jnp.tile(x[:1], (4096, 1, 1))
    on = model.apply(
        {"params": params}, many, 0.6, (1, 2, 3), rngs={"drop_path": jax.random.key(2)}
    )
    np.testing.assert_allclose(on[2][0], off[2][0], atol=1e-5)  # the first block never drops
    kept = np.abs(on[3] - on[2]).max((1, 2)) == 0
    assert abs(kept.mean() - 0.3**2) < 0.02  # both residuals of the second, at half the rate
    whole = np.abs(on[4] - on[3]).max((1, 2)) == 0
    assert abs(whole.mean() - 0.6**2) < 0.03
    # One residual on one input: linear, so its mean is that of all.
    block = transformer.Block(heads=2, kernel="xla", dtype=jnp.float32)
    first = jax.tree.map(lambda leaf: leaf[0], params["blocks"])
    quiet = {**first, "fc2": jax.tree.map(jnp.zeros_like, first["fc2"])}
    dropped = block.apply(
        {"params": quiet}, many, jnp.asarray(0.5), rngs={"drop_path": jax.random.key(3)}
    )
    assert dropped.std(0).max() > 0.01
    np.testing.assert_allclose(dropped.mean(0), block.apply({"params": quiet}, x[:1])[0], atol=0.05)
