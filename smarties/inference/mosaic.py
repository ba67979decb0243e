"""The values of windows, blended into one raster on disk, in memory that no scene size changes.

What a restart needs lies in a folder beside the output until the output is there: the rows that
are finished, and with every checkpoint the rows that windows still touch.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.inference import scenes, store, windows

Function = Callable[[np.ndarray, np.ndarray], np.ndarray]
Progress = Callable[[int, int], None]  # (windows done, of how many)
STATE = "state.npz"


@dataclasses.dataclass(frozen=True)
class Layer:
    """One raster to keep.

    Attributes:
      bands, dtype: of the values kept.
      encode: (blended values [r, c, V] float32, seen [r, c] bool) -> [r, c, bands] of the dtype,
        with nodata where nothing is seen.
    """

    bands: int
    dtype: str
    encode: Callable[[np.ndarray, np.ndarray], np.ndarray]


class Strip:
    """The rows of cells that windows still touch, of one swath at a time.

    Attributes:
      base: the first of its rows.
      sums, seen: weighted sums [rows, columns, V] float32, and where a pixel was valid.
    """

    def __init__(self, plan: windows.Plan, depth: int, emit: Callable[..., None]):
        wide = max(last - first for first, last in plan.swaths)
        self._plan, self._emit = plan, emit
        self.base, self.swath = 0, plan.swaths[0]
        self.sums = np.zeros((plan.window[0], wide, depth), np.float32)
        self.seen = np.zeros(self.sums.shape[:2], bool)

    def add(self, window: windows.Window, values: np.ndarray, seen: np.ndarray) -> None:
        """Adds a window's values [r, c, V]; rows above it are finished with."""
        while self.swath != (window.first, window.last):
            self.next_swath()
        self._advance(window.row)
        first, last = (
            max(window.column, window.first),
            min(window.column + self._plan.window[1], window.last),
        )
        inside = slice(first - window.column, last - window.column)
        at = slice(first - window.first, last - window.first)
        weight = self._plan.weight(window)[:, inside, None]
        self.sums[:, at] += weight * values[:, inside]
        self.seen[:, at] |= seen[:, inside]

    def next_swath(self) -> bool:
        """Writes the rest of a swath; returns whether there is another one."""
        self._advance(self._plan.grid[0])
        number = self._plan.swaths.index(self.swath) + 1
        if number == len(self._plan.swaths):
            return False
        self.base, self.swath = 0, self._plan.swaths[number]
        return True

    def _advance(self, row: int) -> None:
        first, last = self.swath
        while self.base < row:
            n = min(row - self.base, len(self.sums))
            self._emit(
                self.base, first, self.sums[:n, : last - first], self.seen[:n, : last - first]
            )
            for part in (self.sums, self.seen):
                part[:-n] = part[n:]
                part[-n:] = 0
            self.base += n


def silent(done: int, total: int) -> None:
    """Returns nothing and shows no progress."""


def known(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Returns the values, NaN where nothing is seen."""
    return np.where(seen[..., None], values, np.float32(np.nan))


def run(
    scene: scenes.Scene,
    plan: windows.Plan,
    function: Function,
    layers: Mapping[str, Layer],
    folder: Path,
    *,
    depth: int,
    batch: int,
    every: float = 30.0,
    progress: Progress = silent,
) -> dict[str, store.Store]:
    """Returns the layers of a scene on the plan's grid of cells, by name.

    Args:
      function: (images [b, h, w, c], valid [b, h, w]) -> values [b, r, c, V] on cells; always
        called with b = `batch`, the last batch filled up with copies.
      layers: what to keep of the blended values.
      folder: of this job alone, see `jobs.unfinished`; an interrupted run goes on from
        there, and ends in the same bytes.
      depth: V.
      every: seconds between checkpoints.
      progress: called after each batch.

    Raises:
      UserError: a scene without a valid pixel, or what `function` cannot take.
    """
    stores = {
        name: store.Store(folder / name, (*plan.grid, layer.bands), np.dtype(layer.dtype))
        for name, layer in layers.items()
    }

    def emit(row: int, column: int, values: np.ndarray, seen: np.ndarray) -> None:
        for name, layer in layers.items():
            stores[name].write(row, column, layer.encode(values, seen))

    strip = Strip(plan, depth, emit)
    done = _restored(folder / STATE, strip)
    for kept in stores.values():
        kept.create()
    saved = time.monotonic()
    progress(done, len(plan))
    coming = scenes.batches(scene, plan, batch, done)
    with futures.ThreadPoolExecutor(1) as reader:  # reads the next batch meanwhile
        ahead = reader.submit(next, coming, None)
        while (now := ahead.result()) is not None:
            ahead = reader.submit(next, coming, None)
            _add(strip, plan, function, now, batch, scene.image.where)
            done = now.after
            progress(done, len(plan))
            if time.monotonic() - saved >= every:
                for kept in stores.values():
                    kept.sync()
                _save(folder / STATE, strip, done)
                saved = time.monotonic()
    if not done:
        raise errors.UserError(f"{scene.image.where}: no valid pixel: all are nodata or not finite")
    while strip.next_swath():
        pass
    progress(len(plan), len(plan))
    return stores


def _add(strip, plan: windows.Plan, function: Function, now: scenes.Batch, size: int, where: str):
    index = np.minimum(np.arange(size), len(now.windows) - 1)
    full = len(now.windows) == size
    try:
        values = function(
            now.images if full else now.images[index], now.valid if full else now.valid[index]
        )
    except errors.UserError as error:
        raise errors.UserError(
            f"{where}, rows from {now.windows[0].row * plan.cell}: {error}"
        ) from error
    rows, columns = plan.window
    inside = now.valid.reshape(-1, rows, plan.cell, columns, plan.cell)
    seen = np.asarray(inside.any((2, 4)))
    for window, value, valid in zip(now.windows, values, seen, strict=False):
        strip.add(window, value, valid)


def _restored(path: Path, strip: Strip) -> int:
    """Returns the windows done at the last checkpoint, whose rows the strip gets."""
    if not path.is_file():
        return 0
    with np.load(path, allow_pickle=False) as state:
        strip.sums[:], strip.seen[:] = state["sums"], state["seen"]
        strip.base, first, last, done = map(int, state["place"])
    strip.swath = (first, last)
    return done


def _save(path: Path, strip: Strip, done: int) -> None:
    part = path.with_name("state.part.npz")
    np.savez(part, sums=strip.sums, seen=strip.seen, place=[strip.base, *strip.swath, done])
    os.replace(part, path)
