"""Intervals by resampling examples: how often each is drawn, a chunk of replicates at a time."""

from collections.abc import Callable, Iterator

import numpy as np

DRAWS = 1000
_NUMBERS = 1 << 24  # of counts held at a time


def counts(examples: int, draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """Yields float32 [r, examples], how often a replicate draws an example; `draws` rows in all.

    [Efron 1979, sampling with replacement]
    """
    rng = np.random.default_rng(seed)
    chunk = max(1, _NUMBERS // max(examples, 1))
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        drawn = rng.integers(0, examples, (rows, examples))
        drawn += examples * np.arange(rows)[:, None]
        flat = np.bincount(drawn.ravel(), minlength=rows * examples)
        yield flat.reshape(rows, examples).astype(np.float32)


def intervals(
    values: Callable[[np.ndarray], dict[str, np.ndarray]],
    examples: int,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Returns the 95 % interval of each quantity, by percentiles over replicates.

    Args:
      values: counts [r, examples] to {name: [r]}; replicates where one is not finite do not count.
      examples: number of them.
      draws: replicates.
      seed: of the draws.
    """
    chunks = [values(weight) for weight in counts(examples, draws, seed)]
    found = {}
    for name in chunks[0]:
        drawn = np.concatenate([chunk[name] for chunk in chunks])
        low, high = np.nanquantile(drawn, (0.025, 0.975))
        found[name] = (float(low), float(high))
    return found
