"""Rules that pair examples by name, place, time and footprint; ties are broken by name."""

import dataclasses
import datetime
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from smarties import errors

Box = tuple[float, float, float, float]
DAY = 86_400.0
_YEAR = 365.25
_FIRST_SEASON = 80 - _YEAR / 8  # day of the year; the first is centred on the March equinox


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of an example without its pixels.

    Attributes:
      name: its id.
      place: of the location it shows; examples of one place show one ground.
      time: seconds since 1970-01-01 UTC; NaN where not known.
      bounds: west, south, east, north in degrees; east is below west across the antimeridian.
      split: it belongs to, or "". Examples of two splits are never paired.
    """

    name: str
    place: str = ""
    time: float = math.nan
    bounds: Box | None = None
    split: str = ""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Names of two examples, and their split or ""."""

    first: str
    second: str
    split: str = ""


def by_name(first: Sequence[Record], second: Sequence[Record]) -> list[Pair]:
    """Returns pairs of equal name, as patches of BigEarthNet, sorted by name.

    Raises:
      UserError: a name that appears twice in one source.
    """
    partners = _named(second)
    return [
        _pair(one, partners[name])
        for name, one in sorted(_named(first).items())
        if name in partners and _allowed(one, partners[name])
    ]


def by_date(
    first: Sequence[Record], second: Sequence[Record] | None, *, days: float | None = None
) -> list[Pair]:
    """Returns for each example the one of its place that is nearest in time, sorted by name.

    As for fMoW, whose images have a place and dates. One example may be the partner of several.
    Without a time on both sides there is no pair.

    Args:
      first, second: records of two sources; None for pairs within the first, where an example is
        never its own partner.
      days: most that may lie between two.

    Raises:
      UserError: a name that appears twice in one source.
    """
    return _nearest(first, second, days, lambda record: (record.place,))


def by_season(
    first: Sequence[Record], second: Sequence[Record] | None, *, days: float | None = None
) -> list[Pair]:
    """Returns as `by_date` the nearest example of the same place and season, of any year.

    As for SSL4EO-S12, whose four dates are drawn around equinoxes and solstices; seasons are the
    quarters of the year centred on these.
    """
    return _nearest(first, second, days, lambda record: (record.place, season(record.time)))


def by_overlap(
    first: Sequence[Record],
    second: Sequence[Record] | None,
    *,
    threshold: float = 0.5,
    days: float | None = None,
) -> list[Pair]:
    """Returns for each example the one whose footprint overlaps it most, sorted by name.

    Overlap is shared area over joint area of the boxes in degrees: near one latitude the degrees
    cancel. One example may be the partner of several.

    Args:
      first, second: see `by_date`; examples without bounds are left alone.
      threshold: least overlap, above 0 to 1.
      days: most that may lie between two whose times are both known.

    Raises:
      UserError: an impossible threshold or box, or a name that appears twice in one source.
    """
    if not 0 < threshold <= 1:
        raise errors.UserError(f"threshold is {threshold}: give an overlap above 0 to 1")
    # West to east, so that only boxes which begin near another's span need to be compared: those
    # wider than its width over the threshold cannot overlap it enough. Boxes across the
    # antimeridian are there twice.
    placed = sorted(
        (
            (box, record)
            for record in _named(first if second is None else second).values()
            for box in _boxes(record)
        ),
        key=lambda entry: (entry[0], entry[1].name),
    )
    boxes = np.array([box for box, _ in placed], np.float64).reshape(-1, 4)
    pairs = []
    for _, one in sorted(_named(first).items()):
        best = None
        for box in _boxes(one):
            reach = (box[2] - box[0]) / threshold * (1 + 1e-9)
            start, stop = np.searchsorted(boxes[:, 0], (box[0] - reach, box[2]))
            overlaps = _overlap(np.array(box), boxes[start:stop])
            for i in np.flatnonzero(overlaps >= threshold - 1e-12):
                other = placed[start + i][1]
                apart = abs(one.time - other.time) / DAY
                if second is None and other is one or not _allowed(one, other):
                    continue
                if days is not None and apart > days:
                    continue
                rank = (-round(float(overlaps[i]), 9), other.name)
                best = min(best or (rank, other), (rank, other), key=lambda entry: entry[0])
        if best:
            pairs.append(_pair(one, best[1]))
    return pairs


