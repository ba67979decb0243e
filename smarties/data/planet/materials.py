"""Reflectance spectra of pure materials, and their integral over a sensor's bands."""

import functools

import numpy as np

from smarties.spectrum import bands

# Knots of reflectance, percent, in the manner of library spectra (leaves, soils, man-made).
KNOTS_NM = (400, 443, 490, 560, 620, 665, 687, 705, 740, 783, 842, 945, 1100, 1240, 1450, 1610,
            1800, 1940, 2100, 2200, 2350, 2500)  # fmt: skip
_PERCENT = {
    "clear water": (4, 3.8, 3.2, 2.4, 1.4, 1, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2,
        0.1, 0.1, 0.1, 0.1, 0.1, 0, 0, 0, 0, 0),
    "turbid water": (5, 6, 8, 12, 11, 10, 8.9, 8, 5, 4.6, 3.4, 1.4,
        0.8, 0.5, 0.2, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1),
    "crop leaf": (3, 3, 3.4, 8.2, 4.6, 3.2, 3.6, 11, 38, 48, 50, 50,
        51, 48, 17, 29, 26, 6, 13, 15, 10, 5),
    "grass leaf": (3, 3.4, 4, 8.6, 6, 5, 5.6, 12, 29, 35, 38, 38,
        40, 38, 16, 28, 25, 8, 15, 17, 12, 7),
    "broadleaf canopy": (1.6, 1.8, 2.1, 5, 2.9, 2.2, 2.5, 7.5, 27, 36, 38, 38,
        39, 36, 11, 21, 18, 4, 8.5, 10, 7, 4),
    "conifer canopy": (1.2, 1.4, 1.6, 3, 2.2, 1.8, 2, 4.2, 13, 17.5, 19, 19,
        19, 17, 5, 9.5, 8, 2, 4.2, 5, 3.4, 2),
    "shrub canopy": (2.4, 2.8, 3.4, 6, 5.6, 5.2, 5.8, 9, 18, 22, 24, 25,
        27, 27, 14, 22, 21, 9, 15, 17, 13, 9),
    "moss": (2.2, 2.6, 3.2, 6.6, 6.2, 5.4, 6, 10, 19, 22, 23, 22,
        22, 19, 6, 13, 11, 3, 6, 7, 5, 3),
    "blossom": (3, 3.2, 4, 19, 20, 18, 19.6, 21, 38, 46, 48, 48,
        49, 46, 17, 28, 25, 6, 13, 15, 10, 5),
    "autumn leaf": (2.2, 2.6, 3.2, 6, 9.5, 9, 10.1, 14, 24, 29, 32, 33,
        35, 34, 14, 25, 22, 7, 13, 15, 11, 7),
    "straw": (6, 7.1, 9, 13.5, 17.2, 18.8, 19.6, 20.2, 21.8, 23.2, 24.8, 27,
        30, 31.5, 24, 30, 28.5, 18.8, 21, 22.5, 18, 15),
    "litter": (3, 3.4, 4.2, 6.4, 8.6, 9.6, 10.6, 11.5, 13.5, 15, 17, 19.5,
        22, 24, 18, 24, 23, 13, 17, 18, 14, 11),
    "dark soil": (2.2, 2.5, 3.1, 4.2, 5.6, 6.5, 7, 7.5, 8.3, 9.2, 10.2, 11.9,
        14.4, 16.1, 14.4, 18.7, 18.7, 14.4, 17, 17, 14.4, 12.8),
    "brown soil": (3.4, 4.1, 5.2, 7.5, 10.2, 11.6, 12.3, 12.9, 13.9, 15, 16.3, 18.4,
        21.1, 23.1, 20.4, 25.2, 25.2, 19.7, 23.1, 23.1, 20.4, 18.4),
    "red soil": (2.2, 2.7, 3.5, 6.1, 12.2, 14.6, 15.4, 16, 17, 17.7, 18.4, 19.7,
        23.1, 25.2, 23.8, 27.2, 27.9, 23.8, 26.5, 25.8, 23.1, 21.1),
    "pale soil": (7.9, 9.4, 11.9, 15.8, 19.4, 20.9, 21.7, 22.3, 23, 23.8, 25.2, 27.4,
        29.5, 31, 28.8, 33.1, 33.1, 28.1, 31.7, 31, 27.4, 25.2),
    "sand": (13, 16, 21, 30, 37, 40, 41.1, 42, 43.5, 45, 47, 49,
        52, 55, 54, 58, 58, 54, 57, 57, 53, 50),
    "pale rock": (16, 17.5, 19, 22, 24, 25, 25.6, 26, 26.5, 27, 27.5, 28,
        29, 30, 30, 31, 31, 29, 30, 28, 26, 25),
    "dark rock": (6, 6.6, 7.4, 8.8, 9.8, 10.4, 10.6, 10.8, 11, 11.3, 11.6, 12,
        13, 13.6, 13.6, 14.4, 14.6, 14, 14.4, 14.4, 13.8, 13),
    "fresh snow": (94, 95, 95, 94, 93, 92, 91.5, 91, 90, 88, 86, 78,
        72, 48, 8, 13, 18, 3, 6, 10, 5, 3),
    "old snow": (72, 74, 74, 72, 69, 66, 64.3, 63, 60, 56, 51, 40,
        33, 18, 2, 4, 6, 0.8, 1.6, 3, 1.4, 0.8),
    "tar": (5, 5.4, 6, 7, 7.8, 8.2, 8.4, 8.6, 8.8, 9, 9.4, 10,
        11, 11.6, 12, 12.8, 13, 12.6, 13, 13, 12.6, 12),
    "concrete": (14, 17, 20, 24, 26, 27, 27.6, 28, 28.5, 29, 29.5, 30,
        31.5, 33, 32, 35, 35, 32, 34, 33, 30, 28),
    "clay tile": (5, 6, 7, 10, 19, 23, 24.1, 25, 26, 26.5, 27, 28.5,
        32, 35, 35, 38, 38, 36, 37, 35, 33, 31),
    "bright roof": (38, 44, 47, 49, 50, 50, 50.5, 51, 51, 51, 51, 51,
        51, 50, 48, 49, 47, 45, 46, 45, 43, 41),
    "grey roof": (11, 12, 13, 14, 14.5, 15, 15, 15, 15.5, 16, 16, 16.5,
        17, 18, 18, 19, 19, 18.5, 19, 19, 18, 18),
}  # fmt: skip
MATERIALS = tuple(_PERCENT)
_NM = np.arange(380.0, 2525.0, 2.0)


