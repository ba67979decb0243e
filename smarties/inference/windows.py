"""Which windows cover a scene, in which order, and how much each counts: arithmetic only.

A *cell* is what one output value belongs to: a token (P x P pixels), a pixel, or a whole chip.
Windows start on cells, so that all of them agree on one grid of cells.
"""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from smarties import errors


@dataclasses.dataclass(frozen=True)
class Window:
    """One window, in cells.

    Attributes:
      row, column: of its first cell.
      first, last: columns [first, last) of cells of the swath it counts for.
      index: (i, j) of its start among the starts of either axis.
    """

    row: int
    column: int
    first: int
    last: int
    index: tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The windows of a scene, swath by swath, row by row.

    Swaths bound what is held at once for scenes of any width; a window that touches two swaths is
    seen twice.

    Attributes:
      shape: rows and columns of the scene, pixels.
      side: of a window, pixels: a multiple of `cell`. Scenes smaller than that have one window.
      overlap: of neighbouring windows, pixels: a multiple of `cell`, less than `side`.
      cell: side of a cell, pixels.
      swath: most pixels of a swath's width beyond one window.
    """

    shape: tuple[int, int]
    side: int
    overlap: int = 0
    cell: int = 1
    swath: int = 4096

    def __post_init__(self):
        if self.side < self.cell or self.side % self.cell:
            raise errors.UserError(
                f"windows of {self.side} pixels are no multiple of {self.cell} pixels: try "
                f"{max(1, round(self.side / self.cell)) * self.cell}"
            )
        if not 0 <= self.overlap < self.side or self.overlap % self.cell:
            raise errors.UserError(
                f"an overlap of {self.overlap} pixels: give a multiple of {self.cell} from 0 to "
                f"less than the window of {self.side}"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells; those at the end may reach beyond the scene."""
        rows, columns = (-(-n // self.cell) for n in self.shape)
        return rows, columns

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of a window, in cells."""
        rows, columns = (min(self.side // self.cell, n) for n in self.grid)
        return rows, columns

    @functools.cached_property
    def starts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """First cells of windows along rows and along columns; the last ends where the scene does.

        It may overlap its neighbour more than others do.
        """
        step = (self.side - self.overlap) // self.cell
        rows, columns = (
            (*range(0, n - window, step), n - window)
            for n, window in zip(self.grid, self.window, strict=True)
        )
        return rows, columns

    @functools.cached_property
    def swaths(self) -> tuple[tuple[int, int], ...]:
        """Columns of cells [first, last) of each swath; they begin where windows do."""
        edges, columns = [0], self.grid[1]
        for start in self.starts[1]:
            if (start - edges[-1]) * self.cell >= self.swath:
                edges.append(start)
        return tuple(zip(edges, [*edges[1:], columns], strict=True))

    def windows(self, skip: int = 0) -> Iterator[Window]:
        """Yields all windows but the first `skip`."""
        rows, columns = self.starts
        for first, last in self.swaths:
            inside = [j for j, c in enumerate(columns) if c < last and c + self.window[1] > first]
            total = len(rows) * len(inside)
            for k in range(min(skip, total), total):
                i, j = k // len(inside), inside[k % len(inside)]
                yield Window(rows[i], columns[j], first, last, (i, j))
            skip = max(0, skip - total)

    def __len__(self) -> int:
        """Windows to see, those of two swaths twice."""
        touching = sum(
            c < last and c + self.window[1] > first
            for first, last in self.swaths
            for c in self.starts[1]
        )
        return touching * len(self.starts[0])

    @functools.cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights [windows, cells] of each axis: linear ramps over the overlap.

        They sum to one over the windows of each cell, so a cell of one window has weight 1.
        """
        ramp = max(self.overlap // self.cell, 1)
        rows, columns = (
            _weights(n, window, starts, ramp)
            for n, window, starts in zip(self.grid, self.window, self.starts, strict=True)
        )
        return rows, columns

    def weight(self, window: Window) -> np.ndarray:
        """Returns [rows, columns] float32 of a window's cells."""
        i, j = window.index
        return self.weights[0][i][:, None] * self.weights[1][j][None]


def _weights(n: int, window: int, starts: tuple[int, ...], ramp: int) -> np.ndarray:
    at = np.arange(window) + 0.5
    shape = np.minimum(np.minimum(at, at[::-1]) / ramp, 1.0)
    total = np.zeros(n)
    for start in starts:
        total[start : start + window] += shape
    return np.stack([shape / total[s : s + window] for s in starts]).astype(np.float32)
