"""The full weighted loss: balanced over species, and finite wherever it is asked."""

import jax
import numpy as np

from smarties.losses import species


def test_presences_and_absences_of_every_species_weigh_alike():
    rng = np.random.default_rng(0)
    presence = rng.random((50, 4)) < np.array([0.02, 0.2, 0.5, 0.9])
    presence[0], presence[1] = True, False
    present, absent = species.weights(presence.sum(0), 50)
    np.testing.assert_allclose((presence * np.asarray(present)).sum(0), 50, rtol=1e-5)
    np.testing.assert_allclose((~presence * np.asarray(absent)).sum(0), 50, rtol=1e-5)


def test_value_is_that_of_the_formula():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (6, 3)).astype(np.float32)
    presence = rng.random((6, 3)) < 0.4
    counts = np.array([3, 10, 40])
    found = species.full_weighted(logits, presence, *species.weights(counts, 60))
    p = 1 / (1 + np.exp(-logits.astype(float)))
    w = 60 / counts
    each = np.where(presence, -w * np.log(p + 1e-5), -w / (w - 1) * np.log(1 - p + 1e-5))
    np.testing.assert_allclose(found, each.mean(1), rtol=1e-5)


def test_is_finite_where_the_formula_is_not():
    present, absent = species.weights(np.array([0, 7]), 7)
    logits = np.array([[300.0, -300.0]], np.float32)

    def total(logits):
        return species.full_weighted(logits, np.array([[0, 1]]), present, absent).sum()

    value, gradient = jax.value_and_grad(total)(logits)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    np.testing.assert_allclose(value, -np.log(1e-5), rtol=1e-4)