def spectra(wavelengths: np.ndarray) -> np.ndarray:
    """Returns reflectances [materials, len(wavelengths)] at wavelengths in nm, 0..1."""
    return np.stack([np.interp(wavelengths, KNOTS_NM, row) for row in _PERCENT.values()]) / 100


@functools.lru_cache(maxsize=64)
def responses(sensor: bands.Sensor) -> np.ndarray:
    """Returns band responses [wavelengths, optical bands], each summing to 1.

    Bell curves of the band's full width at half maximum with a flat top (fourth power), as filters
    have: the tails of a Gaussian would let infrared light into a broad red band.
    """
    reflective = [band for band in sensor.bands if band.domain == "optical"]
    center = np.clip([band.center or 0.0 for band in reflective], _NM[0], _NM[-1])
    half = np.array([max(band.fwhm or 10.0, 4.0) for band in reflective]) / 2
    weights = np.exp(-np.log(2) * ((_NM[:, None] - center) / half) ** 4)
    return weights / weights.sum(0)


@functools.lru_cache(maxsize=64)
def reflectances(sensor: bands.Sensor) -> np.ndarray:
    """Returns each material in each optical band of a sensor, [materials, bands] float32."""
    return (spectra(_NM) @ responses(sensor)).astype(np.float32)


@functools.lru_cache(maxsize=64)
def vapour(sensor: bands.Sensor) -> np.ndarray:
    """Returns the two-way transmission of atmospheric water vapour per optical band, [bands]."""
    depth = sum(
        strength * np.exp(-0.5 * ((_NM - at) / width) ** 2)
        for at, width, strength in ((942, 14, 0.8), (1130, 16, 0.7), (1380, 24, 14), (1880, 40, 14))
    )
    return (np.exp(-depth) @ responses(sensor)).astype(np.float32)


def rows(names: tuple[str, ...]) -> np.ndarray:
    """Returns one-hot rows [len(names), materials] of named materials."""
    return np.eye(len(MATERIALS), dtype=np.float32)[[MATERIALS.index(name) for name in names]]
