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


def knn_accuracy(
    queries: np.ndarray,
    labels: np.ndarray,
    archive: np.ndarray,
    archive_labels: np.ndarray,
    *,
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """Returns the accuracy of a vote of the k nearest by cosine.

    Each weighs exp(similarity / temperature).
    [SMARTIES release, kNN protocol: k 20, temperature 0.07]

    Args:
      queries, archive: [Q, D] and [A, D]; labels, archive_labels: integers [Q] and [A].
    """
    similarity = jnp.asarray(cosine(queries, archive))
    top, at = jax.lax.top_k(similarity, min(k, len(archive)))
    votes = jax.nn.one_hot(jnp.asarray(archive_labels)[at], int(max(archive_labels)) + 1)
    weight = jnp.exp((top - top[:, :1]) / temperature)
    winner = (votes * weight[:, :, None]).sum(1).argmax(1)
    return float((np.asarray(winner) == labels).mean())


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
