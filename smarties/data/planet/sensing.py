"""The picture any sensor takes of a scene, in its stored numbers."""

import functools

import numpy as np

from smarties.data.planet import optics, radar, scene
from smarties.spectrum import bands

_VIEWS = {"optical": optics.view, "thermal": optics.heat, "microwave": radar.view}


def render(
    seen: scene.Scene, sensor: bands.Sensor, pixels: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns the image of a sensor, [pixels, pixels, C] in its stored numbers and dtype.

    Numbers an integer dtype cannot hold, and the one that means no data, become the nearest it can.
    An image has one dtype, that of the sensor's first band.
    """
    domains = [band.domain for band in sensor.bands]
    value = np.empty((len(domains), pixels, pixels), np.float32)
    for domain in dict.fromkeys(domains):
        at = [i for i, d in enumerate(domains) if d == domain]
        value[at] = _VIEWS[domain](seen, sensor, pixels, rng)
    scale, offset, low, high = _storage(sensor)
    value -= offset
    value *= scale
    dtype = np.dtype(sensor.bands[0].dtype)
    if dtype.kind in "iu":
        np.rint(value, out=value)
        np.clip(value, low, high, out=value)
    return np.ascontiguousarray(value.astype(dtype).transpose(1, 2, 0))


@functools.lru_cache(maxsize=64)
def _storage(sensor: bands.Sensor) -> tuple[np.ndarray, ...]:
    """Returns factor, offset, least and greatest stored number per band, [C, 1, 1] each."""
    dtype = np.dtype(sensor.bands[0].dtype)
    whole = dtype.kind in "iu"
    least, most = (np.iinfo(dtype).min, np.iinfo(dtype).max) if whole else (-np.inf, np.inf)
    rows = [
        (1 / b.scale, b.offset, least + 1 if b.nodata == least else least, most)
        for b in sensor.bands
    ]
    return tuple(np.array(rows, np.float32).T[:, :, None, None])
