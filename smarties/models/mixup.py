"""Cross-sensor token mixup and the shared mask: which token of which sensor each stream sees."""

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from smarties.models import layout, masking
from smarties.typing import Key

Mixup = Literal["mirrored", "released"]


@flax.struct.dataclass
class Draw:
    """One random draw for a batch of pairs.

    Attributes:
      first: [B, N] bool; where the first stream keeps the first sensor's token. In image order.
      visible: [B, v] int; token positions the encoder sees.
      masked: [B, m] int; the others.
    """

    first: jax.Array
    visible: jax.Array
    masked: jax.Array


def draw(key: Key, pairs: int, tokens: int, mix_ratio: float, mask_ratio: float) -> Draw:
    """Returns a uniform draw: `mix_ratio` of positions keep sensor one, `mask_ratio` are masked."""
    keys = jax.random.split(key)
    noises = [layout.spread(jax.random.uniform(k, (pairs, tokens))) for k in keys]
    return from_noise(*noises, mix_ratio=mix_ratio, mask_ratio=mask_ratio)


def from_noise(mix: jax.Array, mask: jax.Array, *, mix_ratio: float, mask_ratio: float) -> Draw:
    """Returns the draw of two noises [B, N]: the lowest values are kept (as in the release)."""
    tokens = mix.shape[1]
    rank = jnp.argsort(jnp.argsort(mix, axis=1), axis=1)
    seen = masking.from_noise(mask, mask_ratio)
    first = rank < int(tokens * mix_ratio)
    return Draw(first=first, visible=seen.visible, masked=seen.masked)


def take(x: jax.Array, at: jax.Array) -> jax.Array:
    """Returns x [B, n, ...] from x [B, N, ...] and positions [B, n]."""
    return jnp.take_along_axis(x, at.reshape(*at.shape, *(1,) * (x.ndim - 2)), axis=1)


def mix(
    first: jax.Array, second: jax.Array, keep: jax.Array, mode: Mixup
) -> tuple[jax.Array, jax.Array]:
    """Returns the two mixed streams [B, n, D] of the tokens of two sensors.

    `keep` [B, n] is true for the first.

    `mirrored`: the streams are complements. `released`: the second stream stays sensor two,
    unmixed, as the public code does (it overwrites the first stream before it forms the second).
    """
    keep = keep[:, :, None]
    return (
        jnp.where(keep, first, second),
        jnp.where(keep, second, first) if mode == "mirrored" else second,
    )


def unmix(
    one: jax.Array, two: jax.Array, keep: jax.Array, mode: Mixup
) -> tuple[tuple[int, jax.Array, jax.Array], ...]:
    """Returns what decoded tokens reconstruct: (sensor 0 or 1, tokens [B, m, d], weight [B, m]).

    `mirrored`: undoing the mixup leaves one token per masked position and sensor. `released`: the
    first stream holds either sensor, the second only sensor two.
    """
    share = keep.astype(jnp.float32)
    pick = keep[:, :, None]
    if mode == "mirrored":
        whole = jnp.ones_like(share)
        return (0, jnp.where(pick, one, two), whole), (1, jnp.where(pick, two, one), whole)
    return (0, one, share), (1, one, 1 - share), (1, two, jnp.ones_like(share))
