"""Metrics of many species at once: ranks of the few presences among all sites, ties included.

Every metric but Boyce's needs only how many sites score less than each presence, and how many at
most as much. For a few presences these are counted; for more, a column is sorted once and its
presences are looked up by bisection. Columns are taken in chunks, in which they lie row by row.
Literature: DeLong et al. 1988 (AUC by ranks), Allouche et al. 2006 (TSS), Hirzel et al. 2006
(continuous Boyce index).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Any

import numpy as np
from scipy import sparse, stats

from smarties.errors import UserError, unknown

METRICS = ("auc", "ap", "tss")
MORE = ("threshold", "boyce")  # only where they are asked for
_CHUNK = 128  # species at a time: 7 MB of 14,189 sites, which stay in the caches
_FEW = 40  # presences up to which counting is quicker than sorting 10^4 sites
_ALL = (*METRICS, *MORE)

Predicted = np.ndarray | Callable[[slice], np.ndarray]


def scores(
    presence: Any, predicted: Predicted, wanted: Sequence[str] = METRICS
) -> dict[str, np.ndarray]:
    """Returns {metric: [S] float64} of species; NaN where all sites have it or none has.

    "auc" is the area under the ROC curve, "ap" average precision, "tss" the true skill statistic,
    sensitivity + specificity - 1, at its best "threshold", from which score on a species is called
    present. "boyce" is the rank correlation, over 101 windows a tenth of the scores' range wide,
    of a window with its share of presences over its share of all sites; windows of suitabilities
    (0..1) say more than those of logits.

    Args:
      presence: [n, S], not zero where a species was found: an array or a scipy.sparse matrix.
      predicted: [n, S], higher where a species is likelier, also as a memory map; or a function
        that gives such columns of some species, for more than fit into memory.
      wanted: of `METRICS` and `MORE`.

    Raises:
      UserError: an unknown metric, shapes that differ, a score that is not a number.
    """
    for name in wanted:
        if name not in _ALL:
            raise unknown("metric of species", name, _ALL)
    there: Any = sparse.csc_array(presence, copy=True)  # the caller keeps explicit zeros
    there.eliminate_zeros()
    sites, count = there.shape
    if not callable(predicted) and predicted.shape != there.shape:
        raise UserError(f"scores {list(predicted.shape)} of presences {list(there.shape)}")
    found = {name: np.full(count, np.nan) for name in wanted}

    def measure(first: int) -> None:
        some = slice(first, min(first + _CHUNK, count))
        rows = _rows(predicted(some) if callable(predicted) else predicted[:, some])
        if np.isnan(rows).any():
            wrong = first + int(np.flatnonzero(np.isnan(rows).any(1))[0])
            raise UserError(f"species {wrong} of the scores: a score is not a number")
        for s, row in enumerate(rows, first):
            present = np.sort(row[there.indices[there.indptr[s] : there.indptr[s + 1]]])
            if 0 < len(present) < sites:
                for name, value in _of(row, present, wanted).items():
                    found[name][s] = value

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with futures.ThreadPoolExecutor(1 if callable(predicted) else threads) as pool:
        list(pool.map(measure, range(0, count, _CHUNK)))  # counting lets other threads run
    return found


def macro(values: Mapping[str, np.ndarray], evaluated: np.ndarray) -> dict[str, float]:
    """Returns the mean of each metric over the species `evaluated` [S] that have a value."""
    known = {name: each[evaluated & np.isfinite(each)] for name, each in values.items()}
    return {name: float(each.mean()) if len(each) else np.nan for name, each in known.items()}


def excluded(presence: Any, names: Sequence[str]) -> dict[str, list[str]]:
    """Returns names of species that have no value: "without_presence" and "without_absence".

    Args:
      presence: [n, S], not zero where a species was found: an array or a scipy.sparse matrix.
      names: of the species.
    """
    count, every = np.asarray((presence != 0).sum(0)).ravel(), np.asarray(names)
    return {
        "without_presence": [str(n) for n in every[count == 0]],
        "without_absence": [str(n) for n in every[(count == presence.shape[0]) & (count > 0)]],
    }


def _rows(columns: np.ndarray, block: int = 256) -> np.ndarray:
    """Returns columns as contiguous rows; by blocks, which the caches like."""
    rows = np.empty(columns.shape[::-1], columns.dtype)
    for at in range(0, len(columns), block):
        rows[:, at : at + block] = columns[at : at + block].T
    return rows


def _of(every: np.ndarray, present: np.ndarray, wanted: Sequence[str]) -> dict[str, float]:
    """Returns metrics from the scores of all sites [n]; sorts these where it pays.

    Args:
      every: [n], of all sites.
      present: [k], of presences, sorted.
    """
    n, k = len(every), len(present)
    found: dict[str, float] = {}
    if k <= _FEW and "boyce" not in wanted:
        below = np.array([np.count_nonzero(every < score) for score in present])
        least = np.array([np.count_nonzero(every <= score) for score in present])
    else:
        every.sort()
        below, least = (np.searchsorted(every, present, side) for side in ("left", "right"))
    ranks = (below + least + 1) / 2  # of ties the mean
    found["auc"] = (ranks.sum() - k * (k + 1) / 2) / (k * (n - k))
    called, right = n - below, k - np.searchsorted(present, present, "left")
    found["ap"] = float(
        np.mean(right / called)
    )  # each presence adds the precision at its own score
    skill = right / k - (called - right) / (n - k)
    best = int(skill.argmax())  # no other threshold does better than a presence's score
    found["tss"], found["threshold"] = skill[best], float(present[best])
    if "boyce" in wanted:
        found["boyce"] = _boyce(every, present)
    return {name: found[name] for name in wanted}


def _boyce(every: np.ndarray, present: np.ndarray, windows: int = 101) -> float:
    """Returns the continuous Boyce index, NaN where scores or ratios do not vary."""
    low, high = float(every[0]), float(every[-1])
    width = (high - low) / 10
    starts = np.linspace(low, high - width, windows)
    ends = starts + width
    ends[-1] = high  # but for rounding
    inside = [
        (np.searchsorted(x, ends.astype(x.dtype), "right")
         - np.searchsorted(x, starts.astype(x.dtype), "left")) / len(x)
        for x in (present, every)
    ]  # fmt: skip
    known = inside[1] > 0
    ratio, middle = inside[0][known] / inside[1][known], (starts + width / 2)[known]
    new = np.append(True, np.diff(ratio) != 0)  # a plateau counts once
    ratio, middle = ratio[new], middle[new]
    if len(ratio) < 3 or np.ptp(ratio) == 0 or width == 0:
        return float("nan")
    ranks = [stats.rankdata(x) for x in (middle, ratio)]
    return float(np.corrcoef(*ranks)[0, 1])
