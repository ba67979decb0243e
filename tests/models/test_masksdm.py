"""The species model has the published size, and what is hidden has no influence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smarties.models import hiding, masksdm

SMALL = dict(width=32, depth=2, heads=2, hidden=48, frequencies=6, sigma=0.3)
MODEL = masksdm.MaskSDM((0, 3, 0, 0), (5,), 7, **SMALL)


def _inputs(rows=6, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 4)).astype(np.float32)
    values[:, 1] = rng.integers(0, 3, rows)
    return values, (rng.normal(size=(rows, 5)).astype(np.float32),)


@pytest.fixture(scope="module")
def params():
    return jax.jit(MODEL.init)(jax.random.key(0), *_inputs())["params"]


@pytest.mark.parametrize("depth, count", [(7, 5_381_554), (3, 4_390_578)])
def test_size_is_the_published_one(depth, count):
    model = masksdm.MaskSDM((0,) * 61, (256,), 12_738, depth=depth)
    values, vector = jnp.zeros((1, 61)), jnp.zeros((1, 256))
    shapes = jax.eval_shape(model.init, jax.random.key(0), values, (vector,))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


def test_hidden_and_missing_are_one_and_their_values_do_not_matter(params):
    values, vectors = _inputs()
    keep = np.ones((6, 5), bool)
    keep[:, 0] = keep[:, 1] = keep[:, 4] = False
    hidden = MODEL.apply({"params": params}, values, vectors, keep)
    gone = values.copy()
    gone[:, :2] = np.nan
    for odd in (np.nan, 1e30, np.inf):
        other, vector = values.copy(), np.full((6, 5), odd, np.float32)
        other[:, :2] = odd
        found = MODEL.apply({"params": params}, other, (vector,), keep)
        np.testing.assert_array_equal(found, hidden)
    missing = MODEL.apply({"params": params}, gone, (np.full((6, 5), np.nan),))
    np.testing.assert_array_equal(missing, hidden)
    shown = MODEL.apply({"params": params}, values, vectors)
    assert np.abs(shown - hidden).max() > 1e-3


def test_no_gradient_comes_from_hidden_or_missing_values(params):
    values, vectors = _inputs()
    values[0] = np.nan
    keep = np.ones((6, 5), bool)
    keep[1, :2] = False

    def total(params, values):
        return (MODEL.apply({"params": params}, values, vectors, keep) ** 2).sum()

    own, gradient = jax.grad(total, (0, 1))(params, values)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(own))
    assert not gradient[0].any() and not gradient[1, :2].any() and gradient[2].any()


def test_all_missing_gives_one_answer_for_all(params):
    values, vectors = np.full((3, 4), np.nan, np.float32), (np.full((3, 5), np.nan),)
    found = MODEL.apply({"params": params}, values, vectors)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, np.broadcast_to(found[:1], found.shape))


def test_unknown_level_is_missing(params):
    values, vectors = _inputs()
    missing, unknown = values.copy(), values.copy()
    missing[:, 1], unknown[:, 1] = np.nan, 3
    one, other = (MODEL.apply({"params": params}, x, vectors) for x in (missing, unknown))
    np.testing.assert_array_equal(one, other)


def test_order_of_predictors_has_no_meaning(params):
    model = masksdm.MaskSDM((0, 0, 0), (), 7, **SMALL)
    values, _ = _inputs()
    values = values[:, [0, 2, 3]]
    params = model.init(jax.random.key(1), values)["params"]
    order = np.array([2, 0, 1])
    moved = {**params, "periodic": {n: x[order] for n, x in params["periodic"].items()}}
    one = model.apply({"params": params}, values)
    other = model.apply({"params": moved}, values[:, order])
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_dropout_acts_in_training_alone(params):
    values, vectors = _inputs()
    still = [MODEL.apply({"params": params}, values, vectors) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    trained = [
        MODEL.apply({"params": params}, values, vectors, rngs={"dropout": jax.random.key(i)})
        for i in range(2)
    ]
    assert np.abs(trained[0] - trained[1]).max() > 1e-4


def test_laws_of_hiding():
    group = np.array([0, 0, 0, 1, 1, 2])
    drawn = {
        law: np.asarray(hiding.draw(law, jax.random.key(4), 4000, group)) for law in hiding.LAWS
    }
    assert drawn["none"].all()
    shares = {law: keep.mean(1) for law, keep in drawn.items()}
    for law in ("sample", "grouped"):
        assert abs(shares[law].mean() - 0.5) < 0.03
        assert (shares[law] == 0).any() and (shares[law] == 1).any()
    # One probability leaves the shares of rows binomial; one for each row spreads them wider.
    p = shares["batch"].mean()
    np.testing.assert_allclose(shares["batch"].var(), p * (1 - p) / 6, rtol=0.15)
    assert shares["sample"].var() > 0.1

    def alike(law):
        return (drawn[law][:, 0] == drawn[law][:, 1]).mean()

    np.testing.assert_allclose(alike("sample"), 2 / 3, atol=0.04)
    np.testing.assert_allclose(alike("grouped"), 5 / 6, atol=0.04)
