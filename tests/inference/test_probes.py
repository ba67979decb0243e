"""Probes find what is planted, tell nothing of shuffled labels, and agree with scikit-learn."""

import numpy as np
import pytest
from sklearn import linear_model

from smarties import errors
from smarties.inference import probes

GRID = {
    "knn": dict(k=(1, 20), temperature=(0.07,), standardise=(False, True)),
    "logistic": dict(C=(1e-3, 1e-1, 10.0)),
}


def planted(n=300, classes=4, width=16, multi=False, seed=0, noise=1.0):
    """(features by variant, labels [n, L]): "good" hides the classes, "bad" is noise."""
    rng = np.random.default_rng(seed)
    if multi:
        labels = (rng.random((n, classes)) < 0.4).astype(np.uint8)
    else:
        labels = np.eye(classes, dtype=np.uint8)[rng.integers(0, classes, n)]
    where = np.random.default_rng(99).normal(size=(classes, width))
    good = labels @ where + noise * rng.normal(size=(n, width))
    return {"bad": rng.normal(size=(n, width)), "good": good.astype(np.float32)}, labels


def accuracy(truth, probability):
    return float((truth.argmax(1) == probability.argmax(1)).mean())


def likelihood(truth, probability):
    return float(np.log(np.maximum((truth * probability).sum(1), 1e-9)).mean())


def right(truth, probability):
    return float((truth == (probability > 0.5)).mean())


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("name", probes.PROBES)
def test_a_planted_feature_is_found_and_shuffled_labels_are_chance(name, multi):
    score = right if multi else accuracy
    train, labels = planted(multi=multi)
    select, select_labels = planted(seed=1, multi=multi)
    test, truth = planted(seed=2, multi=multi)
    args = (train, labels, select, select_labels, score)
    probe = probes.fit(name, *args, multi=multi, grid=GRID[name])
    assert probe.chosen["variant"] == "good" and score(truth, probe(test)) > 0.9
    rng = np.random.default_rng(0)
    args = (train, rng.permutation(labels), select, rng.permutation(select_labels), score)
    control = probes.fit(name, *args, multi=multi, grid=GRID[name])
    assert score(truth, control(test)) < (0.68 if multi else 0.4)


@pytest.mark.parametrize("strength", [1e-2, 1.0])
@pytest.mark.parametrize("multi", [False, True])
def test_the_regression_is_scikit_learns(multi, strength):
    features, labels = planted(multi=multi)
    inputs = np.pad(features["good"].astype(float), ((0, 0), (0, 1)), constant_values=1.0)
    weights = probes.regression(inputs, labels.astype(float), strength, multi, tolerance=1e-6)
    options = dict(C=strength, tol=1e-8, max_iter=2000)
    if multi:
        want = np.stack([
            linear_model.LogisticRegression(**options).fit(features["good"], column).coef_[0]
            for column in labels.T
        ])  # fmt: skip
    else:
        fitted = linear_model.LogisticRegression(**options)
        want = fitted.fit(features["good"], labels.argmax(1)).coef_
    np.testing.assert_allclose(weights[:-1].T, want, atol=2e-3)


def test_regularisation_is_chosen_by_the_held_out_labels():
    """Few examples of noisy inputs want a strong penalty, clean ones a weak one."""
    chosen = []
    for noise in (8.0, 0.3):
        train, select = (planted(n=n, width=32, noise=noise, seed=n) for n in (60, 500))
        train, select = (({"good": f["good"]}, y) for f, y in (train, select))
        grid = dict(C=(1e-4, 1e-2, 1, 100))
        probe = probes.fit("logistic", *train, *select, likelihood, multi=False, grid=grid)
        chosen.append(probe.chosen["C"])
    assert chosen[0] < 0.1 < chosen[1]


@pytest.mark.parametrize("multi", [False, True])
def test_a_class_without_training_example_is_improbable_not_an_error(multi):
    train, labels = planted(multi=multi)
    kept = labels[:, 3] == 0
    train, labels = {k: v[kept] for k, v in train.items()}, labels[kept]
    for name in probes.PROBES:
        probe = probes.fit(name, train, labels, train, labels, accuracy, multi=multi,
                           grid=GRID[name])  # fmt: skip
        assert probe(planted(seed=1, multi=multi)[0])[:, 3].max() < 0.1


def test_what_is_missing_at_test_time_is_the_mean():
    train, labels = planted()
    (select, select_labels), (test, truth) = planted(seed=1), planted(seed=2)
    for name in probes.PROBES:
        probe = probes.fit(name, train, labels, select, select_labels, accuracy, multi=False,
                           grid=GRID[name] | dict(standardise=(True,)))  # fmt: skip
        scores = []
        for lacking in (0, 8, 16):
            gone = {k: v.copy() for k, v in test.items()}
            for values in gone.values():
                values[:, :lacking] = np.nan
            scores.append(accuracy(truth, probe(gone)))
        assert scores[0] > scores[1] > scores[2] and scores[1] > 0.5 and scores[2] < 0.4


def test_mistakes_are_one_line():
    train, labels = planted(n=20)
    args = (train, labels, train, labels, accuracy)
    for name, grid, words in (
        ("knm", {}, "unknown probe 'knm': did you mean 'knn'"),
        ("knn", GRID["knn"] | dict(k=(0,)), "k 0 and temperature 0.07: from 1, and above 0"),
        ("logistic", dict(C=(0.0,)), "C is 0.0: the inverse of a penalty"),
        ("logistic", dict(C=()), "nothing to choose from"),
    ):
        with pytest.raises(errors.UserError, match=words):
            probes.fit(name, *args, multi=False, grid=grid)
    broken = {"good": np.full((20, 3), np.inf)}
    with pytest.raises(errors.UserError, match="infinite"):
        probes.fit("knn", broken, labels, broken, labels, accuracy, multi=False, grid=GRID["knn"])
