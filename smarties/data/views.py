"""From stored numbers to patches, on the device: jitted, vectorised, static shapes.

An image with its mask of valid pixels is standardised first (invalid pixels become 0, the mean),
then resampled: any crop, flip and scaling is one linear map per axis, so a pair whose images differ
in resolution shares one window.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from smarties.spectrum.bands import Sensor
from smarties.typing import Array, Key


def standardise(image: Array, valid: Array, sensor: Sensor) -> tuple[jax.Array, jax.Array]:
    """Returns (image [B, H, W, c] float32, valid [B, H, W] bool) of the selected bands of a sensor.

    x -> (clip((x - low) / (high - low), 0, 1) - mean) / std per band; invalid and non-finite pixels
    become 0.

    Args:
      image: [B, H, W, C] in the sensor's stored numbers, all its file bands in file order.
      valid: [B, H, W] bool.
      sensor: static.
    """
    chosen = sensor.select()
    low, high = np.array([b.clip for b in chosen.bands], np.float32).T[:, None, None, None]
    mean = np.array([b.mean for b in chosen.bands], np.float32)[None, None, None]
    std = np.array([b.std for b in chosen.bands], np.float32)[None, None, None]
    image = image[..., np.array(sensor.index())].astype(jnp.float32)
    seen = jnp.isfinite(image).all(-1) & valid
    unit = jnp.clip((image - low) / (high - low), 0.0, 1.0)
    return jnp.where(seen[..., None], (unit - mean) / std, 0.0), seen


@flax.struct.dataclass
class Window:
    """A square crop as a share of an image, with its flips and transposition, per sample [B].

    Attributes:
      top, left: of the crop, as shares of height and width.
      side: of the crop, as a share of either.
      flip_rows, flip_columns, transpose: bool; together the eight flips and quarter turns.
    """

    top: jax.Array
    left: jax.Array
    side: jax.Array
    flip_rows: jax.Array
    flip_columns: jax.Array
    transpose: jax.Array


def random_window(key: Key, batch: int, area: tuple[float, float] = (0.25, 1.0)) -> Window:
    """Returns windows of uniformly drawn area, place, flips and quarter turns.

    [SMARTIES release, augmentation]
    """
    keys = jax.random.split(key, 6)
    side = jnp.sqrt(jax.random.uniform(keys[0], (batch,), minval=area[0], maxval=area[1]))
    top, left = (jax.random.uniform(k, (batch,)) * (1 - side) for k in keys[1:3])
    turns = [jax.random.bernoulli(k, 0.5, (batch,)) for k in keys[3:]]
    return Window(top, left, side, *turns)


def whole_window(batch: int) -> Window:
    """Returns windows that show every image whole and upright."""
    zero, no = jnp.zeros(batch), jnp.zeros(batch, bool)
    return Window(zero, zero, jnp.ones(batch), no, no, no)


def resample(
    image: jax.Array, valid: jax.Array, window: Window, size: int
) -> tuple[jax.Array, jax.Array]:
    """Returns the window of image [B, H, W, c] and of valid [B, H, W] at `size` x `size` pixels.

    Bicubic and antialiased. A pixel stays valid where everything it averages is.
    """
    rows, columns = (
        jax.vmap(lambda start, side, flip, n=n: _axis(n, size, start, side, flip))(*axis)
        for n, axis in zip(
            image.shape[1:3],
            (
                (window.top, window.side, window.flip_rows),
                (window.left, window.side, window.flip_columns),
            ),
            strict=True,
        )
    )
    # Bands first: the products then have long rows, whatever the number of bands.
    out = jnp.einsum("bsh,bchw->bcsw", rows, image.transpose(0, 3, 1, 2))
    out = jnp.einsum("bcsw,btw->bcst", out, columns).transpose(0, 2, 3, 1)
    touched = [(jnp.abs(m) > 1e-4).astype(jnp.float32) for m in (rows, columns)]
    holes = jnp.einsum("bsh,bhw,btw->bst", touched[0], 1.0 - valid, touched[1])
    turn = window.transpose[:, None, None]
    out = jnp.where(turn[..., None], out.swapaxes(1, 2), out)
    ok = jnp.where(turn, holes.swapaxes(1, 2), holes) < 0.5
    return out * ok[..., None], ok


def nearest(labels: jax.Array, window: Window, size: int) -> jax.Array:
    """Returns the window of labels [B, H, W] at `size` x `size` pixels, each the nearest one's."""
    rows, columns = (
        jax.vmap(lambda start, side, flip, n=n: _nearest(n, size, start, side, flip))(*axis)
        for n, axis in zip(
            labels.shape[1:],
            (
                (window.top, window.side, window.flip_rows),
                (window.left, window.side, window.flip_columns),
            ),
            strict=True,
        )
    )
    out = jnp.take_along_axis(labels, rows[:, :, None], 1)
    out = jnp.take_along_axis(out, columns[:, None, :], 2)
    return jnp.where(window.transpose[:, None, None], out.swapaxes(1, 2), out)


