"""Sensors and spectra by name, from YAML: the package's own, or a user's file.

A sensor file holds `name`, `title`, `source` and `bands`, each a mapping with the attributes of
`bands.Band`, and to keep it short:

  defaults    attributes of every band, unless the band has its own
  extends     a registered sensor; a band of the same name starts from its attributes, and no
              `bands` means all of them
  statistics  a text saying where clip, mean and std come from, or {from: sensor} to take them over
              (`statistics.py`)
  series      in place of name: {series: "B{:03d}", first: 1, center: [418.42, 424.04], fwhm: 8.1},
              one band for every centre
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from smarties.errors import UserError, unknown
from smarties.spectrum import checks, statistics
from smarties.spectrum.bands import Aggregate, Band, Range, Sensor, Spectrum

_HERE = resources.files("smarties.spectrum")
_SENSOR_KEYS = ("name", "title", "source", "bands", "defaults", "extends")
_SERIES_KEYS = ("series", "first", "center")
_BAND_KEYS = tuple(f.name for f in dataclasses.fields(Band))


def sensors() -> dict[str, Sensor]:
    """Returns the registered sensors by name."""
    return {name: _registered(name) for name in _names()}


def sensor(name: str | Path | Sensor) -> Sensor:
    """Returns a sensor: itself, by its registered name, or read from a YAML file.

    Raises:
      UserError: unknown name (with a suggestion), missing file, or a file that describes no
        possible sensor.
    """
    if isinstance(name, Sensor):
        return name
    if str(name).endswith((".yaml", ".yml")):
        return sensor_from_dict(_read(Path(name)), where=str(name))
    return _registered(str(name))


@functools.cache
def spectrum(name: str = "smarties-v1") -> Spectrum:
    """Returns a spectrum by its registered name."""
    known = {f.name.removesuffix(".yaml"): f for f in (_HERE / "spectra").iterdir()}
    if name not in known:
        raise unknown("spectrum", name, known)
    entry = _read(known[name])
    return Spectrum(
        name=entry["name"],
        ranges=tuple(_build(Range, r) for r in entry["ranges"]),
        aggregates=tuple(_build(Aggregate, a) for a in entry.get("aggregates", ())),
        dropped=tuple(_build(Range, r) for r in entry.get("dropped", ())),
    )


def sensor_from_dict(entry: Mapping[str, Any], where: str) -> Sensor:
    """Returns the sensor a parsed YAML entry describes; `where` names the file in errors.

    Raises:
      UserError: a key is unknown (with a suggestion) or missing, or a band is impossible.
    """
    _keys(entry, _SENSOR_KEYS, f"sensor in {where}")
    base = _registered(entry["extends"], where) if "extends" in entry else None
    for key in ("name",) if base else ("name", "bands"):
        if not entry.get(key):
            raise UserError(f"{where} has no {key}: a sensor needs name and bands")
    defaults = entry.get("defaults", {})
    _keys(defaults, _BAND_KEYS, f"defaults in {where}")
    inherited = {b.name: dataclasses.asdict(b) for b in base.bands} if base else {}
    listed = entry.get("bands") or [{"name": name} for name in inherited]
    if not isinstance(listed, list | tuple):
        raise UserError(f"{where}: bands is {type(listed).__name__}, must be a list of bands")
    bands = tuple(
        _band(own, defaults, inherited, where) for item in listed for own in _expanded(item, where)
    )
    checks.distinct([b.name for b in bands], where)
    return Sensor(
        name=str(entry["name"]),
        title=str(entry.get("title", base.title if base else "")),
        source=str(entry.get("source", base.source if base else "")),
        bands=bands,
    )


def sensor_to_dict(sensor: Sensor) -> dict[str, Any]:
    """Returns plain dicts and lists, for JSON and YAML; `sensor_from_dict` reads it back."""
    entry = dataclasses.asdict(sensor)
    bands = [{**b, "clip": list(b["clip"]), "range": dict(b["range"])} for b in entry["bands"]]
    return {**entry, "bands": bands}


@functools.cache
def _names() -> tuple[str, ...]:
    files = (f.name for f in (_HERE / "sensors").iterdir())
    return tuple(sorted(f.removesuffix(".yaml") for f in files if f.endswith(".yaml")))


@functools.cache
def _registered(name: str, where: str = "") -> Sensor:
    if name not in _names():
        raise unknown(f"sensor in {where}" if where else "sensor", name, _names())
    return sensor_from_dict(_read(_HERE / "sensors" / f"{name}.yaml"), where=f"{name}.yaml")


def _read(file) -> dict[str, Any]:
    try:
        return yaml.safe_load(file.read_text())
    except FileNotFoundError as error:
        raise UserError(f"no such file: {file}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: it must be a YAML text file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise UserError(f"{file} is not YAML{line}: {str(error).splitlines()[0]}") from error


def _expanded(item: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """Yields the band entries of one item of `bands`: itself, or every member of a series."""
    if not (isinstance(item, Mapping) and "series" in item):
        yield item
        return
    pattern, first, centers = item["series"], item.get("first", 1), item.get("center")
    rest = {key: value for key, value in item.items() if key not in _SERIES_KEYS}
    if not (isinstance(centers, list) and isinstance(first, int) and "{" in str(pattern)):
        example = '{series: "B{:03d}", first: 1, center: [418.42, 424.04], fwhm: 8.1}'
        raise UserError(f"{where}: a series of bands is written {example}")
    try:
        names = [str(pattern).format(first + i) for i in range(len(centers))]
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            f"{where}: series {pattern!r} must hold one number, as B{{:03d}}"
        ) from error
    for name, center in zip(names, centers, strict=True):
        yield {"name": name, "center": center, **rest}


def _band(own: Any, defaults: Mapping, inherited: Mapping[str, Mapping], where: str) -> Band:
    _keys(own, _BAND_KEYS, f"band in {where}")
    if not isinstance(own.get("name"), str) or not own["name"]:
        raise UserError(f"a band in {where} has no name, or one that is no text: {dict(own)}")
    place = f"band {own['name']} in {where}"
    if inherited and own["name"] not in inherited and not {"center", "frequency"} & set(own):
        raise unknown(f"band of the extended sensor in {where}", own["name"], inherited)
    given = {**defaults, **own}
    entry = {**inherited.get(own["name"], {}), **given}
    source = entry.get("statistics")
    if not isinstance(source, Mapping):
        checks.band(entry, place)
        return _build(Band, entry)
    _keys(source, ("from",), f"statistics of {place}")
    if set(checks.STATISTICS) & set(given):
        raise UserError(f"{place} gives clip, mean or std and takes statistics over: choose one")
    placeholder = {"clip": (0, 1), "mean": 0.5, "std": 0.25, "statistics": ""}
    checks.band({**entry, **placeholder}, place)
    band = _build(Band, {**entry, **placeholder})
    reference = _registered(str(source.get("from")), where)
    return dataclasses.replace(band, **statistics.borrowed(band, reference, place))


def _keys(entry: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(entry, Mapping):
        raise UserError(
            f"the {where} is {type(entry).__name__}, must be a mapping of keys to values"
        )
    for key in entry:
        if key not in known:
            raise unknown(f"key of the {where}", key, known)


def _build(cls, entry: Mapping[str, Any]):
    """Returns `cls(**entry)` with lists and mappings as tuples, so that it can be hashed."""
    return cls(**{key: _frozen(value) for key, value in entry.items()})


def _frozen(value):
    if isinstance(value, Mapping):
        return tuple((k, _frozen(v)) for k, v in value.items())
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
