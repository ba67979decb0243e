"""What an archive is made of, one image at a time: examples, files, or chips of a scene."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from smarties import errors
from smarties.data import sources, times
from smarties.inference import chips, features, scenes, windows
from smarties.spectrum import bands as spectral


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Item:
    """One image, and what is known of it.

    Attributes:
      image: [H, W, C] in stored numbers. valid: [H, W] bool.
      key: by which it is known to be in an archive already.
      id: of the place or file; images of several sensors may share it.
      scene: the file or dataset it is of.
      geometry: as WKB; None without a place. place: longitude, latitude of its centre, or NaN.
      time: seconds since 1970 UTC, or NaN.
      labels: names.
    """

    image: np.ndarray
    valid: np.ndarray
    key: str
    id: str
    scene: str
    geometry: bytes | None = None
    place: tuple[float, float] = (float("nan"), float("nan"))
    time: float = float("nan")
    labels: tuple[str, ...] = ()


class Items(Protocol):
    """Images of one sensor.

    Attributes:
      sensor: with exactly the bands of the images.
    """

    sensor: spectral.Sensor

    @property
    def keys(self) -> Sequence[str]:
        """By which each is known to be in an archive, without reading it."""
        ...

    def read(self, index: int) -> Item:
        """Returns an image; raises `Unreadable` where there is none to be seen."""
        ...


class Examples:
    """The examples of a source as one of its sensors sees them."""

    def __init__(
        self, source: sources.Source, seen: features.View, scene: str,
        classes: Sequence[str] = (), seconds: float = 1.0,
    ):  # fmt: skip
        """Takes a view (`features.view`) of a source.

        Args:
          source: of the examples.
          seen: sensor and bands.
          scene: how the source is called.
          classes: label names; by default the source's, else numbers.
          seconds: of a unit of the examples' "time".
        """
        self.sensor, self._source, self._seen, self._scene = seen.sensor, source, seen, scene
        self._classes = tuple(classes) or tuple(getattr(source, "classes", ()))
        self._seconds = seconds
        origin = hashlib.sha256(features.canonical(source.identity())).hexdigest()[:16]
        self.keys = tuple(f"{origin}:{i}" for i in range(len(source)))

    def read(self, index: int) -> Item:
        example = self._source[index]
        name, whole = self._seen.whole.name, self._seen.whole
        taken = list(whole.index(self._seen.bands or None))
        geometry, place = self._ground(example, index)
        return Item(
            image=example["images"][name][..., taken], valid=example["valid"][name],
            key=self.keys[index], id=str(example["id"]), scene=self._scene, geometry=geometry,
            place=place, time=float(example.get("time", np.nan)) * self._seconds,
            labels=self._labels(example),
        )  # fmt: skip

    def _ground(self, example: Mapping[str, Any], index: int):
        crs, transform = example.get("crs", ""), example.get("transform")
        if not crs and hasattr(self._source, "geo"):
            crs, transform = self._source.geo(index)  # type: ignore
        if crs and transform is not None and not (transform[1] or transform[3]):
            return _ground(
                str(crs), tuple(transform), example["valid"][self._seen.whole.name].shape
            )
        place = example.get("location")
        if place is None or not np.isfinite(place).all():
            return None, (float("nan"), float("nan"))
        lon, lat = map(float, place)
        return chips.point(lon, lat), (lon, lat)

    def _labels(self, example: Mapping[str, Any]) -> tuple[str, ...]:
        if "labels" not in example:
            return ()
        given = np.asarray(example["labels"])
        present = np.flatnonzero(given).tolist() if given.ndim else [int(given)]
        return tuple(self._classes[i] if i < len(self._classes) else str(i) for i in present)


class Images:
    """GeoTIFF files, each an image; those that come later have keys of their own."""

    def __init__(
        self, files: Sequence[Path], sensor: spectral.Sensor, bands: str | None = None,
        time: float = float("nan"),
    ):  # fmt: skip
        self.sensor, self._whole, self._bands = sensor.select(bands), sensor, bands
        self._files, self._time = tuple(files), time
        self.keys = tuple(map(_stamp, files))

    def read(self, index: int) -> Item:
        file = self._files[index]
        try:
            opened = scenes.open_scene((file,), self._whole, self._bands)
        except errors.Unreadable:
            raise
        except errors.UserError as error:
            raise errors.Unreadable(str(error)) from error
        return _item(opened, (0, 0, *opened.shape), self.keys[index], file.stem, self._time)


class Chips:
    """A scene cut in square chips, as `products.embed` does; without those that have no data."""

    def __init__(self, scene: scenes.Scene, side: int, time: float = float("nan")):
        self._scene, self._side, self._time = scene, side, time
        names = scene.sensor.names
        self.sensor = scene.sensor.select(tuple(names[i] for i in scene.take))
        self._plan = tuple(windows.Plan(shape=scene.shape, side=side, cell=side).windows())
        stamp = ":".join(_stamp(Path(file)) for file in scene.image.files)
        self.keys = tuple(f"{stamp}:{side}:{w.row},{w.column}" for w in self._plan)

    def read(self, index: int) -> Item:
        at, side = self._plan[index], self._side
        name = f"{Path(self._scene.image.files[0]).stem}@{at.row * side},{at.column * side}"
        window = (at.row * side, at.column * side, side, side)
        return _item(self._scene, window, self.keys[index], name, self._time)


def _item(
    scene: scenes.Scene, window: tuple[int, int, int, int], key: str, name: str, time: float
) -> Item:
    image, valid = scene.read(*window)
    where = scene.image.where
    geometry, place = None, (float("nan"), float("nan"))
    if scene.image.crs:
        a, b, c, d, e, f = scene.transform[:6]
        corner = (a, b, c + a * window[1], d, e, f + e * window[0])
        shape = tuple(
            min(n, s - i) for n, s, i in zip(window[2:], scene.shape, window, strict=False)
        )
        geometry, place = _ground(scene.image.crs, corner, shape)
    return Item(
        image=image, valid=valid, key=key, id=name, scene=where, geometry=geometry, place=place,
        time=times.found(Path(where).name) if np.isnan(time) else time,
    )  # fmt: skip


def _ground(crs: str, transform: tuple[float, ...], shape: tuple[int, ...]):
    """Returns the outline of an image as WKB, and longitude and latitude of its centre."""
    rows, columns = shape
    side = max(rows, columns)
    ring = chips.outlines(crs, transform, (rows, columns), side, 0, np.zeros(1, int))[0]
    lon, lat = ring[:4].mean(0).tolist()
    return chips.polygon(ring), (lon, lat)


def _stamp(file: Path) -> str:
    """Returns a name of a file's contents as they are now."""
    try:
        stat = os.stat(file)
    except OSError:
        return str(file)  # as /vsicurl/: known by name alone
    return f"{file.absolute()}|{stat.st_size}|{stat.st_mtime_ns}"


def files_of(folder: Path) -> list[Path]:
    """Returns the GeoTIFFs of a folder and those below it, sorted.

    Raises:
      UserError: there is none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".tif", ".tiff"))
    if not found:
        raise errors.UserError(f"{folder}: no .tif file and no prepared records in it or below")
    return found
