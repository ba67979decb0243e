"""Which places are learnt from, which held out: at random, by spatial blocks, or as given."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from smarties.data.tables.table import Table
from smarties.errors import UserError, unknown

Kind = Literal["random", "blocks", "given"]
KINDS: tuple[Kind, ...] = ("random", "blocks", "given")
PARTS = ("train", "validation", "test")
_KM = 111.195  # of a degree of latitude, on a sphere of 6371 km
_DRAWS = 10


def split(
    table: Table,
    kind: Kind = "random",
    *,
    test: float = 0.15,
    validation: float = 0.0,
    seed: int = 0,
    size: float = 1.0,
    unit: Literal["degrees", "km"] = "degrees",
    buffer: float = 0.0,
) -> dict[str, np.ndarray]:
    """Returns {"train", "validation", "test": rows in order}.

    Args:
      table: of the places.
      kind: "random" draws rows, "blocks" whole blocks of a grid over the places, "given" takes the
        table's own parts, and draws validation rows among its training rows at random.
      test, validation: shares of the rows; of blocks about, as they hold different numbers.
      seed: of the draw.
      size, unit: of a block's side. Kilometres of longitude and latitude are those at the mean
        latitude.
      buffer: in `unit`: training rows nearer than this to a held-out one are left out.

    Raises:
      UserError: an unknown kind, shares or sizes that leave a part empty, or degrees of metres.
    """
    if kind not in KINDS:
        raise unknown("split", kind, KINDS)
    if min(test, validation) < 0 or test + validation >= 1:
        raise UserError(f"shares of test {test} and validation {validation}: 0 or more, below 1")
    if kind == "given":
        return _given(table, validation, seed)
    rng = np.random.default_rng(seed)
    if kind == "random":
        unit_of = np.arange(len(table))
    else:
        unit_of = blocks(table, size, unit)
    held = _draw(unit_of, (test, validation), rng)
    rows = {name: np.flatnonzero(held == i) for i, name in enumerate(PARTS)}
    if buffer:
        rows["train"] = rows["train"][_far(table, rows, buffer, unit)]
    for name, share in (("train", 1.0), ("validation", validation), ("test", test)):
        if share and not len(rows[name]):
            raise UserError(
                f"split {kind!r} leaves no {name} rows of {len(table)}: other shares, smaller "
                "blocks or a smaller buffer would be right"
            )
    return rows


def blocks(table: Table, size: float, unit: str = "degrees") -> np.ndarray:
    """Returns the number of the block [n] of each place; blocks tile the bounding box exactly.

    [as `verde.block_split`: the size is adjusted to the box]
    """
    if size <= 0:
        raise UserError(f"blocks of {size} {unit}: a positive size would be right")
    place = _place(table, unit)
    low, extent = place.min(0), np.ptp(place, 0)
    count = np.maximum(1, np.round(extent / size)).astype(int)
    step = np.where(extent > 0, extent / count, 1)
    cell = np.clip(((place - low) / step).astype(int), 0, count - 1)
    return np.unique(cell[:, 0] * count[1] + cell[:, 1], return_inverse=True)[1]


def _place(table: Table, unit: str) -> np.ndarray:
    """Returns coordinates [n, 2] in `unit`."""
    place = table.coordinates.astype(np.float64)
    if not np.isfinite(place).all():
        row = int(np.flatnonzero(~np.isfinite(place).all(1))[0])
        raise UserError(f"site {table.sites[row]!r} has no coordinates, which blocks are made of")
    if unit not in ("degrees", "km"):
        raise unknown("unit of blocks", unit, ("degrees", "km"))
    if unit == "degrees":
        if not table.degrees:
            raise UserError("blocks in degrees, but coordinates are metres: give unit 'km'")
        return place
    if not table.degrees:
        return place / 1000
    return place * _KM * np.array([np.cos(np.radians(place[:, 1].mean())), 1])


def _draw(unit_of: np.ndarray, shares: tuple[float, float], rng) -> np.ndarray:
    """Returns 0, 1 or 2 [n] for train, validation and test; a unit of rows is in one of them.

    Of ten draws the one whose shares of rows come nearest. [as `verde.BlockShuffleSplit`]
    """
    count, sizes = unit_of.max() + 1, np.bincount(unit_of)
    test, validation = (round(share * count) if share else 0 for share in shares)
    wanted = np.array([1 - sum(shares), shares[1], shares[0]]) * len(unit_of)
    best, found = np.inf, np.zeros(count, int)
    for _ in range(_DRAWS if count < len(unit_of) else 1):
        order, drawn = rng.permutation(count), np.zeros(count, int)
        drawn[order[:test]], drawn[order[test : test + validation]] = 2, 1
        off = np.abs(np.bincount(drawn, sizes, 3) - wanted).sum()
        if off < best:
            best, found = off, drawn
    return found[unit_of]


def _far(table: Table, rows: Mapping[str, np.ndarray], buffer: float, unit: str) -> np.ndarray:
    """Returns which training rows [n] are farther than `buffer` from all others."""
    from scipy import spatial

    place = _place(table, unit)
    held = np.concatenate([rows["validation"], rows["test"]])
    distance, _ = spatial.KDTree(place[held]).query(place[rows["train"]])
    return distance >= buffer


def _given(table: Table, validation: float, seed: int) -> dict[str, np.ndarray]:
    if table.part is None:
        raise UserError("split 'given', but this table says of no row whether it is for training")
    if odd := sorted(set(table.part.tolist()) - set(PARTS)):
        raise unknown("part of a table", odd[0], PARTS)
    rows: dict[str, Any] = {name: np.flatnonzero(table.part == name) for name in PARTS}
    if validation and not len(rows["validation"]):
        order = np.random.default_rng(seed).permutation(rows["train"])
        count = round(validation * len(order))
        rows["validation"], rows["train"] = np.sort(order[:count]), np.sort(order[count:])
    return rows
