"""What a species model must beat: ridge, logistic regression and boosted trees on the same tables.

Where predictors are missing they take the mean or median of training rows, or one model is fitted
for each subset of predictors (an oracle). [baselines of arXiv 2503.13057; squares as predictors:
Phillips et al. 2006, doi 10.1016/j.ecolmodel.2005.03.026, "quadratic features"]
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from scipy import sparse

Method = Literal["ridge", "logistic", "boosting"]
METHODS: tuple[Method, ...] = ("ridge", "logistic", "boosting")
Predict = Callable[[np.ndarray], np.ndarray]  # features [n, P] -> scores [n, S]
_ALPHA = 1.0
_BOOSTING: dict[str, Any] = {
    "max_iter": 100, "early_stopping": False, "class_weight": "balanced", "random_state": 0
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Design:
    """Predictors as columns of numbers: levels and vectors take several.

    Attributes:
      columns: [n, P], NaN where missing.
      token: [P], the predictor that each column is of.
    """

    columns: np.ndarray
    token: np.ndarray

    @classmethod
    def of(
        cls, values: np.ndarray, levels: Sequence[int], vectors: Sequence[np.ndarray]
    ) -> "Design":
        """Returns the columns of standardised values [n, F] and vectors [n, E] each.

        Args:
          values: numbers and indices of levels.
          levels: how many there are of each predictor, 0 for numbers.
          vectors: as they are.
        """
        blocks: list[np.ndarray] = []
        for i, count in enumerate(levels):
            column = values[:, i : i + 1]
            if count:
                known = ~np.isnan(column)
                column = np.where(known, column == np.arange(count)[None], np.nan)
            blocks.append(column)
        blocks += list(vectors)
        token = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
        return cls(np.concatenate(blocks, 1).astype(np.float32), token)

    def rows(self, index: np.ndarray, known: np.ndarray, fill: np.ndarray) -> np.ndarray:
        """Returns [m, P] of some rows; what is missing, or of no `known` [T] predictor, filled."""
        some = self.columns[index]
        return np.where(known[self.token][None] & ~np.isnan(some), some, fill[None])

    def fill(self, kind: Literal["mean", "median"], train: np.ndarray) -> np.ndarray:
        """Returns the mean or median [P] of the columns over training rows."""
        return getattr(np, f"nan{kind}")(self.columns[train], axis=0)


def fit(method: Method, features: np.ndarray, presence: sparse.csr_array) -> Predict:
    """Returns the fitted model of all species.

    Args:
      method: "ridge" and "logistic" see squares too; presences and absences of "logistic" and
        "boosting" weigh alike, as in the loss of the species model.
      features: [n, P] of training rows, finite.
      presence: [n, S]; a species that is nowhere, or everywhere, is scored alike at all places.
    """
    if method == "ridge":
        return _ridge(features, presence)
    from sklearn import ensemble, linear_model, pipeline, preprocessing

    seen = features if method == "boosting" else _squares(features)
    columns: Any = sparse.csc_array(presence)
    models: list[Any] = []
    for i in range(len(columns.indptr) - 1):
        truth = columns[:, [i]].toarray()[:, 0]
        model: Any
        if method == "boosting":
            model = ensemble.HistGradientBoostingClassifier(**_BOOSTING)
        else:
            model = pipeline.make_pipeline(
                preprocessing.StandardScaler(),
                linear_model.LogisticRegression(class_weight="balanced", max_iter=1000),
            )
        models.append(model.fit(seen, truth) if 0 < truth.sum() < len(truth) else None)

    def predict(features: np.ndarray) -> np.ndarray:
        seen = features if method == "boosting" else _squares(features)
        none = np.zeros(len(seen))
        return np.stack([none if m is None else m.decision_function(seen) for m in models], 1)

    return predict


def _ridge(features: np.ndarray, presence: sparse.csr_array) -> Predict:
    """The normal equations: species stay sparse, which scikit-learn would have dense."""
    seen = _squares(features).astype(np.float64)
    mean, std = seen.mean(0), seen.std(0) + 1e-9
    seen = (seen - mean) / std
    gram = seen.T @ seen + _ALPHA * np.eye(seen.shape[1])
    weights = np.linalg.solve(gram, (presence.astype(np.float64).T @ seen).T)
    offset = np.asarray(presence.mean(0)).reshape(-1)
    return lambda features: ((_squares(features) - mean) / std) @ weights + offset[None]


def _squares(features: np.ndarray) -> np.ndarray:
    return np.concatenate([features, features**2], 1)
