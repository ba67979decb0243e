"""Which predictors of a table are hidden in training: the laws by which they are drawn."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

Law = Literal["none", "batch", "sample", "grouped"]
LAWS: tuple[Law, ...] = ("none", "batch", "sample", "grouped")


def draw(law: Law, key: jax.Array, count: int, group: np.ndarray) -> jax.Array:
    """Returns [B, T] bool, False where a predictor is hidden.

    Args:
      law: "none" hides nothing. "batch" draws one probability of staying, uniform on 0..1, for the
        whole batch, and each entry by it, as published [arXiv 2503.13057]; "sample" draws one for
        each row, so that every batch holds all sizes of subsets; "grouped" likewise, but the
        predictors of a group stay or go together in half of the rows.
      key: of the draw.
      count: B, rows.
      group: [T], the number of the group of each predictor.
    """
    tokens = len(group)
    if law == "none":
        return jnp.ones((count, tokens), bool)
    rate_key, entry_key, group_key, half_key = jax.random.split(key, 4)
    rates = jax.random.uniform(rate_key, (1 if law == "batch" else count, 1))
    keep = jax.random.uniform(entry_key, (count, tokens)) < rates
    if law != "grouped":
        return keep
    whole = jax.random.uniform(group_key, (count, int(group.max()) + 1)) < rates
    together = jax.random.bernoulli(half_key, 0.5, (count, 1))
    return jnp.where(together, whole[:, group], keep)
