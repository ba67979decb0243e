"""Small pictures of images, as JPEG."""

import io

import numpy as np
from PIL import Image

from smarties.figures import scenes
from smarties.spectrum.bands import Sensor

SIDE = 96  # pixels of the longer side


def jpeg(image: np.ndarray, valid: np.ndarray, sensor: Sensor) -> bytes:
    """Returns a small JPEG of an image as a person would look at it: true colour, radar, or grey.

    Args:
      image: [H, W, C] in stored numbers, with the sensor's bands.
      valid: [H, W]; other pixels are white.
      sensor: of the image.
    """
    image = np.where(valid[..., None], image, np.median(image[valid], axis=0))
    seen = scenes.views(image, sensor)
    pixels = seen[0][1] if seen else _grey(image[..., 0])
    pixels = np.where(valid[..., None], pixels, 1.0)
    picture = Image.fromarray(np.uint8(np.rint(255 * np.clip(pixels, 0, 1))))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _grey(band: np.ndarray) -> np.ndarray:
    low, high = np.percentile(band, (2, 98))
    return np.clip((band - low) / max(high - low, 1e-9), 0, 1)[..., None].repeat(3, -1)
