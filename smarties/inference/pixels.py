"""Classes of pixels from feature maps, and features that nothing was pretrained for.

The baselines see a pixel alone, or with what is around it about as far as a token does, or nothing.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
    """A fitted regression.

    Attributes:
      chosen: the variant of the features, and C.
      weights, bias: [D, L] and [L].
    """

    chosen: Mapping[str, Any]
    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, found: Mapping[str, jax.Array], side: tuple[int, int]) -> np.ndarray:
        """Returns class indices [B, *side] of feature maps [B, h, w, D] by variant."""
        maps = found[self.chosen["variant"]]
        return np.asarray(_classes(maps, self.weights, self.bias, side=side))


@functools.partial(jax.jit, static_argnames="side")
def _classes(maps, weights, bias, *, side: tuple[int, int]) -> jax.Array:
    scores = maps @ jnp.asarray(weights, jnp.float32)
    shape = (len(maps), *side, scores.shape[-1])
    scores = jax.image.resize(scores, shape, "linear", antialias=False)
    return (scores + jnp.asarray(bias, jnp.float32)[None, None, None]).argmax(-1)


@functools.partial(jax.jit, static_argnames="side")
def at(maps: jax.Array, places: jax.Array, *, side: tuple[int, int]) -> jax.Array:
    """Returns features [B, k, D] of maps [B, h, w, D], bilinear, at pixels of an image.

    Args:
      maps: their cells share the area of the image evenly.
      places: row and column [B, k, 2] of pixels.
      side: of the image, pixels.
    """
    size = jnp.array(maps.shape[1:3])[None, None]
    where = (places + 0.5) * size / jnp.array(side)[None, None] - 0.5
    where = jnp.clip(where, 0, size - 1)
    low = jnp.floor(where).astype(int)
    high = jnp.minimum(low + 1, size - 1)
    share = where - low
    image = jnp.arange(len(maps))[:, None]
    total = jnp.zeros((*places.shape[:2], maps.shape[-1]))
    for rows, of_row in ((low, 1 - share[..., :1]), (high, share[..., :1])):
        for columns, of_column in ((low, 1 - share[..., 1:]), (high, share[..., 1:])):
            total += of_row * of_column * maps[image, rows[..., 0], columns[..., 1]]
    return total
