"""The simulated planet as a source of examples: a pure function of (seed, index)."""

import functools
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import sources
from smarties.data.planet import layout, noise, optics, sensing, species, world
from smarties.data.planet import scene as scenes
from smarties.spectrum import bands, registry

VERSION = 1  # of the pictures: any change to what a (seed, index) looks like raises it
LAND_COVER = world.LAND_COVER
ENVIRONMENT = species.ENVIRONMENT
SPECIES = species.SPECIES
NICHES = species.NICHES


class Planet:
    """A random-access, picklable sequence of places of world `seed`.

    Args:
      sensors: registered names, YAML paths or `Sensor`s.
      count: number of places. first: number of the first, so that splits take different places.
      size: pixels per side at `gsd` metres: the ground is size * gsd metres wide.
      sizes: another pixel count over the same ground for some sensors, by name.
      gaps: probability that a place lies at the edge of a swath, per sensor.

    Raises:
      UserError: unknown sensor or one in units it cannot render, a size that is not above 0, or
        `sizes` of an absent sensor.
    """

    def __init__(
        self,
        sensors: Sequence[str | bands.Sensor] = ("sentinel2-l2a", "sentinel1-grd"),
        count: int = 1000,
        seed: int = 0,
        size: int = 64,
        first: int = 0,
        gsd: float = 10.0,
        sizes: Mapping[str, int] | None = None,
        gaps: float = 0.0,
    ):
        self._sensors = tuple(registry.sensor(s) for s in sensors)
        self.sensors = tuple(s.name for s in self._sensors)
        self._sizes = dict(sizes or {})
        for sensor in self._sensors:
            if any(
                band.unit not in ("reflectance", "digital number", "K", "dB")
                for band in sensor.bands
            ):
                raise errors.UserError(
                    f"planet: {sensor.name} has bands in other units than reflectance, "
                    "digital number, K and dB, which is all it renders"
                )
        for name in self._sizes:
            if name not in self.sensors:
                raise errors.unknown("sensor in sizes of the planet", name, self.sensors)
        for name, value in {"size": size, "gsd": gsd, "count": count, **self._sizes}.items():
            if not value > 0:
                raise errors.UserError(f"planet: {name} is {value}, must be above 0")
        if first < 0 or seed < 0:
            raise errors.UserError(f"planet: seed {seed} and first {first} must not be negative")
        self._count, self._seed, self._first = int(count), int(seed), int(first)
        self._size, self._gsd, self._gaps = int(size), float(gsd), float(gaps)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> sources.Example:
        """Returns the example of one place; negative indices count from the end."""
        if not -self._count <= index < self._count:
            raise IndexError(f"place {index} of {self._count}")
        number = self._first + int(index) % self._count
        seen = {n: self.scene(number, n) for n in {self._size, *self._sizes.values()}}
        scene = seen[self._size]
        images, valid = {}, {}
        for sensor in self._sensors:
            pixels = self._sizes.get(sensor.name, self._size)
            rng = noise.generator(self._seed, number, zlib.crc32(sensor.name.encode()))
            images[sensor.name] = sensing.render(seen[pixels], sensor, pixels, rng)
            valid[sensor.name] = _swath(rng, pixels, self._gaps)
        half = layout.OVERSAMPLE // 2
        cover = scene.layout.cover[half :: layout.OVERSAMPLE, half :: layout.OVERSAMPLE]
        environment = _environment(scene, cover)
        chance = noise.generator(self._seed, number, "life").random(len(SPECIES))
        share = np.bincount(cover.ravel(), minlength=len(LAND_COVER)) / cover.size
        return {
            "images": images,
            "valid": valid,
            "id": f"planet-{self._seed}-{number}",
            "location": np.array([scene.place.lon, scene.place.lat], np.float32),
            "time": np.float32(scene.place.day),
            "land_cover": np.ascontiguousarray(cover),
            "labels": (share > 0.05).astype(np.uint8),
            "environment": environment,
            "species": (chance < species.suitability(environment)).astype(np.uint8),
        }

    def scene(self, number: int, pixels: int) -> scenes.Scene:
        """Returns what sensors of `pixels` per side look at, for place `number` of the world."""
        grid = noise.grid(pixels * layout.OVERSAMPLE, self._size * self._gsd)
        place = world.place(self._seed, number)
        ground = layout.layout(place, noise.generator(self._seed, number, "layout"), grid)
        return scenes.scene(place, ground, noise.generator(self._seed, number, "texture"))

    def identity(self) -> dict[str, Any]:
        """Returns the constructor's arguments and the version of the pictures."""
        return {
            "kind": "planet", "version": VERSION,
            "sensors": [registry.sensor_to_dict(s) for s in self._sensors],
            "count": self._count, "seed": self._seed, "size": self._size, "first": self._first,
            "gsd": self._gsd, "sizes": dict(self._sizes), "gaps": self._gaps,
        }  # fmt: skip


def _swath(rng: np.random.Generator, pixels: int, gaps: float) -> np.ndarray:
    """Returns the valid mask [H, W]: True, or cut by a straight edge with probability `gaps`."""
    if gaps == 0 or rng.random() >= gaps:
        return np.ones((pixels, pixels), bool)
    grid = noise.grid(pixels, 1.0)
    return grid.turned(rng.uniform(0, 2 * np.pi))[0] < rng.uniform(-0.2, 0.4)


@functools.cache
def _red_infrared() -> bands.Sensor:
    return bands.Sensor(
        name="ndvi",
        bands=tuple(
            bands.Band(name=n, center=c, fwhm=30.0) for n, c in (("red", 665), ("nir", 842))
        ),
    )


def _environment(scene: scenes.Scene, cover: np.ndarray) -> np.ndarray:
    """Returns the variables of ENVIRONMENT, float32 [E]."""
    place, ground = scene.place, scene.layout
    climate = place.climate
    share = np.bincount(cover.ravel(), minlength=len(LAND_COVER)) / cover.size
    part = dict(zip(LAND_COVER, share, strict=True))
    red, infrared = optics.reflectance(scene, _red_infrared(), len(cover)).mean((1, 2))
    steep = np.hypot(*(s[::4, ::4] for s in scene.slope)).mean()
    height = 1000 * climate.elevation + float(ground.terrain.mean())
    farms = 0.35 * part["cropland"]
    footprint = np.clip(0.5 * climate.settlement + 0.8 * part["built-up"] + farms - 0.1, 0, 1)
    return np.array([
        climate.temperature, climate.swing, climate.precipitation, climate.seasonality,
        max(height, 0), np.degrees(np.arctan(steep)),
        climate.soil_ph, climate.soil_sand, footprint, (infrared - red) / (infrared + red),
        part["broadleaf forest"] + part["conifer forest"], _water_distance(scene, cover),
    ], np.float32)  # fmt: skip


def _water_distance(scene: scenes.Scene, cover: np.ndarray) -> float:
    """Returns metres from the centre to water, or beyond the scene what the rainfall suggests."""
    grid = noise.grid(len(cover), scene.layout.grid.ground)
    water = cover == LAND_COVER.index("water")
    if water.any():
        row, column = np.nonzero(water)
        return float(np.hypot(grid.east[0, column], grid.north[row, 0]).min())
    return grid.ground / 2 + 4e5 / float(scene.place.climate.precipitation)
