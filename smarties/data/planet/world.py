"""Where a place lies and what its climate is: smooth functions of location on a world's globe."""

import dataclasses

import numpy as np

from smarties.data.planet import noise

LAND_COVER = (
    "water", "broadleaf forest", "conifer forest", "shrubland", "grassland",
    "cropland", "built-up", "bare", "snow", "wetland",
)  # fmt: skip

# How often each class is the theme of a place, and the climate it is looked for in:
# mean and width of temperature (deg C), log10 precipitation (mm) and elevation (km).
_SHARE = (0.11, 0.11, 0.11, 0.08, 0.10, 0.15, 0.12, 0.08, 0.07, 0.07)
_CLIMATE = np.array([
    (14, 20, 2.9, 1.0, 0.2, 0.8), (15, 7, 3.05, 0.22, 0.4, 0.6), (3, 4, 2.85, 0.3, 0.8, 0.8),
    (18, 5, 2.55, 0.2, 0.6, 0.6), (9, 8, 2.65, 0.25, 0.9, 0.9), (14, 7, 2.85, 0.3, 0.2, 0.4),
    (15, 8, 2.9, 0.5, 0.2, 0.5), (21, 9, 1.9, 0.3, 0.8, 1.2), (-5, 4, 2.8, 0.6, 2.2, 1.4),
    (8, 8, 3.0, 0.25, 0.1, 0.3),
])  # fmt: skip
_CANDIDATES = 24


@dataclasses.dataclass(frozen=True)
class Climate:
    """Long-term means of [n] places (or of one, as floats).

    Attributes:
      temperature: annual mean, deg C. swing: half the summer-winter difference, deg C.
      precipitation: mm a year. seasonality: 0 (even) .. 1 (one wet season).
      elevation: km above the sea. soil_ph, soil_sand (0..1), settlement (0..1): of the region.
    """

    temperature: np.ndarray
    swing: np.ndarray
    precipitation: np.ndarray
    seasonality: np.ndarray
    elevation: np.ndarray
    soil_ph: np.ndarray
    soil_sand: np.ndarray
    settlement: np.ndarray

    def at(self, i: int) -> "Climate":
        """Returns the climate of place i."""
        return Climate(*(getattr(self, f.name)[i] for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True)
class Place:
    """One place: its theme (index into LAND_COVER), location (degrees), date and climate."""

    theme: int
    lon: float
    lat: float
    day: float
    climate: Climate


def climate(seed: int, lon: np.ndarray, lat: np.ndarray) -> Climate:
    """Returns the climate of world `seed` at [n] places, degrees."""
    f = noise.globe(seed, lon, lat, 6).T
    elevation = 0.25 + 0.5 * np.maximum(f[0], 0) + 1.1 * np.maximum(f[0] - 0.6, 0) ** 2
    temperature = 27 - 42 * np.sin(np.radians(lat)) ** 2 - 6 * (elevation - 0.3) + 1.5 * f[1]
    rain = 2.55 + 0.6 * np.exp(-((lat / 13) ** 2)) + 0.4 * np.exp(-(((np.abs(lat) - 50) / 16) ** 2))
    precipitation = 10 ** np.clip(rain + 0.3 * f[2], 1.3, 3.6)
    return Climate(
        temperature=temperature,
        swing=2 + 13 * np.sin(np.radians(np.abs(lat))) ** 1.3 * (1 + 0.3 * f[3]),
        precipitation=precipitation,
        seasonality=1 / (1 + np.exp(-(1.2 * f[3] - 2.5 * (np.log10(precipitation) - 2.7)))),
        elevation=elevation,
        soil_ph=np.clip(6.3 - 2.2 * (np.log10(precipitation) - 2.75) + 0.6 * f[4], 3.5, 9.0),
        soil_sand=1 / (1 + np.exp(-1.2 * f[4] - 0.8 * f[1])),
        settlement=1 / (1 + np.exp(-1.5 * f[5])),
    )


def place(seed: int, index: int) -> Place:
    """Returns place `index` of world `seed`: a theme first, so that classes are balanced, then a
    location whose climate suits it best among some candidates, then a date with enough sun."""
    rng = noise.generator(seed, index, "place")
    theme = int(np.searchsorted(np.cumsum(_SHARE), rng.random() * sum(_SHARE)))
    lon = rng.uniform(-180, 180, _CANDIDATES)
    lat = np.degrees(np.arcsin(rng.uniform(-0.85, 0.92, _CANDIDATES)))
    found = climate(seed, lon, lat)
    has = np.stack([found.temperature, np.log10(found.precipitation), found.elevation])
    misfit = (((has.T - _CLIMATE[theme, ::2]) / _CLIMATE[theme, 1::2]) ** 2).sum(-1)
    best = int(np.argmax(-0.5 * misfit + rng.gumbel(size=_CANDIDATES)))
    day = rng.uniform(0, 365)
    if sun(lat[best], day)[0] < 0.3:
        day = (day + 182.5) % 365
    return Place(theme, float(lon[best]), float(lat[best]), float(day), found.at(best))


def sun(lat: float, day: float) -> tuple[float, float]:
    """Returns (cosine of the zenith angle, azimuth in radians from north, eastwards) at 10:30 local
    solar time, where Sentinel-2 and Landsat pass."""
    phi, hour = np.radians(lat), np.radians(-22.5)
    dec = np.radians(23.44) * np.sin(2 * np.pi * (day - 81) / 365)
    cosine = np.sin(phi) * np.sin(dec) + np.cos(phi) * np.cos(dec) * np.cos(hour)
    east = -np.cos(dec) * np.sin(hour)
    north = np.cos(phi) * np.sin(dec) - np.sin(phi) * np.cos(dec) * np.cos(hour)
    return float(cosine), float(np.arctan2(east, north) % (2 * np.pi))


def season(lat: float, day: float) -> float:
    """Returns the day of year in northern terms: half a year later in the south."""
    return day if lat >= 0 else (day + 182.5) % 365


def air_temperature(climate: Climate, lat: float, day: float) -> float:
    """Returns the expected daytime air temperature, deg C."""
    return float(
        climate.temperature + climate.swing * np.cos(2 * np.pi * (season(lat, day) - 200) / 365)
    )
