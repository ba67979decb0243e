"""Features of single pixels that nothing was pretrained for: what token maps must beat.

They see a pixel alone, or with what is around it about as far as a token does, or not at all.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from smarties.inference import baselines, features
from smarties.spectrum.bands import Sensor
from smarties.typing import Array


def nothing(image: Array, valid: Array, seen: features.View) -> dict[str, jax.Array]:
    """Returns {"nothing": zeros [B, 1, 1, 1]}: what is learnt of them is the frequency of classes.

    Where one class is most of the ground, other features may do no better.
    """
    del valid, seen
    return {"nothing": jnp.zeros((len(image), 1, 1, 1))}


@dataclasses.dataclass(frozen=True)
class Bands:
    """The standardised bands of a pixel.

    Attributes:
      reference: the bands; where an image has no like of one, it is 0, its mean.
      window: side of the square around a pixel, pixels.
    """

    reference: Sensor
    window: int

    def __call__(self, image: Array, valid: Array, seen: features.View) -> dict[str, jax.Array]:
        """Returns {"pixel": [B, H, W, c], "window": also the means and deviations around}."""
        return _bands(image, valid, seen=seen, reference=self.reference, window=self.window)


@functools.partial(jax.jit, static_argnames=("seen", "reference", "window"))
def _bands(image, valid, *, seen, reference, window) -> dict[str, jax.Array]:
    image, valid = features.prepare(image, valid, seen)
    bands, _ = baselines.aligned(image, valid, seen, reference)
    mean, square = (smoothed(x, valid, window) for x in (bands, bands**2))
    deviation = jnp.sqrt(jnp.maximum(square - mean**2, 0.0))
    return {"pixel": bands, "window": jnp.concatenate([bands, mean, deviation], -1)}


@dataclasses.dataclass(frozen=True, eq=False)
class Filters:
    """The responses of random convolutions at a pixel.

    Attributes:
      made: the filters.
      window: side of the square around a pixel, pixels.
    """

    made: baselines.Convolutions
    window: int

    def __call__(self, image: Array, valid: Array, seen: features.View) -> dict[str, jax.Array]:
        """Returns {"pixel": [B, H, W, 2 F], "window": also their means around, [B, H, W, 4 F]}."""
        made = self.made
        return _filters(
            image, valid, made.kernel, made.offset, made.bias,
            seen=seen, reference=made.reference, window=self.window,
        )  # fmt: skip


@functools.partial(jax.jit, static_argnames=("seen", "reference", "window"))
def _filters(
    image, valid, kernel, offset, bias, *, seen, reference, window
) -> dict[str, jax.Array]:
    image, valid = features.prepare(image, valid, seen)
    bands, _ = baselines.aligned(image, valid, seen, reference)
    patch = kernel.shape[0]
    room = ((patch - 1) // 2, patch // 2)
    response = jax.lax.conv_general_dilated(
        jnp.pad(bands, ((0, 0), room, room, (0, 0)), "edge"), kernel, (1, 1), "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    ) + jnp.reshape(offset, (1, 1, 1, -1))  # fmt: skip
    both = jnp.concatenate([jax.nn.relu(sign * response - bias) for sign in (1, -1)], -1)
    return {"pixel": both, "window": jnp.concatenate([both, smoothed(both, valid, window)], -1)}


def smoothed(values: jax.Array, valid: jax.Array, window: int) -> jax.Array:
    """Returns the mean [B, H, W, c] of the valid pixels in a square around each; 0 without one.

    Args:
      values: [B, H, W, c].
      valid: [B, H, W] bool.
      window: side of the square, pixels; of an even one, one more lies below and to the right.
    """

    def summed(x):
        for sides in ((1, window, 1, 1), (1, 1, window, 1)):
            x = jax.lax.reduce_window(x, 0.0, jax.lax.add, sides, (1, 1, 1, 1), "SAME")
        return x

    mask = valid[..., None].astype(values.dtype)
    return summed(values * mask) / jnp.maximum(summed(mask), 1.0)
