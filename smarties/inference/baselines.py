"""Features that nothing was pretrained for: what a model must beat to be of use.

Both look at standardised bands; bands that another camera lacks are interpolated from its own.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import subsets
from smarties.inference import features
from smarties.spectrum.bands import Band, Sensor
from smarties.typing import Array

PERCENTILES = (5, 25, 50, 75, 95)


def matched(reference: Sensor, sensor: Sensor) -> np.ndarray:
    """Returns weights [c, C] that make the bands of `reference` out of those of `sensor`.

    A band of the same sensor and name is itself. Others are interpolated between the nearest in
    wavelength, and beyond the last one are that; radar takes its polarisation. Rows are 0 where
    there is nothing of the kind.
    """
    weights = np.zeros((len(reference.bands), len(sensor.bands)), np.float32)
    for row, band in zip(weights, reference.bands, strict=True):
        if reference.name == sensor.name and band.name in sensor.names:
            row[sensor.names.index(band.name)] = 1.0
        elif band.domain == "microwave":
            same = [i for i, b in enumerate(sensor.bands) if b.polarization == band.polarization]
            row[same[:1]] = 1.0
        else:
            _interpolate(row, band, sensor)
    return weights


def _interpolate(row: np.ndarray, band: Band, sensor: Sensor) -> None:
    near = [i for i, other in enumerate(sensor.bands) if other.domain == band.domain]
    near.sort(key=lambda i: sensor.bands[i].center or 0.0)
    if not near:
        return
    centers = [sensor.bands[i].center or 0.0 for i in near]
    place = np.interp(band.center or 0.0, centers, np.arange(len(near)))
    low = int(place)
    row[near[low]] = 1 - (place - low)
    if place > low:
        row[near[low + 1]] = place - low


def aligned(
    image: jax.Array, valid: jax.Array, seen: features.View, reference: Sensor
) -> tuple[jax.Array, np.ndarray]:
    """Returns bands of `reference` [B, H, W, c] of a prepared image, and which [c] there are."""
    weights = matched(reference, seen.sensor)
    image = jnp.where(valid[..., None], image, 0.0)
    return image @ weights.T, weights.sum(1) > 0


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Mean, deviation and percentiles of each band: no texture, no place, no learning.

    Attributes:
      reference: the bands it is of; where an image has no like of one, its features are NaN.
    """

    reference: Sensor

    def __call__(self, image: Array, valid: Array, seen: features.View) -> dict[str, jax.Array]:
        """Returns {"bands": [B, c * 7]}."""
        return {"bands": _statistics(image, valid, seen=seen, reference=self.reference)}


@functools.partial(jax.jit, static_argnames=("seen", "reference"))
def _statistics(image, valid, *, seen: features.View, reference: Sensor) -> jax.Array:
    image, valid = features.prepare(image, valid, seen)
    bands, there = aligned(image, valid, seen, reference)
    known = valid[..., None] & there[None, None, None]
    pixels = jnp.where(known, bands, jnp.nan).reshape(len(image), -1, bands.shape[-1])
    levels = jnp.nanquantile(pixels, jnp.array(PERCENTILES) / 100, axis=1)
    moments = jnp.stack([jnp.nanmean(pixels, 1), jnp.nanstd(pixels, 1)])
    return jnp.concatenate([moments, levels]).transpose(1, 2, 0).reshape(len(image), -1)


@dataclasses.dataclass(frozen=True, eq=False)
class Convolutions:
    """Random convolutional features: whitened patches of training images as filters.

    [MOSAIKS: Rolf et al. 2021, doi 10.1038/s41467-021-24638-z; Coates and Ng 2012]

    Attributes:
      reference: the bands the filters are of; where an image has no like of one, it is 0, its mean.
      kernel: [p, p, c, F].
      offset: [F], of the whitened patch.
      bias: what a response must exceed.
    """

    reference: Sensor
    kernel: np.ndarray
    offset: np.ndarray
    bias: float = 1.0

    def __call__(self, image: Array, valid: Array, seen: features.View) -> dict[str, jax.Array]:
        """Returns {"filters": [B, 2 F]}: mean ReLU of each filter and of its negative."""
        made = _convolve(
            image, valid, self.kernel, self.offset, self.bias, seen=seen, reference=self.reference
        )
        return {"filters": made}


@functools.partial(jax.jit, static_argnames=("seen", "reference"))
def _convolve(image, valid, kernel, offset, bias, *, seen, reference) -> jax.Array:
    image, _ = aligned(*features.prepare(image, valid, seen), seen, reference)
    response = jax.lax.conv_general_dilated(
        image, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ) + jnp.reshape(offset, (1, 1, 1, -1))
    both = [jax.nn.relu(sign * response - bias).mean((1, 2)) for sign in (1, -1)]
    return jnp.concatenate(both, -1)


def convolutions(
    part: subsets.Part,
    seen: features.View,
    *,
    filters: int = 256,
    patch: int = 3,
    seed: int = 0,
    images: int = 256,
) -> Convolutions:
    """Returns random convolutional features with filters from some images of a part.

    Args:
      part: training examples; their labels are not looked at.
      seen: which bands.
      filters: F; there are two features of each.
      patch: p, pixels.
      seed: of the choice of images and places.
      images: at most so many are read.
    """
    rng = np.random.default_rng(seed)
    few = part.take(np.sort(rng.permutation(len(part))[:images]))

    def standardised(image, valid, view):
        return {"image": _prepared(image, valid, seen=view)}

    pixels = features.extract(standardised, few, seen, batch=min(32, len(few)))["image"]
    c = pixels.shape[-1]
    count = max(8 * filters, 20 * patch * patch * c)
    rows, columns = (rng.integers(0, n - patch + 1, count) for n in pixels.shape[1:3])
    which = rng.integers(0, len(pixels), count)
    step = np.arange(patch)
    patches = pixels[
        which[:, None, None],
        rows[:, None, None] + step[:, None],
        columns[:, None, None] + step,
    ].reshape(count, -1)
    mean = patches.mean(0, dtype=np.float64)
    scale, axes = np.linalg.eigh(np.cov(patches.T, dtype=np.float64))
    # The smallest directions are noise of the camera: they are not blown up without bound.
    whiten = (axes / np.sqrt(np.maximum(scale, 0) + 0.01 * scale.mean() + 1e-9)) @ axes.T
    chosen = (patches[rng.permutation(count)[:filters]] - mean) @ whiten
    chosen /= np.linalg.norm(chosen, axis=1, keepdims=True) + 1e-9
    kernel = whiten @ chosen.T
    return Convolutions(
        seen.sensor,
        kernel.reshape(patch, patch, c, -1).astype(np.float32),
        (-mean @ kernel).astype(np.float32),
    )


@functools.partial(jax.jit, static_argnames=("seen",))
def _prepared(image, valid, *, seen: features.View) -> jax.Array:
    return features.prepare(image, valid, seen)[0]
