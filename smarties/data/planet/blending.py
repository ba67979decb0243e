"""Sensor pixels from drawn ones: weighted tables over patches, averaged over each pixel."""

from collections.abc import Sequence

import numpy as np


def pool(image: np.ndarray, pixels: int) -> np.ndarray:
    """Returns [..., n, n] averaged over equal squares to [..., pixels, pixels]."""
    factor = image.shape[-1] // pixels
    rows = image[..., ::factor, :].copy()
    for i in range(1, factor):
        rows += image[..., i::factor, :]
    total = rows[..., ::factor].copy()
    for i in range(1, factor):
        total += rows[..., i::factor]
    return total * np.float32(1 / factor**2)


def blend(
    patch: np.ndarray, pixels: int, terms: Sequence[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Returns the average of sum_t table_t[patch] * weight_t over each pixel, [C, pixels, pixels].

    Most pixels lie within one patch: they need the average weights only, and the tables once.
    Only pixels on edges are summed over their parts.

    Args:
      patch: [n, n], n a multiple of `pixels`.
      terms: pairs of a table [P, C] and weights [n, n].
    """
    factor = patch.shape[0] // pixels
    parts = [patch[i::factor, j::factor] for i in range(factor) for j in range(factor)]
    first = parts[0].ravel()
    mixed = np.zeros(len(first), bool)
    for part in parts[1:]:
        mixed |= part.ravel() != first
    edge = np.flatnonzero(mixed)
    on_edge = [part.ravel()[edge] for part in parts]
    image = np.zeros((terms[0][0].shape[1], len(first)), np.float32)
    blends = np.zeros((image.shape[0], len(edge)), np.float32)
    for table, weight in terms:
        columns = np.ascontiguousarray(table.T)
        image += np.take(columns, first, axis=1) * pool(weight, pixels).ravel()
        for k, part in enumerate(on_edge):
            share = weight[k // factor :: factor, k % factor :: factor].ravel()[edge]
            blends += np.take(columns, part, axis=1) * share
    image[:, edge] = blends * np.float32(1 / factor**2)
    return image.reshape(-1, pixels, pixels)
