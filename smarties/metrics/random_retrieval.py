"""What a random ranking of the archive scores: the chance that a retrieval is to be read beside.

All are exact expectations over all orders of the archive, except NDCG over the best order of what
was retrieved, which is a ratio of two random numbers: that is of drawn rankings.
"""

import dataclasses

import numpy as np
from scipy import stats

from smarties.metrics import retrieval

_PAIRS = 1 << 22  # of label sets held at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Chances:
    """An archive as seen by each query's labels.

    Attributes:
      shared: [Q, L + 1], archive images by how many labels they share with the query.
      precision, recall, f1: [Q], mean over the archive of the measures of a pair.
    """

    shared: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    @property
    def images(self) -> np.ndarray:
        """How many images there are to be found [Q]."""
        return self.shared.sum(1)

    @property
    def relevant(self) -> np.ndarray:
        """How many of them share a label [Q]."""
        return self.shared[:, 1:].sum(1)


def chances(queries: np.ndarray, archive: np.ndarray, own: np.ndarray | None = None) -> Chances:
    """Returns what each query may find in an archive.

    Args:
      queries, archive: labels [Q, L] and [A, L], 1 where a class is present.
      own: bool [Q], whether the archive has the query itself, which is not to be found.
    """
    queries, archive = (
        np.asarray(labels, bool).astype(np.float64) for labels in (queries, archive)
    )
    shared, size = _shared(queries, archive), queries.sum(1).astype(int)
    # Sums over pairs are linear in the labels of images of one size: [L + 1, L] are enough.
    sizes = np.arange(shared.shape[1])
    of_size = np.stack([archive[archive.sum(1) == s].sum(0) for s in sizes])
    weight = np.stack([
        np.broadcast_to(1 / np.maximum(sizes, 1), shared.shape),
        np.broadcast_to(1 / np.maximum(size, 1)[:, None], shared.shape),
        2 / np.maximum(size[:, None] + sizes, 1),
    ])  # fmt: skip
    sums = (weight * (queries @ of_size.T)).sum(2)  # [3, Q]
    if own is not None:
        # A pair of equal sets has precision and recall 1, or 0 where the sets are empty.
        shared[np.arange(len(shared)), size] -= own
        sums -= own & (size > 0)
    precision, recall, f1 = sums / np.maximum(shared.sum(1), 1)
    return Chances(shared, precision, recall, f1)


def _shared(queries: np.ndarray, archive: np.ndarray) -> np.ndarray:
    """Returns `Chances.shared`; label sets repeat, and each is looked at once."""
    asked, back = np.unique(queries, axis=0, return_inverse=True)
    kinds, often = np.unique(archive, axis=0, return_counts=True)
    bins = asked.shape[1] + 1
    found = np.zeros((len(asked), bins), int)
    chunk = max(1, _PAIRS // len(kinds))
    for start in range(0, len(asked), chunk):
        common = asked[start : start + chunk].astype(np.float32) @ kinds.T.astype(np.float32)
        place = np.rint(common).astype(int) + bins * np.arange(len(common))[:, None]
        weight = np.broadcast_to(often.astype(np.float64), place.shape).ravel()
        counts = np.bincount(place.ravel(), weight, bins * len(common))
        found[start : start + chunk] = counts.reshape(-1, bins)
    return found[back.ravel()]


def expected(
    chance: Chances,
    k: int,
    *,
    denominator: retrieval.Denominator,
    ideal: retrieval.Ideal,
    depth: int | None = None,
    seed: int = 0,
) -> retrieval.PerQuery:
    """Returns the expected measures [Q] of a random ranking, named as of `retrieval.measured`.

    Args:
      chance: see `chances`.
      k, denominator, ideal: of the measures; k at most as many as there are images.
      depth: M, the results that ideal "retrieved" sorts again; k by default.
      seed: of the drawn rankings of ideal "retrieved", one a query; others need none.
    """
    gains = np.exp2(np.arange(chance.shared.shape[1])) - 1.0
    discount = np.asarray(retrieval.discounts(k))[0].astype(np.float64)
    if ideal == "archive":
        best = np.asarray(retrieval.ideal_gains(chance.shared, k)) @ discount
        mean = (chance.shared @ gains) / np.maximum(chance.images, 1) * discount.sum()
        ndcg = np.divide(mean, best, out=np.zeros_like(mean), where=best > 0)
    else:
        ndcg = _drawn(chance, k, max(depth or k, k), gains, discount, seed)
    return {
        "precision": chance.precision,
        "recall": chance.recall,
        "mean_pair_f1": chance.f1,
        "map": _average_precision(chance, k, denominator),
        "ndcg": ndcg,
    }


def _average_precision(chance: Chances, k: int, denominator: retrieval.Denominator) -> np.ndarray:
    """Returns the expected average precision [Q] at k.

    Of h hits among n places, any two places are both hits by h (h - 1) / n (n - 1): a hit at rank
    i has (i - 1) (h - 1) / (n - 1) others before it.
    """
    rank = np.arange(1, k + 1)
    images, relevant = chance.images, chance.relevant

    def total(hits: np.ndarray, places: np.ndarray) -> np.ndarray:
        hits, places = hits[:, None], places[:, None]
        before = (rank[None] - 1) * (hits - 1) / np.maximum(places - 1, 1)
        return (hits / places * (1 + before) / rank[None]).sum(1)

    if denominator == "relevant":
        most = np.minimum(k, relevant)
        return np.where(most > 0, total(relevant, images) / np.maximum(most, 1), 0.0)
    hits = rank  # how many of the first k are relevant, beside none
    value = total(hits, np.full(k, k)) / hits
    kinds, back = np.unique(np.stack([images, relevant], 1), axis=0, return_inverse=True)
    share = stats.hypergeom.pmf(hits[None], kinds[:, :1], kinds[:, 1:], k)
    return (share @ value)[back.ravel()]


def _drawn(
    chance: Chances, k: int, depth: int, gains: np.ndarray, discount: np.ndarray, seed: int
) -> np.ndarray:
    """Returns NDCG [Q] over the best order of `depth` random results, of one ranking a query."""
    rng = np.random.default_rng(seed)
    found = np.zeros(len(chance.shared))
    for i, counts in enumerate(chance.shared):
        taken = rng.multivariate_hypergeometric(counts, min(depth, int(counts.sum())))
        results = np.repeat(gains, taken)  # ascending
        best = results[::-1][:k] @ discount
        if best > 0:
            found[i] = rng.permutation(results)[:k] @ discount / best
    return found
