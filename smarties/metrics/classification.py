"""Metrics of classification, each with an interval: from probabilities and what was there.

Values are scikit-learn's. Their intervals need thousands of replicates, so that each metric has a
second form here, vectorised over replicates: a function of how often each example was drawn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import metrics

from smarties.errors import UserError, unknown
from smarties.metrics import bootstrap, calibration

SINGLE = ("accuracy", "macro_f1", "micro_ap", "macro_ap", "calibration_error")
MULTI = ("micro_ap", "macro_ap", "micro_f1", "macro_f1", "sample_f1", "calibration_error")
Score = tuple[float, float, float]  # value, and the ends of its interval


def scores(
    truth: np.ndarray,
    probability: np.ndarray,
    *,
    multi: bool,
    wanted: Sequence[str] = (),
    leave_out_empty: bool = False,
    draws: int = bootstrap.DRAWS,
    seed: int = 0,
) -> dict[str, Score]:
    """Returns {metric: (value, low, high)}; the ends are of the 95 % interval over examples.

    Args:
      truth: [n, L], 1 where a class is present, else 0; one of a row where not `multi`.
      probability: [n, L], 0..1.
      multi: whether an image may have several classes, or none: each is then predicted from 0.5.
      wanted: names of `SINGLE` or `MULTI`; () for all.
      leave_out_empty: a class without an example counts in no mean over classes; to predict it
        stays wrong. Otherwise it is an error.
      draws: replicates of the interval.
      seed: of its draws.

    Raises:
      UserError: an unknown metric, shapes that differ, values that are neither 0 nor 1, numbers
        that are not finite, or a class without an example.
    """
    known = MULTI if multi else SINGLE
    for name in wanted:
        if name not in known:
            raise unknown(f"metric of {'multi' if multi else 'single'}-label classes", name, known)
    _check(truth, probability, leave_out_empty)
    truth = truth.astype(np.float32)
    wanted = tuple(wanted) or known
    weighted = _Weighted(truth, probability, multi)
    spread = bootstrap.intervals(
        lambda weight: {name: getattr(weighted, name)(weight) for name in wanted},
        len(truth), draws, seed,
    )  # fmt: skip
    return {n: (value(n, truth, probability, multi=multi), *spread[n]) for n in wanted}


def replicates(
    name: str, truth: np.ndarray, probability: np.ndarray, *, multi: bool, draws: int, seed: int = 0
) -> np.ndarray:
    """Returns a metric [draws] of replicates of the examples; paired where n and seed are equal."""
    weighted = _Weighted(truth.astype(np.float32), probability, multi)
    chunks = bootstrap.counts(len(truth), draws, seed)
    return np.concatenate([getattr(weighted, name)(weight) for weight in chunks])


def value(name: str, truth: np.ndarray, probability: np.ndarray, *, multi: bool) -> float:
    """Returns a metric of `scores`, without its interval."""
    if name.endswith("_ap"):
        average = name.removesuffix("_ap")
        if average == "macro":
            truth, probability = (x[:, truth.any(0)] for x in (truth, probability))
        return float(metrics.average_precision_score(truth, probability, average=average))
    if name == "calibration_error":
        return calibration.expected_error(*_confidence(truth, probability, multi))
    predicted = decided(probability, multi)
    if name == "accuracy":
        return float(metrics.accuracy_score(truth, predicted))
    average = {"sample_f1": "samples"}.get(name, name.removesuffix("_f1"))
    options: Any = {"average": average, "zero_division": 0.0}
    if average == "macro":
        options["labels"] = np.flatnonzero(truth.any(0))
    return float(metrics.f1_score(truth, predicted, **options))


def decided(probability: np.ndarray, multi: bool) -> np.ndarray:
    """Returns uint8 [n, L]: classes of at least 0.5, or of single labels the most probable one."""
    if multi:
        return (probability >= 0.5).astype(np.uint8)
    return np.eye(probability.shape[1], dtype=np.uint8)[probability.argmax(1)]


def per_class(truth: np.ndarray, probability: np.ndarray) -> list[float]:
    """Returns the average precision of each class [L]."""
    columns = zip(truth.T, probability.T, strict=True)
    return [float(metrics.average_precision_score(t, p)) for t, p in columns]


def confusion(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Returns int64 [L, L] of single labels: how many of class i (row) were called j."""
    labels = np.arange(truth.shape[1])
    return metrics.confusion_matrix(truth.argmax(1), probability.argmax(1), labels=labels)


