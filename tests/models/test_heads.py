"""Heads of dense prediction: sizes, pooling, and that every depth counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smarties.models import heads


@pytest.mark.parametrize("kind", heads.KINDS)
def test_scores_have_the_side_asked_for_and_come_from_where_they_are(kind):
    options = {} if kind == "linear" else {"width": 16}
    head = heads.HEADS[kind](5, **options)
    depths = 4 if kind == "upernet" else 1
    maps = tuple(jax.random.normal(jax.random.key(i), (2, 6, 6, 8)) for i in range(depths))
    params = head.init(jax.random.key(9), maps, 24)
    whole = head.apply(params, maps, 24)
    assert whole.shape == (2, 24, 24, 5)
    for depth in range(depths):
        changed = [x.at[0].mul(-1.0) if i == depth else x for i, x in enumerate(maps)]
        other = head.apply(params, tuple(changed), 24)
        assert np.abs(other[0] - whole[0]).max() > 1e-3
        np.testing.assert_allclose(other[1], whole[1], atol=1e-6)


def test_the_linear_head_is_that_of_a_classifier():
    head = heads.HEADS["linear"](3)
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 8))
    params = head.init(jax.random.key(1), (x,), 4)["params"]
    assert {name: leaf.shape for name, leaf in params.items()} == {"kernel": (8, 3), "bias": (3,)}
    found = head.apply({"params": params}, (x,), 4)
    np.testing.assert_allclose(found, x @ params["kernel"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_pooled_cells_are_means(bins):
    x = np.random.default_rng(0).normal(size=(1, 7, 7, 2)).astype(np.float32)
    found = heads.resize_mean(jnp.asarray(x), bins)
    ends = [(i * 7 // bins, -(-(i + 1) * 7 // bins)) for i in range(bins)]
    for i, (a, b) in enumerate(ends):
        for j, (c, d) in enumerate(ends):
            want = x[:, a:b, c:d].mean((1, 2))
            np.testing.assert_allclose(found[:, i, j], want, rtol=1e-4, atol=1e-6)
