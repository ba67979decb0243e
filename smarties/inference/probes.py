"""What frozen features know: nearest neighbours and logistic regression, chosen on held-out labels.

Features come in variants (poolings); which one, and the probe's settings, are chosen by a metric on
labels that are not the training's. Entries that are NaN, of bands an image lacks, become the mean.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import linalg, optimize, special

from smarties.errors import UserError, unknown
from smarties.inference.features import Features
from smarties.metrics import neighbours

PROBES = ("knn", "logistic")
Score = Callable[[np.ndarray, np.ndarray], float]  # (truth, probability), higher is better
# One setting: what it is, and features [n, D] to probabilities [n, L].
Setting = tuple[dict[str, Any], Callable[[np.ndarray], np.ndarray]]


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe.

    Attributes:
      chosen: the variant and the settings.
      predict: features [n, D] of that variant to probabilities [n, L].
    """

    chosen: Mapping[str, Any]
    predict: Callable[[np.ndarray], np.ndarray]

    def __call__(self, features: Features) -> np.ndarray:
        """Returns probabilities [n, L]."""
        return self.predict(features[self.chosen["variant"]])


def fit(
    name: str,
    train: Features,
    labels: np.ndarray,
    select: Features,
    select_labels: np.ndarray,
    score: Score,
    *,
    multi: bool,
    grid: Mapping[str, Sequence[Any]],
) -> Probe:
    """Returns the probe of the settings that score best on `select`; the first of equal ones.

    Args:
      name: "knn" or "logistic".
      train, labels: features [n, D] by variant, and [n, L].
      select, select_labels: the same of the examples it is chosen by.
      score: of their truth and probability.
      multi: whether an image may have several classes.
      grid: values to choose from: k, temperature and standardise of "knn"; C of "logistic".

    Raises:
      UserError: an unknown probe, settings that cannot be, or features that are not finite.
    """
    if name not in PROBES:
        raise unknown("probe", name, PROBES)
    settings = {"knn": _knn, "logistic": _logistic}[name]
    best, most = None, -np.inf
    for variant, values in train.items():
        for chosen, predict in settings(values, labels.astype(np.float64), multi, grid):
            reached = score(select_labels, predict(select[variant]))
            if reached > most or best is None:
                best, most = Probe({"variant": variant, **chosen}, predict), reached
    if best is None:
        raise UserError(f"probe {name} has nothing to choose from: {dict(grid)}")
    return best


class _Scale:
    """Features as a probe takes them: NaN filled by the training mean, perhaps standardised."""

    def __init__(self, train: np.ndarray, standardise: bool):
        if np.isinf(train).any():
            raise UserError("features are infinite: the weights are broken")
        known = np.isfinite(train)
        count = np.maximum(known.sum(0), 1)
        self.mean = np.where(known, train, 0).sum(0, dtype=np.float64) / count
        spread = np.where(known, train - self.mean, 0)
        std = np.sqrt((spread**2).sum(0) / count)
        # What does not vary in training says nothing; a tiny deviation must not blow up.
        self.std = np.where(std > 1e-6 * (np.abs(self.mean) + 1e-3), std, np.inf)
        self.standardise = standardise

    def __call__(self, features: np.ndarray) -> np.ndarray:
        filled = np.where(np.isnan(features), self.mean, features)
        return (filled - self.mean) / self.std if self.standardise else filled


def _knn(train, labels, multi: bool, grid) -> Iterator[Setting]:
    """Yields votes of the k nearest by cosine, see `neighbours.votes`."""
    del multi
    for k, temperature in itertools.product(grid["k"], grid["temperature"]):
        if k < 1 or not temperature > 0:
            raise UserError(f"knn: k {k} and temperature {temperature}: from 1, and above 0")
    most = max(grid["k"])
    for standardise in grid["standardise"]:
        scale = _Scale(train, standardise)
        archive = scale(train).astype(np.float32)
        last: list[Any] = []  # the neighbours of the features asked for last, for all settings

        def neighbours_of(features, scale=scale, archive=archive, last=last):
            if not last or last[0] is not features:
                queries = scale(features).astype(np.float32)
                last[:] = [features, *neighbours.nearest(queries, archive, most)]
            return last[1], last[2]

        for k, temperature in itertools.product(grid["k"], grid["temperature"]):

            def predict(features, k=k, temperature=temperature, found=neighbours_of):
                similarity, rows = found(features)
                return neighbours.votes(similarity[:, :k], labels[rows[:, :k]], temperature)

            chosen = {"k": k, "temperature": temperature, "standardise": standardise}
            yield chosen, predict


