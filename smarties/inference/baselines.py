"""Features that nothing was pretrained for: what a model must beat to be of use.

Both look at standardised bands and match those of another sensor by wavelength or polarisation.
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


def matched(reference: Sensor, sensor: Sensor) -> tuple[int, ...]:
    """Returns for each band of `reference` the position of its like in `sensor`, or -1.

    Its like is the band of that name of the same sensor; else the nearest in wavelength whose
    interval overlaps, or in radar of the same polarisation.
    """
    if reference.name == sensor.name:
        return tuple(
            sensor.names.index(name) if name in sensor.names else -1 for name in reference.names
        )
    return tuple(_nearest(band, sensor) for band in reference.bands)


def _nearest(band: Band, sensor: Sensor) -> int:
    best, least = -1, np.inf
    for i, other in enumerate(sensor.bands):
        if other.domain != band.domain:
            continue
        if band.domain == "microwave":
            if other.polarization == band.polarization:
                return i
            continue
        apart = abs((other.center or 0) - (band.center or 0))
        if apart <= ((other.fwhm or 0) + (band.fwhm or 0)) / 2 and apart < least:
            best, least = i, apart
    return best


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
    pixels = jnp.where(valid[..., None], image, jnp.nan).reshape(len(image), -1, image.shape[-1])
    found = jnp.concatenate(
        [
            jnp.nanmean(pixels, 1)[None],
            jnp.nanstd(pixels, 1)[None],
            jnp.nanquantile(pixels, jnp.array(PERCENTILES) / 100, axis=1),
        ]
    )
    columns = [
        found[..., at] if at >= 0 else jnp.full_like(found[..., 0], jnp.nan)
        for at in matched(reference, seen.sensor)
    ]
    return jnp.stack(columns, -1).transpose(1, 2, 0).reshape(len(image), -1)


@dataclasses.dataclass(frozen=True, eq=False)
class Convolutions:
    """Random convolutional features: whitened patches of training images as filters.

    [MOSAIKS: Rolf et al. 2021, doi 10.1038/s41467-021-24638-z; Coates and Ng 2012]

    Attributes:
      reference: the bands the filters are of; where an image has no like of one, it is its mean.
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
    image = _aligned(*features.prepare(image, valid, seen), seen.sensor, reference)
    response = jax.lax.conv_general_dilated(
        image, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ) + jnp.reshape(offset, (1, 1, 1, -1))
    both = [jax.nn.relu(sign * response - bias).mean((1, 2)) for sign in (1, -1)]
    return jnp.concatenate(both, -1)


def _aligned(image, valid, sensor: Sensor, reference: Sensor) -> jax.Array:
    """Returns the bands of `reference` [B, H, W, c] of a standardised image; 0, the mean, else."""
    image = jnp.where(valid[..., None], image, 0.0)
    columns = [
        image[..., at] if at >= 0 else jnp.zeros_like(image[..., 0])
        for at in matched(reference, sensor)
    ]
    return jnp.stack(columns, -1)


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
