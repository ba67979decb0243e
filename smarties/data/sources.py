"""What a source of examples is, and the known kinds by name."""

import contextlib
import importlib
import inspect
from typing import Any, Protocol

from smarties import errors
from smarties.data import archives
from smarties.spectrum import bands

# {"images": {sensor: [H, W, C]}, "valid": {sensor: [H, W] bool}, "id": str, ...}
Example = dict[str, Any]

# Imported when asked for: a folder needs rasterio, a planet does not.
KINDS = {
    "planet": ("smarties.data.planet.source", "Planet"),
    "folder": ("smarties.data.folder", "Folder"),
    "records": ("smarties.data.records", "Records"),
    "paired": ("smarties.data.paired", "Paired"),
    "part": ("smarties.data.part", "Part"),
}


class Source(Protocol):
    """A deterministic, picklable sequence of examples that all have the same static shapes."""

    sensors: tuple[str, ...]

    def __len__(self) -> int:
        """Returns the number of examples."""
        ...

    def __getitem__(self, index: int, /) -> Example:
        """Returns example `index`, as NumPy arrays in the sensors' own units and dtypes."""
        ...

    def identity(self) -> dict[str, Any]:
        """Returns what fixes the contents, JSON-able."""
        ...


class Cached:
    """A source whose examples are kept in memory once read: for small sources slow to read.

    All else, also what only some sources have (classes, splits), is the source's own.
    """

    sensors: tuple[str, ...]

    def __init__(self, source: Source):
        self._source, self._kept = source, {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # also while it is being unpickled
            raise AttributeError(name)
        return getattr(self._source, name)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Example:
        if index not in self._kept:
            self._kept[index] = self._source[index]
        return self._kept[index]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}

    def identity(self) -> dict[str, Any]:
        return self._source.identity()


def published(source: Source) -> tuple[str, ...]:
    """Returns the published datasets and splits that a source holds, see `Archive.published`."""
    return getattr(source, "published", ())


class Readable(Protocol):
    """A sequence of examples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...


def first(source: Readable) -> Example:
    """Returns the first example that can be read; raises the last's error where none can."""
    for index in range(len(source) - 1):
        with contextlib.suppress(errors.Unreadable):
            return source[index]
    return source[len(source) - 1]


def check_sensor(source: Source, sensor: bands.Sensor) -> None:
    """Raises `UserError` where the source's images of a sensor have other bands, order or dtype."""
    if sensor.name not in source.sensors:
        raise errors.unknown("sensor of a source", sensor.name, source.sensors)
    stored = getattr(source, "definitions", {}).get(sensor.name, sensor)
    for key in ("name", "dtype", "unit"):
        was, now = ([getattr(b, key) for b in s.bands] for s in (stored, sensor))
        if was != now:
            raise errors.UserError(
                f"{sensor.name}: the data have band {key}s {was}, the sensor says {now}: "
                "use the sensor the data were prepared with"
            )
    image = first(source)["images"][sensor.name]
    if image.shape[-1] != len(sensor.bands):
        raise errors.UserError(
            f"{sensor.name}: the data have {image.shape[-1]} bands, the sensor {len(sensor.bands)}"
        )


def reader(name: str) -> Any:
    """Returns the class of a kind of source, or of an archive.

    Raises:
      UserError: an unknown name, with a suggestion.
    """
    known = {**KINDS, **archives.ARCHIVES}
    if name not in known:
        raise errors.unknown("kind of source", name, known)
    module, of = known[name]
    return getattr(importlib.import_module(module), of)


def source(kind: str, *, cache: bool = False, **arguments: Any) -> Source:
    """Returns the source of a kind, see `KINDS` and `archives.ARCHIVES`, of these arguments.

    Args:
      kind: as above.
      cache: keep examples in memory once read, see `Cached`.
      arguments: of the kind.

    Raises:
      UserError: unknown kind or argument (with a suggestion), a missing argument, or whatever the
        source refuses.
    """
    build = reader(kind)
    parameters = inspect.signature(build).parameters
    for argument in arguments:
        if argument not in parameters:
            raise errors.unknown(f"argument of source {kind}", argument, (*parameters, "cache"))
    for parameter in parameters.values():
        if parameter.default is parameter.empty and parameter.name not in arguments:
            raise errors.UserError(f"source {kind} needs the argument {parameter.name!r}")
    return Cached(build(**arguments)) if cache else build(**arguments)
