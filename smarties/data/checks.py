"""Do the numbers look like the unit the sensor declares?

Conservative on purpose: snow, dark water, cloud and city must pass. What fails is off by orders of
magnitude or has the wrong sign, as when reflectance in 0..1 is given for digital numbers, or linear
power for decibels.
"""

import numpy as np

from smarties import errors
from smarties.spectrum import bands

FEWEST = 16  # valid pixels; below, nothing can be said
BRIGHTEST = 1.6  # reflectance of the brightest snow and cloud, glint aside


def check_image(image: np.ndarray, valid: np.ndarray, sensor: bands.Sensor, where: str) -> None:
    """Returns nothing if the image may be what the sensor declares.

    Args:
      image: [H, W, C] as stored, before any cast: C counts all bands of the sensor.
      valid: [H, W] bool; other pixels are not looked at.
      sensor: with units, scales and offsets.
      where: names the image in errors.

    Raises:
      UserError: a wrong number of bands, non-finite pixels marked valid, or numbers of another
        unit; says what they look like and what would be right.
    """
    if image.ndim != 3 or image.shape[-1] != len(sensor.bands):
        found = "x".join(map(str, image.shape))
        raise errors.UserError(
            f"{where}: {found} is not rows x columns x the {len(sensor.bands)} bands of "
            f"{sensor.name}: {', '.join(sensor.names)}"
        )
    pixels = image[valid]
    if np.issubdtype(pixels.dtype, np.floating) and not np.isfinite(pixels).all():
        broken = ~np.isfinite(pixels)
        band = sensor.names[int(broken.any(axis=0).argmax())]
        raise errors.UserError(
            f"{where}: {int(broken.any(axis=1).sum())} pixels are not finite, e.g. in band {band}: "
            f"mark them invalid, or store {sensor.name} with a nodata value"
        )
    if len(pixels) < FEWEST:
        return
    _check_reflectance(pixels, sensor, where)
    _check_radar(pixels, sensor, where)


def _check_reflectance(pixels: np.ndarray, sensor: bands.Sensor, where: str) -> None:
    optical = [i for i, band in enumerate(sensor.bands) if band.unit == "reflectance"]
    if not optical:
        return
    values, scale = pixels[:, optical], sensor.bands[optical[0]].scale
    low, high = float(values.min()), float(values.max())
    if scale < 0.1:
        limit = BRIGHTEST if np.issubdtype(values.dtype, np.floating) else 1
        if 0 < high <= limit:
            raise errors.UserError(
                f"{where}: values {low:.3g}..{high:.3g} look like reflectance in 0..1, but "
                f"{sensor.name} is stored as digital numbers: multiply by {1 / scale:g}"
            )
    elif np.median(values) * scale > 2 * BRIGHTEST:
        raise errors.UserError(
            f"{where}: values {low:.3g}..{high:.3g} look like digital numbers, but {sensor.name} "
            f"is stored as reflectance in 0..1: divide by their scale, often 10000"
        )


def _check_radar(pixels: np.ndarray, sensor: bands.Sensor, where: str) -> None:
    radar = [i for i, band in enumerate(sensor.bands) if band.domain == "microwave"]
    if not radar:
        return
    values, unit = pixels[:, radar], sensor.bands[radar[0]].unit
    low, high = float(values.min()), float(values.max())
    if unit == "dB" and low >= 0 and high > 0:
        raise errors.UserError(
            f"{where}: values {low:.3g}..{high:.3g} look like linear power, but {sensor.name} is "
            f"in dB: take 10 * log10 of the calibrated power"
        )
    if unit != "dB" and np.mean(values < 0) > 0.5:
        raise errors.UserError(
            f"{where}: values {low:.3g}..{high:.3g} look like dB, but {sensor.name} is in {unit}: "
            f"take 10 ** (x / 10)"
        )
