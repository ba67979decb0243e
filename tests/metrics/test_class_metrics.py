"""Metrics beside scikit-learn's, intervals that hold what they promise, and mistakes in a line."""

import numpy as np
import pytest
from sklearn import metrics

from smarties import errors
from smarties.metrics import bootstrap, calibration, classification


def case(multi, n=200, classes=5, skill=2.0, seed=0, rounded=None):
    """(truth [n, L], probability [n, L]) of a predictor of some skill; rounding makes ties."""
    rng = np.random.default_rng(seed)
    if multi:
        truth = (rng.random((n, classes)) < 0.3).astype(np.uint8)
    else:
        truth = np.eye(classes, dtype=np.uint8)[np.arange(n) % classes]
    odds = skill * truth + rng.normal(size=(n, classes)) - 0.6
    odds = np.exp(odds)
    probability = odds / (1 + odds) if multi else odds / odds.sum(1, keepdims=True)
    return truth, probability if rounded is None else probability.round(rounded)


@pytest.mark.parametrize("rounded", [None, 1])
@pytest.mark.parametrize("multi", [False, True])
def test_replicates_are_what_scikit_learn_says_of_them(multi, rounded):
    """The weighted form under some counts is the plain metric of the examples repeated."""
    truth, probability = case(multi, rounded=rounded)
    (weight,) = bootstrap.counts(len(truth), 3, seed=1)
    weighted = classification._Weighted(truth.astype(np.float32), probability, multi)
    for name in classification.MULTI if multi else classification.SINGLE:
        got = getattr(weighted, name)(weight)
        for row, value in zip(weight.astype(int), got, strict=True):
            again = np.repeat(np.arange(len(truth)), row)
            want = classification.value(name, truth[again], probability[again], multi=multi)
            assert value == pytest.approx(want, abs=1e-5), name


def test_named_metrics():
    truth, probability = case(multi=False)
    found = classification.scores(truth, probability, multi=False)
    labels, called = truth.argmax(1), probability.argmax(1)
    assert found["accuracy"][0] == metrics.accuracy_score(labels, called)
    assert found["macro_f1"][0] == pytest.approx(metrics.f1_score(labels, called, average="macro"))
    assert classification.confusion(truth, probability).trace() == (labels == called).sum()
    assert np.mean(classification.per_class(truth, probability)) == pytest.approx(
        found["macro_ap"][0]
    )
    for value, low, high in found.values():
        assert low < high and low - 0.03 < value < high + 0.03


@pytest.mark.parametrize("multi", [False, True])
def test_shuffled_labels_are_chance(multi):
    truth, probability = case(multi, n=2000)
    name = "micro_ap" if multi else "accuracy"
    shuffled = np.random.default_rng(0).permutation(truth)
    (value, low, high) = classification.scores(truth, probability, multi=multi)[name]
    (chance, below, above) = classification.scores(shuffled, probability, multi=multi)[name]
    assert below < truth.mean() < above and abs(chance - truth.mean()) < 0.05
    assert low > above and value > chance + 0.2


def test_intervals_cover():
    """Of 60 samples of one predictor, the interval of about 95 % holds its accuracy at large."""
    truth, probability = case(multi=False, n=60_000)
    at_large = classification.value("accuracy", truth, probability, multi=False)
    held = 0
    for part in np.array_split(np.random.default_rng(0).permutation(len(truth)), 60):
        _, low, high = classification.scores(
            truth[part], probability[part], multi=False, wanted=("accuracy",), draws=200
        )["accuracy"]
        held += low <= at_large <= high
    assert 50 <= held <= 60


def test_same_seed_same_numbers():
    first, again, other = (
        classification.scores(*case(multi=True), multi=True, seed=s) for s in (0, 0, 1)
    )
    assert first == again != other


def test_calibration_tells_the_overconfident():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 20_000)
    hit = (rng.random(len(p)) < p).astype(float)
    assert calibration.expected_error(p, hit) < 0.02
    assert calibration.expected_error(np.full(len(p), 0.99), hit) == pytest.approx(0.24, abs=0.02)


MISTAKES = {
    "unknown metric of single-label classes 'acuracy': did you mean 'accuracy'": dict(
        wanted=("acuracy",)
    ),
    r"labels \[3, 2\] and probabilities \[3, 3\]": dict(truth=np.eye(3, 2)),
    "must be 0 or 1": dict(truth=2 * np.eye(3)),
    "class 2 has no example": dict(truth=np.eye(3)[[0, 1, 1]]),
    "not finite": dict(probability=np.full((3, 3), np.nan)),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(words):
    given = dict(truth=np.eye(3), probability=np.eye(3), multi=False) | MISTAKES[words]
    with pytest.raises(errors.UserError, match=words) as caught:
        classification.scores(given.pop("truth"), given.pop("probability"), **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("multi", [False, True])
def test_an_empty_class_is_in_no_mean_but_predicting_it_is_wrong(multi):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    truth = np.eye(4, dtype=np.uint8)[labels]
    probability = rng.dirichlet(np.ones(4), 60)
    with pytest.raises(errors.UserError, match="class 3 has no example"):
        classification.scores(truth, probability, multi=multi)
    found = classification.scores(truth, probability, multi=multi, leave_out_empty=True)
    per_class = classification.per_class(truth[:, :3], probability[:, :3])
    assert found["macro_ap"][0] == pytest.approx(np.mean(per_class))
    assert found["macro_f1"][1] <= found["macro_f1"][0] <= found["macro_f1"][2]
    if not multi:
        assert found["accuracy"][0] == pytest.approx((probability.argmax(1) == labels).mean())
        assert (probability.argmax(1) == 3).any()