def _confidence(
    truth: np.ndarray, probability: np.ndarray, multi: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (confidence, hit): of the predicted class [n], or of each class of each image."""
    if multi:
        return probability.ravel(), truth.ravel()
    best = probability.argmax(1)
    rows = np.arange(len(best))
    return probability[rows, best], truth[rows, best]


class _Weighted:
    """The metrics under weights [R, n]; every method returns [R]."""

    def __init__(self, truth: np.ndarray, probability: np.ndarray, multi: bool):
        self.truth, self.multi, self.probability = truth, multi, probability
        predicted = decided(probability, multi).astype(np.float32)
        # True positives, false positives and false negatives of each example and class.
        self.counts = (truth * predicted, (1 - truth) * predicted, truth * (1 - predicted))

    def accuracy(self, weight: np.ndarray) -> np.ndarray:
        return weight @ self.counts[0].sum(1) / weight.sum(1)

    def micro_f1(self, weight: np.ndarray) -> np.ndarray:
        return _f1(*(weight @ part.sum(1) for part in self.counts))

    def macro_f1(self, weight: np.ndarray) -> np.ndarray:
        present = self.truth.any(0)
        return _f1(*(weight @ part[:, present] for part in self.counts)).mean(1)

    def sample_f1(self, weight: np.ndarray) -> np.ndarray:
        return weight @ _f1(*(part.sum(1) for part in self.counts)) / weight.sum(1)

    def micro_ap(self, weight: np.ndarray) -> np.ndarray:
        repeated = np.repeat(weight, self.truth.shape[1], axis=1)
        return _precision(self.truth.ravel(), self.probability.ravel(), repeated)

    def macro_ap(self, weight: np.ndarray) -> np.ndarray:
        columns = zip(self.truth.T, self.probability.T, strict=True)
        by_class = np.stack([_precision(t, p, weight) for t, p in columns])
        seen = np.isfinite(by_class)  # a replicate may draw no example of a class
        return np.where(seen, by_class, 0).sum(0) / np.maximum(seen.sum(0), 1)

    def calibration_error(self, weight: np.ndarray) -> np.ndarray:
        confidence, hit = _confidence(self.truth, self.probability, self.multi)
        if not self.multi:
            return calibration.sums(confidence, hit, weight)
        return calibration.sums(confidence, hit, np.repeat(weight, self.truth.shape[1], axis=1))


def _f1(right: np.ndarray, wrong: np.ndarray, missed: np.ndarray) -> np.ndarray:
    return 2 * right / np.maximum(2 * right + wrong + missed, 1e-9)


def _precision(truth: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Returns the average precision [R] of one class [m] under weights [R, m]; NaN without any."""
    order = np.argsort(-probability, kind="stable")
    # Equal probabilities are one threshold: only where the next differs is one.
    ends = np.flatnonzero(np.append(np.diff(probability[order]) != 0, True))
    ordered = weight[:, order]
    called = ordered.cumsum(1, dtype=np.float64)[:, ends]
    right = (ordered * truth[order]).cumsum(1, dtype=np.float64)[:, ends]
    gained = np.diff(right, axis=1, prepend=0.0)
    area = (gained * right / np.maximum(called, 1e-9)).sum(1)
    return np.divide(area, right[:, -1], out=np.full(len(area), np.nan), where=right[:, -1] > 0)


def _check(truth: np.ndarray, probability: np.ndarray, leave_out_empty: bool) -> None:
    if truth.ndim != 2 or truth.shape != probability.shape or not truth.size:
        raise UserError(
            f"labels {list(truth.shape)} and probabilities {list(probability.shape)}: give both as "
            "[examples, classes]"
        )
    if not np.isin(truth, (0, 1)).all():
        raise UserError("labels must be 0 or 1 in [examples, classes]")
    if not np.isfinite(probability).all():
        raise UserError("probabilities are not finite")
    empty = np.flatnonzero(truth.sum(0) == 0)
    if len(empty) and not leave_out_empty:
        raise UserError(f"class {empty[0]} has no example: leave it out, or give examples of it")
