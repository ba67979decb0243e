"""Random fields on the ground: smooth value noise in metres, and fields over the globe."""

import dataclasses
import functools

import numpy as np

_STREAMS = {"place": 0, "layout": 1, "texture": 2, "life": 3}


def generator(seed: int, index: int, stream: str | int) -> np.random.Generator:
    """Returns the generator of one place and purpose: a counter-based stream of its own."""
    number = _STREAMS[stream] if isinstance(stream, str) else stream
    return np.random.Generator(np.random.Philox(key=[seed, index], counter=[0, 0, 0, number]))


@dataclasses.dataclass(frozen=True)
class Grid:
    """Square raster of `pixels` per side over `ground` metres per side, row 0 in the north."""

    pixels: int
    ground: float

    @property
    def step(self) -> float:
        return self.ground / self.pixels

    @functools.cached_property
    def east(self) -> np.ndarray:
        """Metres east of the centre, float32 [1, pixels]."""
        line = (np.arange(self.pixels, dtype=np.float32) + 0.5) * self.step - self.ground / 2
        return line[None].astype(np.float32)

    @functools.cached_property
    def north(self) -> np.ndarray:
        """Metres north of the centre, float32 [pixels, 1]."""
        return -self.east.T

    def turned(self, angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns coordinates along and across a direction (radians from east), each [H, W]."""
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return self.east * c + self.north * s, self.north * c - self.east * s


@functools.lru_cache(maxsize=64)
def grid(pixels: int, ground: float) -> Grid:
    """Returns the raster, one object per size, so that its coordinates are computed once."""
    return Grid(pixels, ground)


@functools.lru_cache(maxsize=256)
def _spline(pixels: int, ground: float, wavelength: float) -> np.ndarray:
    """Returns cubic B-spline weights [pixels, knots]; white knots give variance 1."""
    at = (np.arange(pixels) + 0.5) * ground / pixels / wavelength
    cell = np.floor(at).astype(int)
    f = at - cell
    taps = np.stack(
        [(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3], axis=1
    )
    weights = np.zeros((pixels, _knots(ground, wavelength)))
    np.put_along_axis(weights, cell[:, None] + np.arange(4), taps / 6, axis=1)
    return (weights / np.sqrt(151 / 315)).astype(np.float32)


def _knots(ground: float, wavelength: float) -> int:
    return int(ground / wavelength) + 4


@functools.lru_cache(maxsize=256)
def _halved(fine: int, coarse: int) -> np.ndarray:
    """Returns [fine, coarse]: the same spline on knots half as far apart (two-scale relation)."""
    weights = np.zeros((fine, coarse), np.float32)
    for i in range(fine):
        if i % 2:
            j = (i + 1) // 2
            weights[i, j - 1 : j + 2] = (0.125, 0.75, 0.125)
        else:
            weights[i, i // 2 : i // 2 + 2] = 0.5
    return weights


def fields(
    rng: np.random.Generator,
    grid: Grid,
    coarse: float,
    fine: float,
    count: int,
    decay: float,
    cut: bool = False,
) -> np.ndarray:
    """Returns `count` fields [count, H, W]: octaves of unit total variance, drawn coarse to fine.

    Args:
      coarse, fine: wavelengths of the first and last octave, m; each is half the one before.
      decay: amplitude of each octave relative to the one before.
      cut: leave out octaves the raster cannot show. What `rng` gives next then depends on the
        raster, and must not be used for anything that rasters share.
    """
    octaves = int(round(np.log2(coarse / fine))) + 1
    power = sum(decay ** (2 * i) for i in range(octaves)) ** 0.5
    knots, wavelength = np.zeros(0), coarse
    for i in range(octaves):
        wavelength = coarse / 2**i
        if cut and i and wavelength < 2 * grid.step:
            wavelength *= 2
            break
        size = _knots(grid.ground, wavelength)
        octave = rng.standard_normal((count, size, size), np.float32)
        octave *= np.float32(decay**i / power)
        if i:
            halved = _halved(size, knots.shape[-1])
            octave += np.matmul(np.matmul(halved, knots), halved.T)
        knots = octave
    weights = _spline(grid.pixels, grid.ground, wavelength)
    strips = weights.reshape(-1, _strip(*weights.shape), weights.shape[1])
    image = np.matmul(np.matmul(strips, knots[:, None]), weights.T)
    return image.reshape(count, grid.pixels, grid.pixels)


def _strip(pixels: int, knots: int) -> int:
    """Returns rows to multiply at once: products this small stay on the calling thread in BLAS,
    whose own threads would fight with those of the loader and the training step."""
    sizes = [n for n in (16, 8, 4, 2) if pixels % n == 0]
    return next((n for n in sizes if n * knots * pixels <= 65_536), pixels)


@functools.lru_cache(maxsize=16)
def _waves(seed: int, count: int, waves: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = generator(seed, 2**63, "place")
    vectors = rng.standard_normal((3, count * waves)) * np.tile(np.geomspace(3, 12, waves), count)
    return vectors, rng.uniform(0, 2 * np.pi, (count, waves))


def globe(seed: int, lon: np.ndarray, lat: np.ndarray, count: int) -> np.ndarray:
    """Returns `count` smooth unit-variance fields of a world at [n] places, degrees: [n, count]."""
    vectors, phases = _waves(seed, count)
    lon, lat = np.radians(lon), np.radians(lat)
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    angle = (xyz @ vectors).reshape(len(xyz), *phases.shape) + phases
    return np.cos(angle).sum(-1) * (2 / phases.shape[1]) ** 0.5


def level(field: np.ndarray, share: float) -> np.float32:
    """Returns the value that about `share` of a field [H, W] lies below."""
    at = (np.arange(24) + 0.5) * (len(field) / 24)
    values = np.sort(field[at.astype(int)[:, None], at.astype(int)], axis=None)
    return values[min(int(share * len(values)), len(values) - 1)]
