"""BigEarthNet's patch names, the v2 split that follows from them, and leakage between versions.

v2.0 splits each Sentinel-2 tile of side s = 109.8 km by the distance of a patch's centre from the
tile's border: an outer ring of s (2 - sqrt 2) / 4 for training, a ring of s (sqrt 2 - 1) / 4 for
validation, the rest for test: half, a quarter and a quarter of the area (Clasen et al., "reBEN",
2024, arXiv 2407.03653). v1 was split otherwise, so that patches of v2's test set lie in v1's
training set.
"""

import dataclasses
import datetime
import functools
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from smarties import errors

SPLITS = ("train", "validation", "test")
TILE, PATCH = 109_800.0, 1_200.0  # sides, m
RINGS = (TILE * (2 - math.sqrt(2)) / 4, TILE * (math.sqrt(2) - 1) / 4)
_SHARED = 60_886  # patches of v2's test split that are in v1's training split

_NAME = re.compile(
    r"(?P<mission>S[12][A-D])_\w+?_(?P<time>\d{8}T\d{5,6})"
    r"(?:_N\d{4}_R\d{3})?(?:_T?(?P<tile>\d{1,2}[A-Z]{3}))?_(?P<column>\d{1,2})_(?P<row>\d{1,2})"
)
_ROWS, _COLUMNS = "ABCDEFGHJKLMNPQRSTUV", ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
# Northing of the south end of each MGRS latitude band in hundreds of km, of the northern half.
_BANDS = {"N": 0, "P": 8, "Q": 17, "R": 26, "S": 35, "T": 44, "U": 53, "V": 62, "W": 70, "X": 79}