def mix(key: Key, batch: int, size: int, mixup: float, cutmix: float) -> tuple[Array, Array]:
    """Returns (weight [B, H, W, 1] of an image against its partner's, share [B] of its labels).

    Partners are the batch in reverse. Where both are given, each sample draws one of the two.
    [mixup: Zhang et al. 2018, arXiv:1710.09412; cutmix: Yun et al. 2019, arXiv:1905.04899]

    Args:
      key: of the draw.
      batch: B.
      size: side of the images, pixels.
      mixup, cutmix: alpha of the Beta(alpha, alpha) their shares are drawn from; 0 is off.
    """
    keys = jax.random.split(key, 5)
    blended, cut = (
        jax.random.beta(k, alpha, alpha, (batch,)) if alpha else jnp.ones(batch)
        for k, alpha in zip(keys, (mixup, cutmix), strict=False)
    )
    half = jnp.sqrt(1 - cut) / 2
    inside = jnp.ones((batch, 1, 1), bool)
    for k, axes in ((keys[2], (slice(None), slice(None), None)), (keys[3], (slice(None), None))):
        center = jax.random.uniform(k, (batch,))
        at = (jnp.arange(size) + 0.5) / size
        near = jnp.abs(at[None] - center[:, None]) < half[:, None]
        inside = inside & near[axes]
    box = 1.0 - inside
    chance = 0.5 if mixup and cutmix else float(bool(cutmix))
    cuts = jax.random.bernoulli(keys[4], chance, (batch,))
    weight = jnp.where(cuts[:, None, None], box, blended[:, None, None])
    return weight[..., None], weight.mean((1, 2))


def patchify(image: jax.Array, patch: int) -> jax.Array:
    """Returns patches [B, N, C, P*P] of image [B, H, W, C]: tokens and pixels row-major."""
    b, h, w, c = image.shape
    grid = image.reshape(b, h // patch, patch, w // patch, patch, c)
    return grid.transpose(0, 1, 3, 5, 2, 4).reshape(b, -1, c, patch * patch)


def unpatchify(patches: jax.Array, grid: tuple[int, int]) -> jax.Array:
    """Returns image [B, H, W, C] of patches [B, N, C, P*P] on a grid (rows, columns) of tokens."""
    b, _, c, pixels = patches.shape
    p = int(pixels**0.5)
    image = patches.reshape(b, *grid, c, p, p).transpose(0, 1, 4, 2, 5, 3)
    return image.reshape(b, grid[0] * p, grid[1] * p, c)


def _axis(n: int, size: int, start: jax.Array, side: jax.Array, flip: jax.Array) -> jax.Array:
    """Returns the matrix [size, n] sampling [start, start + side] of n pixels; rows sum to one."""
    step = side * n / size
    at = _places(n, size, start, side, flip)
    spread = jnp.maximum(step, 1.0)
    weight = _cubic((at[:, None] - jnp.arange(n)[None]) / spread)
    return weight / weight.sum(1, keepdims=True)


def _nearest(n: int, size: int, start: jax.Array, side: jax.Array, flip: jax.Array) -> jax.Array:
    """Returns which of n pixels is nearest to each of the places `_axis` samples, [size]."""
    return jnp.clip(jnp.round(_places(n, size, start, side, flip)).astype(int), 0, n - 1)


def _places(n: int, size: int, start: jax.Array, side: jax.Array, flip: jax.Array) -> jax.Array:
    at = (jnp.arange(size) + 0.5) * (side * n / size) + start * n - 0.5
    return jnp.where(flip, at[::-1], at)


def _cubic(x: jax.Array, a: float = -0.5) -> jax.Array:
    """Keys' cubic convolution."""
    x = jnp.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return jnp.where(x < 1, near, jnp.where(x < 2, far, 0.0))
