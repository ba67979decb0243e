"""What a source of examples is, and the known kinds by name."""

import importlib
import inspect
from typing import Any, Protocol

from smarties import errors

# {"images": {sensor: [H, W, C]}, "valid": {sensor: [H, W] bool}, "id": str, ...}
Example = dict[str, Any]

# Imported when asked for: a folder needs rasterio, a planet does not.
KINDS = {
    "planet": ("smarties.data.planet.source", "Planet"),
    "folder": ("smarties.data.folder", "Folder"),
    "records": ("smarties.data.records", "Records"),
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
    """A source whose examples are kept in memory once read: for small sources slow to read."""

    def __init__(self, source: Source):
        self._source, self._kept = source, {}
        self.sensors = source.sensors

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


def source(kind: str, *, cache: bool = False, **arguments: Any) -> Source:
    """Returns the source of a kind ("planet", "folder", "records") with its constructor arguments.

    Args:
      kind: as above.
      cache: keep examples in memory once read, see `Cached`.
      arguments: of the kind.

    Raises:
      UserError: unknown kind or argument (with a suggestion), a missing argument, or whatever the
        source refuses.
    """
    if kind not in KINDS:
        raise errors.unknown("kind of source", kind, KINDS)
    module, name = KINDS[kind]
    build = getattr(importlib.import_module(module), name)
    parameters = inspect.signature(build).parameters
    for argument in arguments:
        if argument not in parameters:
            raise errors.unknown(f"argument of source {kind}", argument, (*parameters, "cache"))
    for parameter in parameters.values():
        if parameter.default is parameter.empty and parameter.name not in arguments:
            raise errors.UserError(f"source {kind} needs the argument {parameter.name!r}")
    return Cached(build(**arguments)) if cache else build(**arguments)
