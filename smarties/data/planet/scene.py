"""A place at its date: season, soil, weather and light, shared by all sensors that look."""

import dataclasses
import functools

import numpy as np

from smarties.data.planet import kinds, layout, materials, noise, world

_SOILS = ("dark soil", "brown soil", "red soil", "pale soil")
_AT = {name: i for i, name in enumerate(materials.MATERIALS)}
# How much of the fallen snow stays in sight.
_HOLD = {"lake": 0.0, "river": 0.0, "conifer": 0.35, "broadleaf": 0.55, "street": 0.3,
         "tile roof": 0.6, "grey roof": 0.6, "metal roof": 0.6}  # fmt: skip


@dataclasses.dataclass
class Scene:
    """A layout at a date: what all sensors share.

    Attributes:
      green: share of each pixel's front material [H, W]; season: growth per patch [P].
      back, front: materials of each patch, [P, materials], rows sum to about one.
      slope: of the ground, eastward and northward, [H, W] each; light: irradiance relative to flat.
      texture: smooth fine-scale noise [H, W] of unit variance.
      snow: cover by seasonal snow [H, W], or None. haze: aerosol optical depth at 550 nm.
      air: temperature, deg C. wind, wet: 0..1. sun: cosine of its zenith angle.
    """

    place: world.Place
    layout: layout.Layout
    green: np.ndarray
    season: np.ndarray
    back: np.ndarray
    front: np.ndarray
    slope: tuple[np.ndarray, np.ndarray]
    light: np.ndarray
    texture: np.ndarray
    snow: np.ndarray | None
    haze: float
    air: float
    wind: float
    wet: float
    sun: float


def scene(place: world.Place, layout: layout.Layout, rng: np.random.Generator) -> Scene:
    """Returns the place at its date: season, soil, weather and light."""
    grid, kind, patch = layout.grid, layout.kind, layout.patch
    number = {name: values[kind] for name, values in kinds.NUMBERS.items()}
    haze, wet, wind = float(rng.gamma(2.0, 0.07)), float(rng.beta(2, 2)), float(rng.beta(1.5, 2.5))
    sand = 0.4 + 2 * float(place.climate.soil_sand)
    mix = rng.dirichlet((0.6, 0.9, 0.3, sand)).astype(np.float32)
    cold = rng.random() < 0.7
    # The last draw: how many octaves there are depends on the raster.
    texture = noise.fields(rng, grid, 160, 2.5, 2, 0.9, cut=True)

    day = world.season(place.lat, place.day) - layout.shift
    season = kinds.growth(number["start"], number["end"], day)
    aged = kinds.ageing(number["start"], number["end"], day)
    back, front = _materials(kind, mix, aged, day)
    stubble = np.where(front[:, _AT["straw"]] > 0, 0.45 * aged, 0)
    share = number["low"] + (number["high"] - number["low"]) * np.maximum(season, stubble)
    share *= np.where(number["end"] > 0, layout.vigour, 1)
    bare = 0.62 + 0.3 * (1 - wet)
    back, front = back * (layout.tone * bare)[:, None], front * layout.tone[:, None]

    rough = texture[0] + np.float32(0.6) * layout.rows
    green = np.clip(share[patch] + number["spread"][patch] * rough, 0, 1)
    canopy = number["height"][patch] + number["rough"][patch] * texture[1]
    cosine, azimuth = world.sun(place.lat, place.day)
    cosine = max(cosine, 0.25)
    slope = _slope(layout.terrain, grid.step)
    light = _light(_slope(layout.terrain + canopy, grid.step), cosine, azimuth)
    air = world.air_temperature(place.climate, place.lat, place.day)
    amount = 1.2 / (1 + np.exp((air + 4) / 0.7)) if cold else 0.0
    snow = None
    if amount > 0.05:
        hold = np.array([_HOLD.get(k.name, 1.0) for k in kinds.KINDS], np.float32)[kind]
        snow = np.clip(hold[patch] * (np.float32(amount) + 0.12 * texture[1]), 0, hold[patch])
    return Scene(place, layout, green, season, back, front, slope, light, texture[1], snow,
                 haze, air, wind, wet, cosine)  # fmt: skip


@functools.cache
def _rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns per kind: back, front and aged materials one-hot, and whether the back is soil."""
    soil = np.array([k.back == "soil" for k in kinds.KINDS])
    back = materials.rows(tuple("dark soil" if k.back == "soil" else k.back for k in kinds.KINDS))
    front = materials.rows(tuple(k.front for k in kinds.KINDS))
    after = materials.rows(tuple(k.after or k.front for k in kinds.KINDS))
    return back, front, after, soil


def _materials(kind, mix, aged, day) -> tuple[np.ndarray, np.ndarray]:
    """Returns the materials behind and in front of each patch on its day, [P, materials] each."""
    back, front, after, soil = (table[kind] for table in _rows())
    earth = np.zeros(len(materials.MATERIALS), np.float32)
    earth[[_AT[name] for name in _SOILS]] = mix
    back = np.where(soil[:, None], earth, back)
    front = front + aged[:, None] * (after - front)
    flower = 0.8 * np.exp(-(((day - 122) / 10) ** 2)) * (kind == kinds.number("rapeseed")[0])
    front = front * (1 - flower[:, None]).astype(np.float32)
    front[:, _AT["blossom"]] += flower
    return back, front


def _slope(height: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the slope eastward and northward, [H, W] each (central differences)."""
    padded = np.pad(height, 1, mode="edge")
    scale = np.float32(0.5 / step)
    east = (padded[1:-1, 2:] - padded[1:-1, :-2]) * scale
    return east, (padded[:-2, 1:-1] - padded[2:, 1:-1]) * scale


def _light(slope, cosine: float, azimuth: float) -> np.ndarray:
    """Returns irradiance relative to flat ground: direct sun on the slope, and skylight."""
    east, north = slope
    tangent = np.float32((1 - cosine**2) ** 0.5 / cosine)
    direct = 1 - tangent * (
        np.float32(np.sin(azimuth)) * east + np.float32(np.cos(azimuth)) * north
    )
    direct /= np.sqrt(1 + east * east + north * north)
    return np.float32(0.25) + np.float32(0.75) * np.clip(direct, 0, 1.7)
