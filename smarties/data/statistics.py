"""Band statistics of a source in one pass and constant memory, as sensor files hold them.

Integers of up to 16 bits are counted, so that everything is exact for a set of any size. Floats are
kept until there are `EXACT` of a sensor, and counted from then on in 2**20 bins by their leading
bits: percentiles are then within 2**-12 of their value.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import sources
from smarties.spectrum import bands, registry

EXACT = 2**22
_DROPPED = 12  # trailing bits of a float32
_BINS = 2 ** (32 - _DROPPED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of one band over all valid pixels, in stored numbers.

    Attributes:
      count: of pixels.
      minimum, maximum, mean, std: of the numbers as they are.
      percentiles: by percent.
      clip: (low, high), the 1st and 99th percentile.
      clipped_mean, clipped_std: after clipping and mapping to 0..1, as `bands.Band` has them.
    """

    count: int
    minimum: float
    maximum: float
    mean: float
    std: float
    percentiles: Mapping[float, float]
    clip: tuple[float, float]
    clipped_mean: float
    clipped_std: float


class Sketch:
    """Numbers of the C bands of one sensor: how often each, or about how often."""

    def __init__(self, count: int, dtype: np.dtype):
        """Begins with none, for `count` bands stored as `dtype`."""
        dtype = np.dtype(dtype)
        self.integer = np.issubdtype(dtype, np.integer) and dtype.itemsize <= 2
        self._first = int(np.iinfo(dtype).min) if self.integer else -_BINS // 2
        bins = 2 ** (8 * dtype.itemsize) if self.integer else _BINS
        self._kept: list[np.ndarray] | None = None if self.integer else []
        self._count, self._bins = count, bins
        self._counts = np.zeros((count, bins), np.int64) if self.integer else None

    def add(self, pixels: np.ndarray) -> None:
        """Takes pixels [n, C] in; those that are not finite must not be among them."""
        if self._kept is None:
            keys = pixels.astype(np.int64) if self.integer else _keys(pixels)
            keys += np.arange(self._count) * self._bins - self._first
            found = np.bincount(keys.ravel(), minlength=self._count * self._bins)
            assert self._counts is not None
            self._counts += found.reshape(self._count, self._bins)
            return
        self._kept.append(np.array(pixels, np.float32))
        if sum(map(np.size, self._kept)) > EXACT:
            kept, self._kept = self._kept, None
            self._counts = np.zeros((self._count, self._bins), np.int64)
            for part in kept:
                self.add(part)

    def statistics(self, percents: Iterable[float] = (1, 50, 99)) -> list[Statistics]:
        """Returns the statistics of each band.

        Raises:
          UserError: there are no pixels.
        """
        return [_of(*self._values(band), percents) for band in range(self._count)]

    def _values(self, band: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (values, how often each) of a band, values ascending."""
        if self._kept is not None:
            some = [part[:, band] for part in self._kept]
            return np.unique(np.concatenate([np.zeros(0), *some]), return_counts=True)
        assert self._counts is not None
        (present,) = np.nonzero(self._counts[band])
        keys = present + self._first
        return (keys if self.integer else _centres(keys)).astype(float), self._counts[band][present]


def _keys(values: np.ndarray) -> np.ndarray:
    """Returns for float32 numbers integers in the same order, of their leading bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF) - 1, bits) >> _DROPPED


def _centres(keys: np.ndarray) -> np.ndarray:
    middle = (keys.astype(np.int64) << _DROPPED) + 2 ** (_DROPPED - 1)
    bits = np.where(middle < 0, (-(middle + 1)) | 0x80000000, middle)
    return bits.astype(np.uint32).view(np.float32)


def _of(values: np.ndarray, counts: np.ndarray, percents: Iterable[float]) -> Statistics:
    total = int(counts.sum())
    if not total:
        raise errors.UserError("no valid pixel: there are no statistics of nothing")
    ends = np.cumsum(counts)

    def percentile(percent: float) -> float:
        place = percent / 100 * (total - 1)
        low, high = values[np.searchsorted(ends, [np.floor(place), np.ceil(place)], "right")]
        return float(low + (place % 1) * (high - low))

    def moments(x: np.ndarray) -> tuple[float, float]:
        mean = float((x * counts).sum() / total)
        return mean, float(np.sqrt((np.square(x - mean) * counts).sum() / total))

    low, high = percentile(1), percentile(99)
    clipped = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    mean, std = moments(values)
    clipped_mean, clipped_std = moments(clipped)
    return Statistics(
        count=total, minimum=float(values[0]), maximum=float(values[-1]), mean=mean, std=std,
        percentiles={p: percentile(p) for p in percents}, clip=(low, high),
        clipped_mean=clipped_mean, clipped_std=clipped_std,
    )  # fmt: skip


def measure(source: sources.Source, indices: Iterable[int]) -> dict[str, list[Statistics]]:
    """Returns the statistics of each band of each sensor over the valid pixels of some examples.

    Raises:
      UserError: an unreadable example, or a sensor without a valid pixel.
    """
    sketches: dict[str, Sketch] = {}
    for index in indices:
        example = source[index]
        for name, image in example["images"].items():
            sketch = sketches.setdefault(name, Sketch(image.shape[-1], image.dtype))
            pixels = image[example["valid"][name]]
            sketch.add(pixels[np.isfinite(pixels).all(axis=-1)])
    return {name: sketch.statistics() for name, sketch in sketches.items()}


def sensor_file(sensor: bands.Sensor, found: list[Statistics], name: str, origin: str) -> dict:
    """Returns a sensor with these statistics as a YAML entry; its path goes where a name does.

    Args:
      sensor: whose bands were measured.
      found: one per band.
      name: of the new sensor.
      origin: where the statistics come from, for people.
    """
    entry: dict[str, Any] = registry.sensor_to_dict(sensor)
    for band, one in zip(entry["bands"], found, strict=True):
        band["clip"] = [float(x) for x in one.clip]
        if one.clip[0] >= one.clip[1]:
            raise errors.UserError(
                f"band {band['name']} of {sensor.name} is {one.clip[0]:g} almost everywhere: "
                f"such numbers cannot be standardised"
            )
        band["mean"], band["std"] = one.clipped_mean, one.clipped_std
        band["statistics"] = f"{origin}, {one.count} pixels"
    return {**entry, "name": name}
