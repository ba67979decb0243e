"""The axioms of Shapley values, sampled beside exact ones, and both beside shap's explainers."""

import itertools

import numpy as np
import pytest

from smarties import errors
from smarties.inference import explanation, shapley

NAMES = tuple("abcdefg")


def game(d=7, seed=0, outputs=(2, 3)):
    """A random nonlinear game: every coalition has interactions of all orders."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(d, 16))
    last = rng.normal(size=(16, *outputs))

    def v(masks):
        return np.tensordot(np.tanh(masks @ first), last, 1).astype(np.float32)

    return v


def by_orders(v, d):
    """Shapley values by their definition: the mean gain over all d! orders."""
    total = 0.0
    for order in itertools.permutations(range(d)):
        place = np.argsort(order)
        worth = v(place[None] < np.arange(d + 1)[:, None]).astype(float)
        total = total + np.diff(worth, axis=0)[place]
    return total / np.prod(np.arange(1, d + 1))


def test_exact_values_are_the_mean_over_all_orders():
    v = game(5)
    found = shapley.exact(v, NAMES[:5], batch=7)
    np.testing.assert_allclose(found.values, by_orders(v, 5), atol=1e-6)
    assert found.values.shape == (5, 2, 3) and found.evaluated == 32


def test_efficiency():
    v = game()
    for found in (shapley.exact(v, NAMES), shapley.sampled(v, NAMES, squares=3)):
        np.testing.assert_allclose(found.values.sum(0), found.full - found.empty, atol=1e-5)
        np.testing.assert_array_equal(found.full, v(np.ones((1, 7), bool))[0])


def test_symmetry_dummy_and_linearity():
    v, w = game(6, 1), game(6, 2)

    def alike(masks):  # a and b count together, g not at all
        return v(np.column_stack([masks[:, :2].sum(1) == 1, masks[:, :2].all(1), masks[:, 2:6]]))

    values = shapley.exact(alike, NAMES).values
    np.testing.assert_allclose(values[0], values[1], atol=1e-7)
    assert np.abs(values[2:6]).max() > 0.1
    np.testing.assert_allclose(values[6], 0, atol=1e-7)
    assert np.abs(shapley.sampled(alike, NAMES, squares=4).values[6]).max() < 1e-7
    both = shapley.exact(lambda m: 2 * v(m) - 3 * w(m), NAMES[:6]).values
    apart = [shapley.exact(f, NAMES[:6]).values for f in (v, w)]
    np.testing.assert_allclose(both, 2 * apart[0] - 3 * apart[1], atol=1e-5)


def test_interactions_of_pairs():
    """x0 x1 + x2: all of a and b's worth is their interaction, all of c's its own."""
    found = shapley.exact(
        lambda m: m[:, 0] * 1.0 * m[:, 1] + m[:, 2], NAMES[:4], interactions=True
    ).interactions
    want = np.zeros((4, 4))
    want[0, 1] = want[1, 0] = 0.5
    want[2, 2] = 1
    np.testing.assert_allclose(found, want, atol=1e-12)
    some = shapley.exact(game(), NAMES, interactions=True)
    np.testing.assert_allclose(some.interactions.sum(1), some.values, atol=1e-9)
    alone = game()(np.eye(7, dtype=bool)) - some.empty
    np.testing.assert_allclose(some.interactions[range(7), range(7)], alone, atol=1e-5)
    np.testing.assert_allclose(some.interactions, some.interactions.swapaxes(0, 1))


def test_latin_squares_put_everyone_everywhere_once():
    orders = shapley.square(9, np.random.default_rng(0))
    assert (np.sort(orders, 0) == np.arange(9)[:, None]).all()
    assert (np.sort(orders, 1) == np.arange(9)[None]).all()
    assert (orders != shapley.square(9, np.random.default_rng(1))).any()


@pytest.mark.parametrize("mirrored", [False, True])
def test_sampled_values_agree_with_exact_within_their_errors(mirrored):
    """Over many games z-scores have mean square near one: errors are neither small nor large."""
    z, size = [], []
    for seed in range(40):
        v = game(seed=seed, outputs=())
        want = shapley.exact(v, NAMES).values
        found = shapley.sampled(v, NAMES, squares=30, seed=seed, mirrored=mirrored, batch=100)
        z.append((found.values - want) / found.errors)
        size.append(found.errors.mean())
    assert 0.7 < np.mean(np.square(z)) < 1.4 and np.abs(z).max() < 6
    more = shapley.sampled(v, NAMES, squares=480, seed=1, mirrored=mirrored)
    assert np.abs(more.values - want).max() < np.abs(z).max() * more.errors.max()
    assert more.errors.mean() < 0.4 * size[-1]


def test_mirrored_orders_are_exact_for_pairs_and_better_at_the_same_cost():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(7, 7))

    def pairs(masks):
        return np.einsum("mi,ij,mj->m", masks * 1.0, matrix, masks * 1.0)

    want = shapley.exact(pairs, NAMES).values
    mirrored = shapley.sampled(pairs, NAMES, squares=2)
    assert np.abs(mirrored.values - want).max() < 1e-9
    plain = shapley.sampled(pairs, NAMES, squares=4, mirrored=False)
    assert plain.evaluated == mirrored.evaluated
    assert np.abs(plain.values - want).max() > 0.01


def test_mistakes_are_one_line():
    with pytest.raises(errors.UserError, match="17 players: 1 to 16"):
        shapley.exact(game(17), [str(i) for i in range(17)])
    with pytest.raises(errors.UserError, match="need two players"):
        shapley.sampled(game(1), ["a"], squares=3)


@pytest.mark.filterwarnings("ignore")
def test_shap_agrees_and_takes_the_explanation():
    shap = pytest.importorskip("shap")
    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(6, 8)), rng.normal(size=8)
    places = rng.normal(size=(4, 6))

    def function(x):
        return np.tanh(x @ first) @ last

    def v(masks):  # hidden predictors are zero, as the background of shap's masker
        return np.stack([function(np.where(mask, places, 0)) for mask in masks])

    explainer = shap.explainers.Exact(function, shap.maskers.Independent(np.zeros((1, 6))))
    want = explainer(places)
    found = shapley.exact(v, NAMES[:6], interactions=True)
    got = explanation.explanation(found, places)
    np.testing.assert_allclose(got.values, want.values, atol=1e-6)
    np.testing.assert_allclose(got.base_values, want.base_values, atol=1e-6)
    pairs = explainer(places, interactions=True).values
    np.testing.assert_allclose(np.moveaxis(found.interactions, 2, 0), pairs, atol=1e-6)
    import matplotlib

    matplotlib.use("Agg")
    shap.plots.bar(got, show=False)
    shap.plots.beeswarm(got, show=False)
    shap.plots.waterfall(got[0], show=False)
