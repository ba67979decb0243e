"""How good rankings are, judged by shared labels: one number for each query, then their means.

Names, and what each is divided by, for the first k of a ranking:

precision, recall   |q and r| / |r| and |q and r| / |q| of a query's and a result's label sets
f1_of_means         harmonic mean of the means of these two over all results of all queries
mean_pair_f1        mean of the harmonic means of each pair
map                 average precision, a result being relevant if it shares a label: over the hits
                    among the first k ("hits"), or over as many as there could be ("relevant")
ndcg                gain 2^shared - 1, discount log2(1 + rank), over that of the best order of the
                    archive ("archive"), or of what was retrieved ("retrieved")
"""

import functools
from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from smarties.metrics import bootstrap
from smarties.typing import Array

Denominator = Literal["hits", "relevant"]
Ideal = Literal["archive", "retrieved"]
DENOMINATORS: tuple[Denominator, ...] = ("hits", "relevant")
IDEALS: tuple[Ideal, ...] = ("archive", "retrieved")
NAMES = ("f1_of_means", "mean_pair_f1", "precision", "recall", "map", "ndcg")

PerQuery = dict[str, np.ndarray]  # [Q] of precision, recall, mean_pair_f1, map, ndcg


def measured(
    queries: Array,
    retrieved: Array,
    k: int,
    *,
    denominator: Denominator,
    ideal: Ideal,
    shared: Array | None = None,
) -> PerQuery:
    """Returns the measures [Q] of each query's ranking.

    Args:
      queries: [Q, L], 1 where a class is present.
      retrieved: [Q, M, L] of the results, best first.
      k: how many of them count, at most M; the others serve ideal "retrieved" alone.
      denominator: of average precision. "hits" is blind to what was not retrieved. [MiLaN, code]
      ideal: of NDCG. "retrieved" is blind to it too. [GRID, code]
      shared: [Q, L + 1] archive images by how many labels they share with the query, see
        `random_retrieval.Chances`; what "relevant" and "archive" need.
    """
    if not 0 < k <= np.shape(retrieved)[1]:
        raise ValueError(f"k is {k}, but {np.shape(retrieved)[1]} were retrieved")
    if shared is None and (denominator == "relevant" or ideal == "archive"):
        raise ValueError(f"denominator {denominator}, ideal {ideal}: `shared` is needed")
    counts = jnp.zeros((len(queries), 1)) if shared is None else jnp.asarray(shared)
    made = _measured(
        jnp.asarray(queries), jnp.asarray(retrieved), counts,
        k=k, denominator=denominator, ideal=ideal,
    )  # fmt: skip
    return {name: np.asarray(values) for name, values in made.items()}


@functools.partial(jax.jit, static_argnames=("k", "denominator", "ideal"))
def _measured(queries, retrieved, shared, *, k, denominator, ideal) -> dict[str, jax.Array]:
    queries, retrieved = queries.astype(jnp.float32), retrieved.astype(jnp.float32)
    common = jnp.einsum("ql,qml->qm", queries, retrieved)
    precision, recall, f1 = pairs(common[:, :k], queries.sum(-1)[:, None], retrieved[:, :k].sum(-1))
    hit = common[:, :k] > 0
    most = shared[:, 1:].sum(-1) if denominator == "relevant" else None
    gain = jnp.exp2(common) - 1
    if ideal == "archive":
        best = ideal_gains(shared, k)
    else:
        best = jax.lax.top_k(gain, k)[0]
    return {
        "precision": precision.mean(1),
        "recall": recall.mean(1),
        "mean_pair_f1": f1.mean(1),
        "map": average_precision(hit, most),
        "ndcg": _ratio((gain[:, :k] * discounts(k)).sum(1), (best * discounts(k)).sum(1)),
    }


def pairs(common: Array, query: Array, result: Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns precision, recall and their harmonic mean of pairs of label sets; 0 for empty sets.

    Args:
      common, query, result: how many labels the two share, and each has; of equal ranks.
    """
    common = jnp.asarray(common, jnp.float32)
    return _ratio(common, result), _ratio(common, query), _ratio(2 * common, query + result)


def average_precision(hit: Array, relevant: Array | None = None) -> jax.Array:
    """Returns the average precision [Q] of rankings; 0 where nothing relevant is.

    Args:
      hit: [Q, k], whether a result is relevant.
      relevant: [Q] in the archive: what is divided by is the lesser of this and k. Without, it is
        the hits.
    """
    hit = jnp.asarray(hit, jnp.float32)
    k = hit.shape[1]
    rank = jnp.arange(1, k + 1, dtype=jnp.float32)[None]
    total = (hit * jnp.cumsum(hit, 1) / rank).sum(1)
    return _ratio(total, hit.sum(1) if relevant is None else jnp.minimum(relevant, k))


def ideal_gains(shared: Array, k: int) -> jax.Array:
    """Returns the gains [Q, k] of the best order of an archive.

    Args:
      shared: [Q, L + 1], archive images by how many labels they share with the query.
    """
    shared = jnp.asarray(shared)
    at_least = jnp.cumsum(shared[:, ::-1], 1)[:, ::-1]  # [Q, L + 1], so many share s or more
    better = at_least[:, None, 1:] > jnp.arange(k)[None, :, None]
    return jnp.exp2(better.sum(-1).astype(jnp.float32)) - 1


def discounts(k: int) -> jax.Array:
    """Returns 1 / log2(1 + rank), [1, k]."""
    return 1 / jnp.log2(1 + jnp.arange(1, k + 1, dtype=jnp.float32))[None]


def _ratio(part: Array, whole: Array) -> jax.Array:
    """Returns part / whole, 0 where the whole is 0."""
    whole = jnp.asarray(whole, jnp.float32)
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0.0)


def f1_of_means(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Returns the harmonic mean of mean precision and mean recall. [CSMAE, code]"""
    total = np.asarray(precision + recall)
    return np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1), 0.0)


def means(values: Mapping[str, np.ndarray], weight: np.ndarray) -> dict[str, np.ndarray]:
    """Returns weighted means [r] over queries of measures [Q], `f1_of_means` among them.

    Args:
      values: {name: [Q]}, names as of `measured`, each alike with "@k" behind it, or others.
      weight: [r, Q], how often a query counts.
    """
    # One product in which float64 sums keep the digits that 100,000 queries need.
    stacked = np.stack(list(values.values()), 1).astype(np.float64)
    found = dict(zip(values, (weight @ stacked / weight.sum(1)[:, None]).T, strict=True))
    both = {
        name.replace("precision", "f1_of_means"): f1_of_means(
            mean, found[name.replace("precision", "recall")]
        )
        for name, mean in found.items()
        if name.partition("@")[0] == "precision"
    }
    return {**both, **found}


def scores(values: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, tuple[float, ...]]:
    """Returns {name: (value, low, high)}, means over queries and their 95 % bootstrap intervals.

    Args:
      values: {name: [Q]}, see `means`.
      seed: of the draws of queries.
    """
    count = len(next(iter(values.values())))
    found = means(values, np.ones((1, count)))
    ends = bootstrap.intervals(lambda weight: means(values, weight), count, seed=seed)
    return {name: (float(value[0]), *ends[name]) for name, value in found.items()}
