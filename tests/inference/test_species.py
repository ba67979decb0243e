"""Baselines learn what they can express, and a model is judged on the rows it did not see."""

import numpy as np
import pytest
from scipy import sparse
from sklearn import linear_model

from smarties.inference import species_baselines as baselines
from smarties.metrics import species as metrics


def _data(rows=600, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 3)).astype(np.float32)
    values[:, 2] = rng.integers(0, 3, rows)
    found = [
        np.abs(values[:, 0]) < 0.5,
        values[:, 1] > 0.5,
        values[:, 2] == 1,
        np.zeros(rows, bool),
    ]
    return values, sparse.csr_array(np.stack(found, 1), dtype=np.uint8)


@pytest.mark.parametrize("method", baselines.METHODS)
def test_niches_are_learnt_from_the_predictors_that_make_them(method):
    values, presence = _data()
    values[::7, 0] = np.nan
    design = baselines.Design.of(values, (0, 0, 3), ())
    assert design.token.tolist() == [0, 1, 2, 2, 2]
    train, test = np.arange(400), np.arange(400, 600)
    fill = design.fill("median", train)
    predict = baselines.fit(method, design.rows(train, np.ones(3, bool), fill), presence[train])
    for known in (np.array([True, True, True]), np.array([True, False, False])):
        auc = metrics.scores(presence[test], predict(design.rows(test, known, fill)))["auc"]
        assert auc[0] > 0.8 and np.isnan(auc[3])
        if known.all():
            assert min(auc[1:3]) > 0.9
        else:
            assert max(abs(auc[1:3] - 0.5)) < 0.2


def test_ridge_is_that_of_scikit_learn():
    values, presence = _data()
    features = np.ascontiguousarray(values[:, :2])
    squares = np.concatenate([features, features**2], 1)
    standard = (squares - squares.mean(0)) / squares.std(0)
    own = baselines.fit("ridge", features, presence)(features)
    theirs = linear_model.Ridge(alpha=1.0).fit(standard, presence.toarray()).predict(standard)
    np.testing.assert_allclose(own, theirs, atol=1e-4)
