"""Do the numbers look like the unit the sensor declares?

Conservative on purpose: snow, dark water, cloud and city must pass. What fails is off by orders of
magnitude or has the wrong sign, as when reflectance in 0..1 is given for digital numbers, or linear
power for decibels; or is what no scene can be, as a cirrus band of 1000 everywhere.
"""

import numpy as np

from smarties import errors
from smarties.spectrum import bands

FEWEST = 16  # valid pixels; below, nothing can be said
BRIGHTEST = 1.6  # reflectance of the brightest snow and cloud, glint aside
DARKEST = -0.5  # atmospheric correction makes reflectance negative, but hardly below -0.2
# Sentinel-2 since processing baseline 04.00, unless it is taken off: 1000 more in every band. Then
# the cirrus band, nearly 0 on a clear day, is 1000 and flat; a cloud as bright there is not flat.
OFFSET, _LEAST, _MOST, _FLAT = 1000, 950, 1150, 60
WRAPPED = (64_536, 65_534)  # -1000 to -2 as uint16; 65535 alone may mean saturated


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
    _check_integers(pixels, sensor, where)
    _check_offset(pixels, sensor, where)
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


def _check_integers(pixels: np.ndarray, sensor: bands.Sensor, where: str) -> None:
    """Raises where 16 bits were read with the wrong sign, or nodata was not marked."""
    lowest, highest = pixels.min(axis=0).tolist(), pixels.max(axis=0).tolist()
    for i, band in enumerate(sensor.bands):
        if band.unit != "reflectance":
            continue
        if highest[i] >= WRAPPED[0] and WRAPPED[0] * band.scale + band.offset > 2 * BRIGHTEST:
            values = pixels[:, i]
            top = values[(values >= WRAPPED[0]) & (values <= WRAPPED[1])]
            if len(top) and not np.any((values > 32_767) & (values < WRAPPED[0])):
                raise errors.UserError(
                    f"{where}: band {band.name} of {sensor.name} has {len(top)} pixels like "
                    f"{top.max():g}: negative numbers wrapped round by uint16: read them as int16"
                )
        if lowest[i] * band.scale + band.offset < DARKEST:
            raise errors.UserError(
                f"{where}: band {band.name} of {sensor.name} has values down to {lowest[i]:.6g}, "
                "no reflectance: mark nodata, or read uint16 in place of int16"
            )


def _check_offset(pixels: np.ndarray, sensor: bands.Sensor, where: str) -> None:
    """Raises where Sentinel-2 level 1C still has the offset of newer processing baselines.

    Level 2A has no cirrus band, and nothing else tells the offset from haze or bright ground.
    """
    for i, band in enumerate(sensor.bands):
        if band.common_name != "cirrus" or (band.scale, band.offset) != (1e-4, 0):
            continue
        cirrus = pixels[:, i]
        if np.mean(cirrus < _LEAST) > 0.01:
            return
        dark, middle = np.percentile(cirrus, (1, 50))
        if dark > _MOST or middle - dark > _FLAT:
            return
        if (np.percentile(pixels, 1, axis=0) >= _LEAST).all():
            raise errors.UserError(
                f"{where}: cirrus band {band.name} of {sensor.name} is {middle:g} all over: the "
                f"numbers still have the {OFFSET} that processing baseline 04.00 adds: subtract it"
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