def _logistic(train, labels, multi: bool, grid) -> Iterator[Setting]:
    """Yields logistic regressions on standardised features, from strong to weak regularisation."""
    scale = _Scale(train, standardise=True)
    for strength, weights in _solutions(scale(train), labels, multi, grid):

        def predict(features, weights=weights):
            odds = scale(features) @ weights[:-1] + weights[-1]
            return special.expit(odds) if multi else special.softmax(odds, axis=1)

        yield {"C": strength}, predict


def linear(
    train: np.ndarray, labels: np.ndarray, grid: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Yields (C, weights [D, L], bias [L]) of softmax regressions, on the features as they are.

    Those of `fit`'s "logistic", with the standardisation taken in: for features too many to keep.
    They are solved a little less far, which maps do not show.

    Args:
      train: [n, D], finite.
      labels: [n, L], one of a row 1.
      grid: values of C.
    """
    scale = _Scale(train, standardise=True)
    for strength, found in _solutions(scale(train), labels, False, grid, tolerance=1e-3):
        weights = found[:-1] / scale.std[:, None]
        yield strength, weights, found[-1] - scale.mean @ weights


def _solutions(
    inputs: np.ndarray, labels: np.ndarray, multi: bool, grid, tolerance: float = 1e-4
) -> Iterator[tuple[float, np.ndarray]]:
    """Yields (C, weights [D + 1, L]) from strong to weak regularisation, the constant last."""
    inputs = np.pad(inputs, ((0, 0), (0, 1)), constant_values=1.0)
    weights = np.zeros((inputs.shape[1], labels.shape[1]))
    for strength in sorted(grid["C"]):
        if not strength > 0:
            raise UserError(f"logistic: C is {strength}: the inverse of a penalty, above 0")
        weights = regression(inputs, labels, strength, multi, weights, tolerance)
        yield strength, weights


def regression(
    inputs: np.ndarray,
    labels: np.ndarray,
    strength: float,
    multi: bool,
    start: np.ndarray | None = None,
    tolerance: float = 1e-4,
) -> np.ndarray:
    """Returns the weights [D, L] of a logistic regression, by L-BFGS in double precision.

    The minimum of C * sum of losses + |weights|^2 / 2, without the last input, which is the
    constant: what `sklearn.linear_model.LogisticRegression` minimises. All classes are solved
    together, from the solution before, and classes without an example are allowed. Features are
    much alike, which makes steps short: it is solved in coordinates in which the curvature at even
    odds is one, in about a third of the steps.

    Args:
      inputs: [n, D], the last 1.
      labels: [n, L], 0 or 1.
      strength: C.
      multi: a sigmoid for each class, else a softmax over them.
      start: weights to begin with.
      tolerance: of the largest gradient of the mean in these coordinates.
    """
    shape = (inputs.shape[1], labels.shape[1])
    penalty = np.append(np.full(shape[0] - 1, 1 / strength / len(inputs)), 1e-9)
    even = 0.25 if multi else 1 / shape[1]
    curvature = even * inputs.T @ inputs / len(inputs) + np.diag(penalty)
    factor = linalg.cholesky(curvature)  # weights = factor^-1 @ the coordinates
    turned = linalg.solve_triangular(factor, inputs.T, trans=1).T

    def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = linalg.solve_triangular(factor, flat.reshape(shape))
        odds = turned @ flat.reshape(shape)
        if multi:
            loss = np.logaddexp(0, odds).sum() - (labels * odds).sum()
            probability = special.expit(odds)
        else:
            odds = odds - odds.max(1, keepdims=True)
            share = np.exp(odds)
            total = share.sum(1, keepdims=True)
            loss = np.log(total).sum() - (labels * odds).sum()
            probability = share / total
        penalised = weights.copy()
        penalised[-1] = 0
        gradient = turned.T @ (probability - labels)
        gradient += linalg.solve_triangular(factor, penalised / strength, trans=1)
        loss += 0.5 * (penalised**2).sum() / strength
        return loss / len(inputs), gradient.ravel() / len(inputs)

    first = np.zeros(shape) if start is None else start
    found = optimize.minimize(
        value_and_gradient, (factor @ first).ravel(), jac=True, method="L-BFGS-B",
        options={"maxiter": 1000, "ftol": 1e-12, "gtol": tolerance},
    )  # fmt: skip
    return linalg.solve_triangular(factor, found.x.reshape(shape))
