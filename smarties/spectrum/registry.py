"""Sensors and spectra by name, from YAML: the package's own, or a user's file."""

import dataclasses
import functools
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from smarties.errors import UserError, unknown
from smarties.spectrum.bands import Aggregate, Band, Range, Sensor, Spectrum

_HERE = resources.files("smarties.spectrum")


@functools.cache
def sensors() -> dict[str, Sensor]:
    """Returns the registered sensors by name."""
    files = sorted(f for f in (_HERE / "sensors").iterdir() if f.name.endswith(".yaml"))
    loaded = [sensor_from_dict(_read(f), where=f.name) for f in files]
    return {s.name: s for s in loaded}


def sensor(name: str | Path | Sensor) -> Sensor:
    """Returns a sensor: itself, by its registered name, or read from a YAML file.

    Raises:
      UserError: unknown name (with a suggestion), missing file, or a file that describes no possible sensor.
    """
    if isinstance(name, Sensor):
        return name
    if str(name).endswith((".yaml", ".yml")):
        return sensor_from_dict(_read(Path(name)), where=str(name))
    if name not in sensors():
        raise unknown("sensor", name, sensors())
    return sensors()[str(name)]


@functools.cache
def spectrum(name: str = "smarties-v1") -> Spectrum:
    """Returns a spectrum by its registered name."""
    known = {f.name.removesuffix(".yaml"): f for f in (_HERE / "spectra").iterdir()}
    if name not in known:
        raise unknown("spectrum", name, known)
    entry = _read(known[name])
    return Spectrum(
        name=entry["name"],
        ranges=tuple(_build(Range, r, name) for r in entry["ranges"]),
        aggregates=tuple(_build(Aggregate, a, name) for a in entry.get("aggregates", ())),
        dropped=tuple(_build(Range, r, name) for r in entry.get("dropped", ())),
    )


def sensor_from_dict(entry: Mapping[str, Any], where: str) -> Sensor:
    """Returns the sensor a parsed YAML entry describes; `where` names the file in errors."""
    entry = dict(entry)
    bands = tuple(_build(Band, b, where) for b in entry.pop("bands"))
    return _build(Sensor, {**entry, "bands": bands}, where)


def sensor_to_dict(sensor: Sensor) -> dict[str, Any]:
    """Returns plain dicts and lists, for JSON and YAML; `sensor_from_dict` reads it back."""
    return dataclasses.asdict(sensor)


def _read(file) -> dict[str, Any]:
    try:
        entry = yaml.safe_load(file.read_text())
    except FileNotFoundError as error:
        raise UserError(f"no such file: {file}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{file}: not YAML: {str(error).splitlines()[0]}") from error
    return entry


def _build(cls, entry: Mapping[str, Any], where: str):
    """Returns `cls(**entry)` with lists as tuples; a key the class does not know is an error."""
    fields = {f.name for f in dataclasses.fields(cls)}
    for key in entry:
        if key not in fields:
            raise unknown(f"key of a {cls.__name__.lower()} in {where}", key, fields)
    return cls(**{k: _frozen(v) for k, v in entry.items()})


def _frozen(value):
    if isinstance(value, Mapping):
        return tuple((k, _frozen(v)) for k, v in value.items())
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