def season(time: float) -> int | None:
    """Returns 0 to 3 for the quarter of the year around March equinox to December solstice."""
    if math.isnan(time):
        return None
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC)
    start = datetime.datetime(moment.year, 1, 1, tzinfo=datetime.UTC)
    day = (moment - start).total_seconds() / DAY + 1
    return int((day - _FIRST_SEASON) % _YEAR / (_YEAR / 4)) % 4


def records(source: Any, place: str = r"[^/@]*") -> tuple[list[Record], list[str]]:
    """Returns the records of an archive, and what is wrong with the examples that have none.

    For their time and bounds every example is read.

    Args:
      source: an `Archive`.
      place: regular expression whose match at a name's beginning, or whose group 1, is its place.

    Raises:
      UserError: a name that the expression does not match.
    """
    found, unreadable = [], []
    homes = {i: split for split, part in source.splits.items() for i in part}
    only = len(source.splits) == 1
    for i in range(len(source)):
        try:
            example = source[i]
        except errors.Unreadable as error:
            unreadable.append(str(error))
            continue
        hit = re.match(place, example["id"])
        if not hit:
            raise errors.UserError(f"{example['id']}: {place!r} does not match its beginning")
        shape = next(iter(example["valid"].values())).shape
        found.append(
            Record(
                name=example["id"],
                place=hit[1] if hit.re.groups else hit[0],
                time=float(example["time"]),
                bounds=_bounds(example["crs"], example["transform"], shape),
                split="" if only else homes[i],
            )
        )
    return found, unreadable


def _bounds(crs: str, transform: Sequence[float], shape: tuple[int, int]) -> Box | None:
    if not crs:
        return None
    from rasterio import warp

    a, b, c, d, e, f = map(float, transform)
    corners = [(c + a * x + b * y, f + d * x + e * y) for x in (0, shape[1]) for y in (0, shape[0])]
    (west, east), (south, north) = ((min(v), max(v)) for v in zip(*corners, strict=True))
    return warp.transform_bounds(crs, "EPSG:4326", west, south, east, north)


def _named(listed: Iterable[Record]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for record in listed:
        if record.name in found:
            raise errors.UserError(f"{record.name}: the name appears twice: names must differ")
        found[record.name] = record
    return found


def _allowed(one: Record, other: Record) -> bool:
    return not (one.split and other.split) or one.split == other.split


def _pair(one: Record, other: Record) -> Pair:
    return Pair(one.name, other.name, one.split or other.split)


def _nearest(
    first: Sequence[Record],
    second: Sequence[Record] | None,
    days: float | None,
    key: Callable[[Record], tuple],
) -> list[Pair]:
    groups: dict[tuple, list[Record]] = defaultdict(list)
    for record in _named(first if second is None else second).values():
        if not math.isnan(record.time):
            groups[key(record)].append(record)
    pairs = []
    for _, one in sorted(_named(first).items()):
        if math.isnan(one.time):
            continue
        near = [
            (abs(other.time - one.time), other.name, other)
            for other in groups.get(key(one), ())
            if not (second is None and other is one) and _allowed(one, other)
        ]
        if near and (days is None or min(near)[0] <= days * DAY):
            pairs.append(_pair(one, min(near)[2]))
    return pairs


def _boxes(record: Record) -> list[Box]:
    """Returns the box with east above west, and once more a turn to the west if it passes 180."""
    if record.bounds is None:
        return []
    west, south, east, north = map(float, record.bounds)
    east += 360 if east < west else 0
    if not (south < north and west < east and np.isfinite([west, south, east, north]).all()):
        raise errors.UserError(f"{record.name}: {record.bounds} is no west, south, east, north")
    boxes = [(west, south, east, north)]
    return [*boxes, (west - 360, south, east - 360, north)] if east > 180 else boxes


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns shared over joint area of a box [4] and boxes [n, 4]."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return shared / (areas + (box[2:] - box[:2]).prod() - shared)
