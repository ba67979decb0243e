"""Which tokens an encoder sees and which are masked: for one sensor, or for the two of a pair."""

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from smarties.errors import UserError

Masking = Literal["identical", "random", "disjoint"]
MASKINGS: tuple[Masking, ...] = ("identical", "random", "disjoint")


@flax.struct.dataclass
class Mask:
    """Token positions of a batch.

    Attributes:
      visible: [B, v] int; those the encoder sees, in the order of the draw.
      masked: [B, m] int; the others.
    """

    visible: jax.Array
    masked: jax.Array


def visible_tokens(tokens: int, ratio: float) -> int:
    """Returns how many of `tokens` stay when `ratio` of them are masked, rounded down."""
    return int(tokens * (1 - ratio) + 1e-9)  # 10 * (1 - .9) is a little less than 1


def from_noise(noise: jax.Array, ratio: float) -> Mask:
    """Returns the mask of a noise [B, N]: the lowest values stay visible (MAE)."""
    order = jnp.argsort(noise, axis=1)
    seen = visible_tokens(noise.shape[1], ratio)
    return Mask(visible=order[:, :seen], masked=order[:, seen:])


def pair(masking: Masking, first: jax.Array, second: jax.Array, ratio: float) -> tuple[Mask, Mask]:
    """Returns the masks of the two sensors of each pair.

    `identical`: the same positions. `random`: two draws. `disjoint`: sensor two sees exactly what
    sensor one does not, so that 1 - ratio of its own tokens are masked.

    Args:
      masking: as above.
      first, second: noises [B, N]; the second matters to `random` alone.
      ratio: share of sensor one's tokens that are masked.
    """
    one = from_noise(first, ratio)
    if masking == "identical":
        return one, one
    if masking == "random":
        return one, from_noise(second, ratio)
    return one, Mask(visible=one.masked[:, ::-1], masked=one.visible[:, ::-1])


def check(masking: Masking, tokens: int, ratio: float) -> None:
    """Raises `UserError` where a sensor would see nothing, or a token neither seen nor masked."""
    if not 0 < visible_tokens(tokens, ratio) < tokens:
        raise UserError(
            f"task.mask_ratio {ratio} of {tokens} tokens leaves "
            f"{visible_tokens(tokens, ratio)} to see: some must be masked and some visible"
        )
    exact = tokens * ratio
    if masking == "disjoint" and abs(exact - round(exact)) > 1e-6:
        raise UserError(
            f"task.mask_ratio {ratio} of {tokens} tokens is {exact:g}: disjoint masks need a whole "
            f"number, for example {round(exact) or 1}/{tokens}"
        )
