"""A part of a source: some of its examples, cut into tiles, with some classes of its map."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import sources

IGNORE = 255  # of pixels whose class is left out
_PLACE = re.compile(r"(.*)@(\d+),(\d+)")  # the id of a tile


class Part(sources.Source):
    """Tiles "id@row,column" of the examples whose id a pattern finds.

    All arrays of the image's height and width are cut. "location" stays that of the whole.

    Attributes:
      sensors: of the source.
      classes: those kept, in the order asked for; the source's own if none were.
    """

    def __init__(
        self,
        source: Mapping[str, Any],
        *,
        ids: str = "",
        tile: int | None = None,
        stride: int | None = None,
        columns: Sequence[float] = (0.0, 1.0),
        classes: Sequence[str] = (),
    ):
        """Opens the source and reads its first example, to know how many tiles there are.

        Args:
          source: kind and arguments, see `sources.source`.
          ids: regular expression, of all the examples by default.
          tile: side of a tile, pixels; None for the whole image.
          stride: pixels from a tile to the next; `tile` by default.
          columns: (from, to), shares 0..1 of the width that is cut: one scene split in two.
          classes: names of those of the map to keep; the other pixels are `IGNORE`.

        Raises:
          UserError: a pattern that is none or finds nothing, a class the source does not have, or a
            tile that does not fit.
        """
        self._source = sources.source(**source)
        self.sensors = self._source.sensors
        self.definitions = getattr(self._source, "definitions", {})
        self.published = sources.published(self._source)
        self._known = tuple(getattr(self._source, "classes", ()))
        self.classes = tuple(classes) or self._known
        for name in classes:
            if name not in self._known:
                raise errors.unknown("class of the source", name, self._known)
        self._options = dict(
            ids=ids, tile=tile, stride=stride, columns=list(columns), classes=list(classes)
        )
        self._which = _found(self._source, ids)
        self._windows = _windows(self._source, tile, stride, columns)

    def __len__(self) -> int:
        return len(self._which) * len(self._windows)

    def __getitem__(self, index: int) -> sources.Example:
        """Returns tile `index`; those of one example follow each other."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        which, place = divmod(index, len(self._windows))
        example = self._source[self._which[which]]
        rows, columns = self._windows[place]
        side = next(iter(example["valid"].values())).shape
        for name, valid in example["valid"].items():
            if valid.shape != side:
                raise errors.UserError(
                    f"{example['id']}: {name} is {valid.shape}, the first sensor {side}: `part` "
                    "cuts sensors on one grid"
                )

        def cut(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: cut(part) for name, part in value.items()}
            return value[rows, columns] if np.shape(value)[:2] == side else value

        found = {key: cut(value) for key, value in example.items()}
        found["id"] = f"{example['id']}@{rows.start},{columns.start}"
        if "transform" in found:
            a, b, c, d, e, f = found["transform"]
            x, y = columns.start, rows.start
            found["transform"] = np.array([a, b, c + a * x + b * y, d, e, f + d * x + e * y])
        if self._options["classes"] and "map" in found:
            found["map"] = self._table()[found["map"]]
        return found

    def _table(self) -> np.ndarray:
        """Returns the new index [256] of each index of the source's map."""
        table = np.full(256, IGNORE, np.uint8)
        for new, name in enumerate(self.classes):
            table[self._known.index(name)] = new
        return table

    def identity(self) -> dict[str, Any]:
        """Returns the options and the source's."""
        return {"kind": "part", **self._options, "source": self._source.identity()}


def check_apart(
    ids: Mapping[str, Sequence[str]], tiles: Mapping[str, tuple[int, int]], shared: bool
) -> None:
    """Raises `UserError` where splits share an example, a scene, or pixels of one.

    Args:
      ids: of the examples by split.
      tiles: (height, width) of a split's, pixels.
      shared: whether splits may have tiles of one scene, where these do not overlap.
    """
    scenes: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for split, names in ids.items():
        for name in names:
            scene, place = _PLACE.fullmatch(name), (0, 0)
            if scene:
                place = int(scene[2]), int(scene[3])
            scenes.setdefault(scene[1] if scene else name, {}).setdefault(split, []).append(place)
    for scene, splits in scenes.items():
        for one, other in itertools.combinations(splits, 2):
            said = f"scene {scene} is in split {one} and in split {other}"
            if not shared:
                raise errors.UserError(
                    f"{said}: their tiles are no independent evidence; split by scene, or say "
                    "segmentation.shared_scenes=True"
                )
            (high, wide), (tall, broad) = tiles[one], tiles[other]
            down, right = np.moveaxis(
                np.array(splits[other])[None] - np.array(splits[one])[:, None], -1, 0
            )
            if ((-tall < down) & (down < high) & (-broad < right) & (right < wide)).any():
                raise errors.UserError(f"{said}, with tiles that overlap: give other columns")


def _found(source: Any, ids: str) -> list[int]:
    try:
        pattern = re.compile(ids)
    except re.error as error:
        raise errors.UserError(f"ids {ids!r} is no regular expression: {error}") from error
    names = getattr(source, "names", None)
    every = names() if names else [source[i]["id"] for i in range(len(source))]
    found = [i for i, name in enumerate(every) if pattern.search(name)]
    if not found:
        raise errors.UserError(f"ids {ids!r} finds none of {len(every)} examples, e.g. {every[0]}")
    return found


def _windows(
    source: Any, tile: int | None, stride: int | None, columns: Sequence[float]
) -> list[tuple[slice, slice]]:
    """Returns the rows and columns of each tile."""
    height, width = next(iter(sources.first(source)["valid"].values())).shape
    start, stop = (round(width * share) for share in columns)
    if not 0 <= start < stop <= width:
        raise errors.UserError(f"columns {tuple(columns)}: two shares, 0 <= from < to <= 1")
    if tile is None:
        return [(slice(0, height), slice(start, stop))]
    step = stride or tile
    if min(tile, step) < 1 or tile > min(height, stop - start):
        raise errors.UserError(
            f"tiles of {tile} pixels, {step} apart, of {height} by {stop - start}: give a tile "
            "that fits, and a stride of 1 or more"
        )
    return [
        (slice(row, row + tile), slice(column, column + tile))
        for row in range(0, height - tile + 1, step)
        for column in range(start, stop - tile + 1, step)
    ]
