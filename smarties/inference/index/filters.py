"""Which images of an archive a search looks at: by sensor, date, place and label."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.inference.index import archive, rows

Polygons = tuple[tuple[np.ndarray, ...], ...]  # of each the rings [n, 2], holes after the outline


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
    """What an image must be; what it does not tell, it is not.

    Attributes:
      sensor: name.
      since, until: seconds since 1970 UTC, from and before which it was taken.
      area: polygons in longitude and latitude, one of which its centre lies in.
      label: a name.
    """

    sensor: str | None = None
    since: float | None = None
    until: float | None = None
    area: Polygons | None = None
    label: str | None = None

    def keep(self, opened: archive.Archive, shard: archive.Shard) -> np.ndarray | None:
        """Returns which rows [n] of a shard to look at; None for all."""
        columns = {
            "time": self.since is not None or self.until is not None,
            "lon": self.area is not None,
            "lat": self.area is not None,
            "labels": self.label is not None,
        }
        if not any(columns.values()):
            return None
        file = opened.file(shard, archive.ROWS)
        found = rows.read(file, [name for name, asked in columns.items() if asked])
        kept = np.ones(shard.count, bool)
        if columns["time"]:
            taken = found["time"].to_numpy().astype("datetime64[ms]")
            seconds = np.where(np.isnat(taken), np.nan, taken.astype(np.int64) / 1000)
            kept &= seconds >= (-np.inf if self.since is None else self.since)
            kept &= seconds < (np.inf if self.until is None else self.until)
        if self.area is not None:
            kept &= inside(found["lon"].to_numpy(), found["lat"].to_numpy(), self.area)
        if self.label is not None:
            kept &= np.array([self.label in names for names in found["labels"].to_pylist()])
        return kept

    def check(self, opened: archive.Archive) -> None:
        """Raises `UserError` for a sensor or a label that no image of the archive has."""
        shards = opened.of(self.sensor)
        if self.label is not None:
            known: set[str] = set()
            for shard in shards:
                for names in rows.read(opened.file(shard, archive.ROWS), ["labels"])["labels"]:
                    known.update(names.as_py())
            if self.label not in known:
                raise errors.unknown(f"label of {opened.directory}", self.label, known)


def box(bounds: Sequence[float]) -> Polygons:
    """Returns the polygon of west, south, east, north in degrees; raises `UserError` if none."""
    west, south, east, north = bounds
    if not (west < east and south < north):
        raise errors.UserError(
            f"--bbox {' '.join(map(str, bounds))}: west and south must be less than east and north"
        )
    ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return ((np.array(ring),),)


def geojson(file: str | Path) -> Polygons:
    """Returns the polygons of a GeoJSON file; raises `UserError` where it has none."""
    try:
        found = tuple(_polygons(json.loads(Path(file).read_text())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.UserError(f"{file}: no GeoJSON of polygons ({error})") from error
    if not found:
        raise errors.UserError(f"{file}: no polygon in it")
    return found


def _polygons(tree: dict[str, Any]) -> Sequence[tuple[np.ndarray, ...]]:
    kind = tree["type"]
    if kind == "FeatureCollection":
        return [polygon for feature in tree["features"] for polygon in _polygons(feature)]
    if kind == "Feature":
        return _polygons(tree["geometry"])
    several = {"Polygon": [tree.get("coordinates")], "MultiPolygon": tree.get("coordinates")}
    if kind not in several:
        raise ValueError(f"a {kind}")
    return [tuple(np.array(ring, float)[:, :2] for ring in rings) for rings in several[kind]]


def inside(lon: np.ndarray, lat: np.ndarray, polygons: Polygons) -> np.ndarray:
    """Returns which places [n] lie in one of the polygons, by the even-odd rule.

    Longitudes are compared modulo 360; a place that is not known (NaN) lies in none.
    """
    found = np.zeros(len(lon), bool)
    for rings in polygons:
        middle = (rings[0][:, 0].min() + rings[0][:, 0].max()) / 2
        x, odd = middle + (lon - middle + 180) % 360 - 180, np.zeros(len(lon), bool)
        for ring in rings:
            for (x0, y0), (x1, y1) in zip(ring[:-1], ring[1:], strict=True):
                if y0 != y1:
                    crossed = (y0 <= lat) != (y1 <= lat)
                    odd ^= crossed & (x < x0 + (lat - y0) / (y1 - y0) * (x1 - x0))
        found |= odd
    return found & np.isfinite(lon) & np.isfinite(lat)
