"""Images of any size as the chips that an encoder looks at."""

from typing import Literal, get_args

import numpy as np

from smarties.inference import model
from smarties.spectrum.bands import Sensor
from smarties.tasks import embedding

Fit = Literal["crop", "mean", "resample"]
FITS: tuple[Fit, ...] = get_args(Fit)


def fitted(
    image: np.ndarray, valid: np.ndarray, side: int, fit: Fit
) -> tuple[np.ndarray, np.ndarray]:
    """Returns an image as chips [n, h, w, C] and their valid pixels [n, h, w].

    One image, but with "mean" all whole chips of a larger one that have a valid pixel. What is
    smaller than a chip stays as it is, and `vectors` resamples it.

    Args:
      image, valid: [H, W, C] and [H, W].
      side: of a chip, pixels.
      fit: of what is larger: "crop", its centre; "mean"; "resample", the whole of it.
    """
    rows, columns = (min(side, n) for n in valid.shape)
    if fit == "resample":
        return image[None], valid[None]
    if fit == "crop":
        top, left = ((n - s) // 2 for n, s in zip(valid.shape, (rows, columns), strict=True))
        corners = [(top, left)]
    else:
        steps = (range(0, n - s + 1, s) for n, s in zip(valid.shape, (rows, columns), strict=True))
        tops, lefts = steps
        every = [(top, left) for top in tops for left in lefts]
        corners = [(t, c) for t, c in every if valid[t : t + rows, c : c + columns].any()] or every
    cut = [(slice(t, t + rows), slice(c, c + columns)) for t, c in corners]
    return np.stack([image[at] for at in cut]), np.stack([valid[at] for at in cut])


def vectors(
    loaded: model.Model, images: np.ndarray, valid: np.ndarray, sensor: Sensor,
    *, side: int, pooling: embedding.Pooling,
) -> np.ndarray:  # fmt: skip
    """Returns vectors [n, D] of images [n, H, W, C] of any size, resampled to a chip's side."""
    size = None if images.shape[1:3] == (side, side) else side
    return loaded.embed(
        images, sensor=sensor, bands=sensor.names, valid=valid, pooling=pooling, size=size,
        batch_size=min(len(images), 32),
    )  # fmt: skip
