"""Metrics of many species at once: ranks of the few presences among all sites, ties included.

Every metric but Boyce's needs only how many sites score less than each presence, and how many at
most as much. For a few presences these are counted; for more, a column is sorted once and its
presences are looked up by bisection. Columns are taken in chunks, in which they lie row by row.
Literature: DeLong et al. 1988 (AUC by ranks), Allouche et al. 2006 (TSS), Hirzel et al. 2006
(continuous Boyce index).
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any

import numpy as np
from scipy import sparse, stats

from smarties.errors import UserError, unknown

METRICS = ("auc", "ap", "tss", "boyce")
CHUNK = 64_000_000  # bytes of scores held at once, over all threads
_FEW = 40  # presences up to which counting is quicker than sorting 10^4 sites


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics of species.

    Attributes:
      values: {metric: [S] float64}, NaN where a species cannot be evaluated.
      thresholds: [S], from which score on a species is called present for its best TSS; or None.
      presences: [S] int64, sites with the species.
      sites: of the evaluation.
    """

    values: Mapping[str, np.ndarray]
    thresholds: np.ndarray | None
    presences: np.ndarray
    sites: int

    @property
    def evaluated(self) -> np.ndarray:
        """[S] bool: species with a presence and an absence."""
        return (self.presences > 0) & (self.presences < self.sites)

    def mean(self, metric: str) -> float:
        """Returns the unweighted mean over evaluated species, NaN where there is none."""
        found = self.values[metric][self.evaluated]
        known = found[np.isfinite(found)]
        return float(known.mean()) if len(known) else float("nan")

    def excluded(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Returns the names of species without a presence, and of those without an absence."""
        none, everywhere = self.presences == 0, self.presences == self.sites
        return {
            "without_presence": [str(n) for n in np.asarray(names)[none]],
            "without_absence": [str(n) for n in np.asarray(names)[everywhere & ~none]],
        }


def auc(scores: np.ndarray, presences: Any, chunk: int = CHUNK) -> np.ndarray:
    """Returns the ROC-AUC [S] of species, NaN without a presence or absence; see `evaluate`."""
    return evaluate(scores, presences, ("auc",), chunk).values["auc"]


def evaluate(
    scores: np.ndarray, presences: Any, wanted: Sequence[str] = METRICS, chunk: int = CHUNK
) -> Evaluation:
    """Returns the metrics of all species over sites.

    Args:
      scores: [n, S] real, larger where a species is likelier; the Boyce index cuts their range
        into windows, so it wants suitabilities (0..1) rather than logits. A memory map will do.
      presences: [n, S], non-zero where a species is: an array or a scipy.sparse matrix.
      wanted: of `METRICS`. auc, ap and tss are those of all sites; boyce is the rank correlation,
        over 101 windows a tenth of the scores' range wide, of the share of presences over the
        share of all sites in the window.
      chunk: bytes of scores to hold at once.

    Raises:
      UserError: an unknown metric, shapes that differ, a score that is not a number.
    """
    for name in wanted:
        if name not in METRICS:
            raise unknown("metric of species", name, METRICS)
    there: Any = sparse.csc_array(presences, copy=True)  # the caller keeps explicit zeros
    there.eliminate_zeros()
    if there.shape != scores.shape:
        raise UserError(f"scores {list(scores.shape)} but presences {list(there.shape)}: one each")
    sites, count = scores.shape
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    step = max(1, chunk // (threads * max(sites, 1) * scores.dtype.itemsize))
    step = min(step, 128)  # all threads have work, and a chunk stays in the caches
    found = np.full((len(METRICS) + 1, count), np.nan)

    def measure(first: int) -> None:
        last = min(first + step, count)
        rows = _rows(scores, first, last)
        if np.isnan(rows).any():
            wrong = first + int(np.flatnonzero(np.isnan(rows).any(1))[0])
            raise UserError(f"species {wrong} of the scores: a score is not a number")
        for s, row in enumerate(rows, first):
            present = np.sort(row[there.indices[there.indptr[s] : there.indptr[s + 1]]])
            if 0 < len(present) < sites:
                found[:, s] = _of(row, present, wanted)

    with futures.ThreadPoolExecutor(threads) as pool:  # sorting lets other threads run
        list(pool.map(measure, range(0, count, step)))
    values = {name: found[METRICS.index(name)] for name in wanted}
    thresholds = found[-1] if "tss" in wanted else None
    return Evaluation(values, thresholds, np.diff(there.indptr).astype(np.int64), sites)


def _rows(scores: np.ndarray, first: int, last: int, block: int = 256) -> np.ndarray:
    """Returns columns [first, last) as rows; by blocks, which the caches like."""
    rows = np.empty((last - first, len(scores)), scores.dtype)
    for at in range(0, len(scores), block):
        rows[:, at : at + block] = scores[at : at + block, first:last].T
    return rows


def _of(every: np.ndarray, present: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    """Returns `METRICS` and the threshold from the scores of all sites; sorts them if it pays.

    Args:
      every: [n], of all sites.
      present: [k], of presences, sorted.
    """
    n, k = len(every), len(present)
    found = np.full(len(METRICS) + 1, np.nan)
    if k <= _FEW and "boyce" not in wanted:
        below = np.array([np.count_nonzero(every < score) for score in present])
        least = np.array([np.count_nonzero(every <= score) for score in present])
    else:
        every.sort()
        below, least = (np.searchsorted(every, present, side) for side in ("left", "right"))
    if "auc" in wanted:  # the mean rank of ties: halfway between those below and those not above
        ranks = (below + least + 1) / 2
        found[0] = (ranks.sum() - k * (k + 1) / 2) / (k * (n - k))
    if "ap" in wanted or "tss" in wanted:
        called, right = n - below, k - np.searchsorted(present, present, "left")
        found[1] = np.mean(right / called)  # each presence adds the precision at its own score
        skill = right / k - (called - right) / (n - k)
        best = int(skill.argmax())  # no other threshold does better than a presence's score
        found[2], found[4] = skill[best], present[best]
    if "boyce" in wanted:
        found[3] = _boyce(every, present)
    return found


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
