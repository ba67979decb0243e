"""Vectors in fewer bytes."""

import numpy as np

from smarties import errors
from smarties.inference.index import search

DTYPES = ("float32", "float16", "int8")


def part(z: np.ndarray, dtype: str, zero: np.ndarray | None = None) -> search.Part:
    """Returns vectors [n, D] as they are stored; `search.plain` returns them, about.

    For int8 a common vector is taken off before each is scaled by its largest number: what all
    images of a sensor have in common would else take most of the 8 bits.

    Args:
      z: the vectors.
      dtype: one of `DTYPES`.
      zero: [D], of int8: the common vector; None for the mean.

    Raises:
      UserError: numbers too large for float16.
    """
    if dtype != "int8":
        if not (np.abs(z).max(initial=0) <= np.finfo(dtype).max):
            raise errors.UserError(f"vectors have numbers up to {np.abs(z).max():.3g}, too large "
                                   f"for {dtype}: store float32 or int8")  # fmt: skip
        return search.Part(z.astype(dtype))
    zero = np.asarray(z.mean(0) if zero is None else zero, np.float32)
    scales = np.abs(z - zero).max(1) / 127
    scales[scales == 0] = 1
    vectors = np.rint((z - zero) / scales[:, None]).astype(np.int8)
    return search.Part(vectors, rows=scales.astype(np.float32), zero=zero)
