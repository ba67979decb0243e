"""Sentinel-2 digital numbers of every processing baseline on one scale.

From baseline 04.00 on (products made since 2022-01-25, and all of the reprocessed Collection 1) ESA
stores reflectance * 10000 + 1000, so that dark pixels may be negative; before, reflectance * 10000.
Source: Sentinel-2 Products Specification Document, RADIO_ADD_OFFSET and BOA_ADD_OFFSET.
"""

import re

import numpy as np

from smarties import errors

OFFSET = 1000  # digital numbers that newer products add
SINCE = 4.0
_UNTOLD = 99.99  # Sen2Cor run by users writes N9999 whatever the product it began with


def baseline_of(product_id: str) -> float | None:
    """Returns the processing baseline that a product's name gives: 4.0 for "..._N0400_...".

    None where the name has none, or is N9999: then it says nothing of the offset.
    """
    hit = re.search(r"_N(\d\d)\.?(\d\d)(?![0-9])", product_id)
    baseline = float(f"{hit[1]}.{hit[2]}") if hit else None
    return None if baseline == _UNTOLD else baseline


def settle(product_id: str, otherwise: float | None, where: str) -> float:
    """Returns the baseline a product's name gives, or else `otherwise`, what the user knows.

    Raises:
      Unreadable: neither is known; it is never guessed.
    """
    named = baseline_of(product_id)
    baseline = otherwise if named is None else named
    if baseline is None:
        raise errors.Unreadable(
            f"{where}: {product_id or 'the product'} does not name its processing baseline: give "
            f"baseline=..., from 4.0 on the numbers have {OFFSET} added"
        )
    return baseline


def harmonise(pixels: np.ndarray, valid: np.ndarray, baseline: float) -> np.ndarray:
    """Returns reflectance * 10000 in the pixels' dtype, without the offset of newer baselines.

    What would be negative is 0 and stays valid, as it did in older products. Other pixels are kept.

    Args:
      pixels: [H, W, C] digital numbers.
      valid: [H, W] bool.
      baseline: from `baseline_of` or `settle`.
    """
    if baseline < SINCE:
        return pixels
    offset = pixels.dtype.type(OFFSET)
    return np.where(valid[..., None], np.maximum(pixels, offset) - offset, pixels)
