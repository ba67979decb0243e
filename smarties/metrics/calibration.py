"""How far probabilities are from frequencies."""

import numpy as np

BINS = 15


def sums(
    confidence: np.ndarray, hit: np.ndarray, weight: np.ndarray, bins: int = BINS
) -> np.ndarray:
    """Returns the expected calibration error [R] of predictions [n] under weights [R, n].

    The mean over bins of equal width of |accuracy - confidence|, by their share of predictions.
    [Guo et al. 2017, equation 3]

    Args:
      confidence: predicted probability of what was predicted, 0..1.
      hit: whether it was so, 0 or 1.
      weight: of each prediction, in each replicate.
      bins: number of them.
    """
    place = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gap = (hit - confidence).astype(np.float32)
    inside = np.zeros((len(gap), bins), np.float32)
    inside[np.arange(len(gap)), place] = gap
    return np.abs(weight @ inside).sum(1) / weight.sum(1)


def expected_error(confidence: np.ndarray, hit: np.ndarray, bins: int = BINS) -> float:
    """Returns the expected calibration error of predictions [n], see `sums`."""
    return float(sums(confidence, hit, np.ones((1, len(hit)), np.float32), bins)[0])
