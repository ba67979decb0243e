"""Losses of species scores, per sample [B]: rare and common species, presence and absence alike."""

import jax
import jax.numpy as jnp

from smarties.typing import Array

EPSILON = 1e-5


def weights(presences: Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """Returns the weights ([S] of a presence, [S] of an absence) of species.

    Over the training rows, the presences of a species weigh `rows` in all, and so do its absences.
    A species that is everywhere has no absence to weigh, one that is nowhere no presence: theirs
    is 0 and 1.

    Args:
      presences: [S], training rows with each species.
      rows: training rows.
    """
    found = jnp.asarray(presences, jnp.float32)
    missed = rows - found
    present = jnp.where(found > 0, rows / jnp.maximum(found, 1), 0)
    absent = jnp.where(missed > 0, rows / jnp.maximum(missed, 1), 0)
    return present, absent


def full_weighted(logits: jax.Array, presence: Array, present: Array, absent: Array) -> jax.Array:
    """Returns the full weighted loss [B], the mean over species; an entry's is at most 11.6 w.

    A logarithm of p + 1e-5, as log(exp(log p) + 1e-5), which neither p = 0 nor p = 1 disturbs.
    [Zbinden et al. 2024, doi 10.1016/j.ecoinf.2024.102623, without the term of background points,
    as MaskSDM uses it]

    Args:
      logits: [B, S].
      presence: [B, S], 0 or 1.
      present, absent: [S], see `weights`.
    """
    presence = jnp.asarray(presence, logits.dtype)
    found = -jnp.logaddexp(jax.nn.log_sigmoid(logits), jnp.log(EPSILON))
    missed = -jnp.logaddexp(jax.nn.log_sigmoid(-logits), jnp.log(EPSILON))
    each = (
        presence * jnp.asarray(present)[None] * found
        + (1 - presence) * jnp.asarray(absent)[None] * missed
    )
    return each.mean(-1)
