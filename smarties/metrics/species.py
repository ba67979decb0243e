"""How well scores rank the places of each species: values are scikit-learn's, ties included.

All of them follow from where the scores of its presences lie among those of all places, so that a
species costs one sort.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import sparse

METRICS = ("auc", "ap", "tss")
_CHUNK = 256  # species that are sorted at a time


def scores(
    presence: sparse.csr_array | np.ndarray, predicted: np.ndarray | Callable[[slice], np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns {"auc", "ap", "tss": [S]} of species; NaN where all places have it or none has.

    "auc" is the area under the ROC curve, "ap" average precision, "tss" the true skill statistic,
    sensitivity + specificity - 1, at its best threshold.

    Args:
      presence: [n, S], 0 or 1.
      predicted: [n, S], higher where a species is more likely; or a function that gives such
        columns of some species, for more than fit into memory.
    """
    columns = sparse.csc_array(presence)
    places, species = columns.shape
    found = {name: np.full(species, np.nan) for name in METRICS}
    for start in range(0, species, _CHUNK):
        some = slice(start, min(start + _CHUNK, species))
        values = predicted(some) if callable(predicted) else predicted[:, some]
        values = np.ascontiguousarray(values.T)
        ranked = np.sort(values, 1)
        for i in range(len(values)):
            k = start + i
            rows = columns.indices[columns.indptr[k] : columns.indptr[k + 1]]
            rows = rows[columns.data[columns.indptr[k] : columns.indptr[k + 1]] != 0]
            if 0 < len(rows) < places:
                one = _of_presences(ranked[i], np.sort(values[i, rows]))
                for name, value in zip(METRICS, one, strict=True):
                    found[name][k] = value
    return found


def _of_presences(ranked: np.ndarray, own: np.ndarray) -> tuple[float, float, float]:
    """Returns (auc, ap, tss) from all scores and those of presences, each in rising order."""
    places, count = len(ranked), len(own)
    absent = places - count
    below = np.searchsorted(ranked, own, "left")
    upto = np.searchsorted(ranked, own, "right")
    own_below = np.searchsorted(own, own, "left")
    own_upto = np.searchsorted(own, own, "right")
    # Absences below a presence count whole, those level with it half.
    wins = (below - own_below) + 0.5 * ((upto - below) - (own_upto - own_below))
    chosen, hits = places - below, count - own_below  # at the threshold of each presence
    skill = hits / count - (chosen - hits) / absent
    return wins.mean() / absent, (hits / chosen).mean(), max(0.0, skill.max())


def macro(values: Mapping[str, np.ndarray], evaluated: np.ndarray) -> dict[str, float]:
    """Returns the mean of each metric over the species `evaluated` [S] that have a value."""
    return {
        name: float(np.nanmean(each[evaluated])) if np.isfinite(each[evaluated]).any() else np.nan
        for name, each in values.items()
    }