@dataclasses.dataclass(frozen=True)
class Patch:
    """What a patch's name says.

    Attributes:
      mission: e.g. "S2A".
      time: of the acquisition, seconds since 1970-01-01 UTC.
      tile: of the Sentinel-2 grid, e.g. "33UUP"; "" in Sentinel-2 names of v1.
      column, row: of the patch in its tile, counted from the north-west.
    """

    mission: str
    time: float
    tile: str
    column: int
    row: int

    @property
    def key(self) -> tuple[str, float, int, int]:
        """The same for all spellings of one name; v1's time may be seconds later than v2's."""
        return self.mission, self.time, self.column, self.row

    @property
    def grid(self) -> tuple[str, tuple[float, ...]]:
        """CRS and affine coefficients a..f of the patch's 10 m pixels, from its place in the tile.

        The tile's corner is that of its 100 km square, moved outwards to a multiple of 60 m.

        Raises:
          Unreadable: a tile that is not of the northern half, or none at all.
        """
        try:
            zone, (band, easting, northing) = int(self.tile[:-3]), self.tile[-3:]
            left = (_COLUMNS[(zone - 1) % 3].index(easting) + 1) * 100_000
            square = (_ROWS.index(northing) - (5 if zone % 2 == 0 else 0)) % 20
            square += 20 * math.ceil((_BANDS[band] - square) / 20)
        except (KeyError, ValueError) as error:
            raise errors.Unreadable(f"{self.tile!r}: no tile of the northern half") from error
        top = (square + 1) * 100_000
        x = left // 60 * 60 + PATCH * self.column
        y = -(-top // 60) * 60 - PATCH * self.row
        return f"EPSG:{32600 + zone}", (10.0, 0.0, x, 0.0, -10.0, y)


def parse(name: str) -> Patch:
    """Returns what a Sentinel-1 or Sentinel-2 patch's name of v1 or v2 says.

    Columns and rows may be padded or not. In v1 some times lack the hour's leading zero, and where
    tiles of one acquisition would share a name some are seconds later, up to T94161 for 09:41:59.

    Raises:
      UserError: no such name.
    """
    found = _NAME.fullmatch(name)
    if not found:
        raise errors.UserError(
            f"{name!r} is no BigEarthNet patch: names are like S2A_MSIL2A_20170613T101031_26_57, "
            "S1A_IW_GRDH_1SDV_20170613T165043_33UUP_26_57 or "
            "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57"
        )
    date, clock = found["time"].split("T")
    try:
        day = _day(date)
    except ValueError as error:
        raise errors.UserError(f"{name}: {date} is no date") from error
    hours, minutes, seconds = (int(clock.zfill(6)[i : i + 2]) for i in (0, 2, 4))
    time = day + 3600 * hours + 60 * minutes + seconds
    tile = found["tile"] or ""
    return Patch(found["mission"], time, tile, int(found["column"]), int(found["row"]))


@functools.cache
def _day(date: str) -> float:
    day = datetime.datetime.strptime(date, "%Y%m%d")
    return day.replace(tzinfo=datetime.UTC).timestamp()


def split_of(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns the v2 split of patches as indices into `SPLITS`, from their place in the tile."""
    distance = np.full(np.shape(columns), np.inf)
    for place in (columns, rows):
        centre = np.asarray(place) * PATCH + PATCH / 2
        distance = np.minimum(distance, np.minimum(centre, TILE - centre))
    return np.searchsorted(np.cumsum(RINGS), distance, side="right").astype(np.int8)


def splits(names: Iterable[str]) -> list[str]:
    """Returns the v2 split of each patch name. Raises `UserError` for names without a place."""
    try:
        places = np.array([name.rsplit("_", 2)[1:] for name in names], int).reshape(-1, 2)
    except ValueError as error:
        raise errors.UserError(f"patch names must end in _column_row: {error}") from error
    return [SPLITS[i] for i in split_of(*places.T)]


def overlap(v1: Iterable[str], v2: Iterable[str]) -> list[str]:
    """Returns those of v2's patches, by their name in v1 (`s2v1_name`), that are among v1's.

    Args:
      v1: Sentinel-2 names of v1, e.g. of its training list.
      v2: column `s2v1_name` of v2's metadata, e.g. of its test split.
    """
    known = {parse(name).key for name in v1}
    return [name for name in v2 if parse(name).key in known]


def check_leakage(
    trained_on: str | Sequence[str], evaluated_on: str, *, allow_leakage: bool = False
) -> None:
    """Returns nothing if an evaluation is of patches that the weights have not seen.

    Names are "bigearthnet-v1" or "bigearthnet-v2" with a split, e.g. "bigearthnet-v2:test"; other
    datasets are not looked at, and without a split all of them are meant. v1 and v2 hold the same
    places and images but divide them otherwise, so they are never to be mixed.

    Args:
      trained_on: what the weights were trained or pretrained on, labels or not.
      evaluated_on: what they are to be judged by.
      allow_leakage: judge all the same; the result says nothing of new places.

    Raises:
      UserError: the two share patches.
    """
    version, split = _named(evaluated_on)
    for name in [trained_on] if isinstance(trained_on, str) else trained_on:
        seen, part = _named(name)
        if allow_leakage or not version or not seen:
            continue
        if seen != version:
            example = f", e.g. {_SHARED:,} patches of v2's test split are in v1's training split"
            reason = f"the versions split the same patches otherwise{example}"
        elif split and part and split != part:
            continue
        else:
            reason = "the weights have seen these patches"
        raise errors.UserError(
            f"weights trained on {name} cannot be evaluated on {evaluated_on}: {reason}: use "
            f"weights trained on another split of {version}, or say allow_leakage=True"
        )


def _named(name: str) -> tuple[str, str]:
    """Returns (version, split) of a name, "" for what it does not say."""
    version, _, split = name.partition(":")
    if not version.startswith("bigearthnet"):
        return "", ""
    if version not in ("bigearthnet-v1", "bigearthnet-v2"):
        raise errors.unknown("version", version, ("bigearthnet-v1", "bigearthnet-v2"))
    if split and split not in SPLITS:
        raise errors.unknown("split", split, SPLITS)
    return version, split
