"""Nearest neighbours in feature space: kNN classification and retrieval of co-located images."""

import jax
import jax.numpy as jnp
import numpy as np


def cosine(queries: np.ndarray, archive: np.ndarray) -> np.ndarray:
    """Returns cosine similarities [Q, A] of features [Q, D] and [A, D]."""
    for features in (queries, archive):
        if not np.isfinite(features).all():
            raise FloatingPointError("features are not finite: no neighbour can be told")
    unit = [
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (queries, archive)
    ]
    return unit[0] @ unit[1].T


def nearest(
    queries: np.ndarray, archive: np.ndarray, k: int, chunk: int = 1024
) -> tuple[np.ndarray, np.ndarray]:
    """Returns cosine similarities [Q, k] of the k nearest, best first, and their rows [Q, k].

    Args:
      queries, archive: features [Q, D] and [A, D].
      k: of a smaller archive, all.
      chunk: queries at a time.
    """
    k = min(k, len(archive))
    parts = []
    for start in range(0, len(queries), chunk):
        parts.append(jax.lax.top_k(jnp.asarray(cosine(queries[start : start + chunk], archive)), k))
    similarity, rows = (np.concatenate([np.asarray(p[i]) for p in parts]) for i in (0, 1))
    return similarity, rows


def votes(similarity: np.ndarray, labels: np.ndarray, temperature: float = 0.07) -> np.ndarray:
    """Returns the share of votes [Q, L] that each class gets of the nearest.

    Each neighbour weighs exp(similarity / temperature).
    [SMARTIES release, kNN protocol: k 20, temperature 0.07]

    Args:
      similarity: [Q, k], best first.
      labels: [Q, k, L] of the neighbours, 1 where a class is present.
      temperature: of the weights.
    """
    weight = np.exp((similarity - similarity[:, :1]) / temperature)
    return np.einsum("qk,qkl->ql", weight / weight.sum(1, keepdims=True), labels)


def knn_accuracy(
    queries: np.ndarray,
    labels: np.ndarray,
    archive: np.ndarray,
    archive_labels: np.ndarray,
    *,
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """Returns the accuracy of the class that gets most `votes`.

    Args:
      queries, archive: [Q, D] and [A, D]; labels, archive_labels: integers [Q] and [A].
    """
    similarity, rows = nearest(queries, archive, k)
    one_hot = np.eye(int(max(archive_labels)) + 1, dtype=np.float32)[archive_labels]
    return float((votes(similarity, one_hot[rows], temperature).argmax(1) == labels).mean())


def centred(features: np.ndarray) -> np.ndarray:
    """Returns features [A, D] minus their mean and over their deviation.

    Sensors differ by more than an offset.
    """
    return (features - features.mean(0, keepdims=True)) / (features.std(0, keepdims=True) + 1e-6)


def ranks(queries: np.ndarray, archive: np.ndarray) -> np.ndarray:
    """Returns for each query [A, D] the rank [A] (0 = first) of the archive image of its row."""
    similarity = cosine(queries, archive)
    own = np.diagonal(similarity)[:, None]
    return (similarity > own).sum(1) + ((similarity == own).sum(1) - 1) // 2


def recall(rank: np.ndarray, k: int) -> float:
    """Returns the share of queries whose counterpart is among the first k."""
    return float((rank < k).mean())


def interval(values: np.ndarray, seed: int = 0, draws: int = 1000) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of the mean of values [Q]."""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
