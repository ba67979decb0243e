"""MDE and MIM: reference values, sign, and that nothing breaks at zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smarties.losses import latent


def test_discrepancy_is_least_where_features_are_parallel():
    x = jax.random.normal(jax.random.key(0), (5, 8))
    np.testing.assert_allclose(latent.discrepancy(x, 3 * x), -1.3133, atol=1e-4)
    np.testing.assert_allclose(latent.discrepancy(x, -x), -0.3133, atol=1e-4)
    gradient = jax.grad(lambda y: latent.discrepancy(x, y).sum())(x + jnp.eye(5, 8))
    nearer = x + jnp.eye(5, 8) - 0.01 * gradient
    assert (latent.discrepancy(x, nearer) < latent.discrepancy(x, x + jnp.eye(5, 8))).all()


def test_mutual_information_of_collapsed_and_of_perfect_features():
    """5.541 and 3.566 for 128 pairs at temperature .5 [spec sheet, calculated]."""
    alike = jnp.ones((128, 16))
    np.testing.assert_allclose(latent.mutual_information(alike, alike), 5.541, atol=1e-3)
    apart = jnp.eye(128)
    np.testing.assert_allclose(latent.mutual_information(apart, apart), 3.566, atol=1e-3)


def test_mutual_information_by_hand():
    """The mean over all anchors of -log softmax, written as a double loop."""
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(2, 4, 6)).astype(np.float32)
    unit = pair / np.linalg.norm(pair, axis=-1, keepdims=True)
    every = unit.reshape(8, 6).astype(float)
    losses = []
    for i in range(8):
        scores = np.exp([every[i] @ every[j] / 0.1 for j in range(8) if j != i])
        losses.append(-np.log(np.exp(every[i] @ every[(i + 4) % 8] / 0.1) / scores.sum()))
    got = latent.mutual_information(*map(jnp.asarray, pair), 0.1)
    np.testing.assert_allclose(got, np.reshape(losses, (2, 4)).mean(0), rtol=1e-5)


@pytest.mark.parametrize("loss", [latent.discrepancy, latent.mutual_information])
def test_features_of_zero_have_finite_gradients(loss):
    x = jnp.zeros((3, 4)).at[0].set(1.0)
    value, gradient = jax.value_and_grad(lambda y: loss(y, x).sum())(x)
    assert np.isfinite(value) and np.isfinite(gradient).all()
