"""Rasters of predictors on one grid: windows of them as rows of a table, NaN where nodata.

Needs rasterio (extra `geo`).
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties.errors import UserError

_DEGREES = {"longitude": 0, "lon": 0, "latitude": 1, "lat": 1}


@dataclasses.dataclass(frozen=True)
class Grid:
    """Predictors that lie on one grid.

    Attributes:
      files: of the layers.
      layers: of each predictor (file, band from 1); a number 0 or 1 where longitude or latitude
        of the pixel's centre is meant; None where the predictor is missing everywhere.
      shape: rows and columns.
      transform: pixel to ground, a..f.
      crs: as WKT, "" where there is none.
      levels: of each predictor, () of numbers: a pixel is the level that is written like it.
    """

    files: tuple[str, ...]
    layers: tuple[tuple[str, int] | int | None, ...]
    shape: tuple[int, int]
    transform: tuple[float, ...]
    crs: str
    levels: tuple[tuple[str, ...], ...] = ()

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of the whole, in the units of the CRS."""
        a, _, c, _, e, f = self.transform
        return c, c + a * self.shape[1], f + e * self.shape[0], f

    @contextlib.contextmanager
    def opened(self) -> Iterator["Reader"]:
        """Yields a reader of windows, the files open."""
        import rasterio
        from rasterio import errors as failures

        try:
            with contextlib.ExitStack() as stack:
                files = {f: stack.enter_context(rasterio.open(f)) for f in self.files}
                yield Reader(self, files)
        except failures.RasterioIOError as error:
            raise UserError(f"a raster of {Path(self.files[0]).parent}: {error}") from error


@dataclasses.dataclass(frozen=True)
class Reader:
    """Open rasters of a grid."""

    grid: Grid
    files: dict[str, Any]

    def read(self, row: int, column: int, rows: int, columns: int) -> np.ndarray:
        """Returns float32 [rows, columns, F] of a window inside the grid, NaN without data."""
        from rasterio.windows import Window  # pyright: ignore[reportMissingImports]

        out = np.full((rows, columns, len(self.grid.layers)), np.nan, np.float32)
        area = Window(column, row, columns, rows)  # pyright: ignore[reportCallIssue]
        degrees = None
        for i, layer in enumerate(self.grid.layers):
            if isinstance(layer, int):
                degrees = self._lonlat(row, column, rows, columns) if degrees is None else degrees
                out[..., i] = degrees[layer]
            elif layer is not None:
                band = self.files[layer[0]].read(layer[1], window=area, masked=True)
                values = np.ma.filled(band.astype(np.float32), np.nan)
                if self.grid.levels and self.grid.levels[i]:
                    values = _levels(values, self.grid.levels[i])
                out[..., i] = np.where(np.isfinite(values), values, np.nan)
        return out

    def _lonlat(self, row: int, column: int, rows: int, columns: int) -> np.ndarray:
        from rasterio import warp  # pyright: ignore[reportMissingImports]

        a, _, c, _, e, f = self.grid.transform
        x = c + a * (column + 0.5 + np.arange(columns))
        y = f + e * (row + 0.5 + np.arange(rows))
        across, down = np.meshgrid(x, y)
        found = warp.transform(self.grid.crs, "EPSG:4326", across.ravel(), down.ravel())
        return np.reshape(found[:2], (2, rows, columns))


def _levels(values: np.ndarray, levels: Sequence[str]) -> np.ndarray:
    """Returns the index of the level that each value is, NaN where it is none."""
    index = {level: i for i, level in enumerate(levels)}
    kinds, place = np.unique(values, return_inverse=True)
    found = np.array([index.get(f"{kind:g}", np.nan) for kind in kinds], np.float32)
    return found[place].reshape(values.shape)


def grid(
    files: Sequence[str | Path],
    predictors: Sequence[str],
    missing_ok: bool = False,
    levels: Mapping[str, Sequence[str]] | None = None,
) -> Grid:
    """Returns the grid of predictors, found by the names of bands, or of files with one band.

    Longitude and latitude need no raster where the grid has a CRS.

    Args:
      files: any number; layers of no predictor do not matter.
      missing_ok: whether a predictor without a raster is missing everywhere.
      levels: of categorical predictors, by name.

    Raises:
      UserError: an unreadable file, one on another grid than the first, a rotated grid, a
        predictor without a layer or with several.
    """
    import rasterio
    from rasterio import errors as failures

    if not files:
        raise UserError("no raster: give one file with a band for each predictor, or one file each")
    first: tuple[str, tuple[int, int], tuple[float, ...], str] | None = None
    layers: dict[str, list[tuple[str, int]]] = {}
    for file in map(str, files):
        try:
            with rasterio.open(file) as data:
                crs = data.crs.to_wkt() if data.crs else ""
                here = (file, (data.height, data.width), tuple(data.transform)[:6], crs)
                names = [n or "" for n in data.descriptions]
        except failures.RasterioIOError as error:
            raise UserError(f"{file} cannot be read: {error}") from error
        first = first or here
        _same(first, here)
        known = [n for n in names if n in predictors]
        if len(names) == 1 and not known:
            names = [Path(file).stem]
        for band, name in enumerate(names, 1):
            layers.setdefault(name, []).append((file, band))
    assert first is not None
    taken = tuple(_layer(name, layers, first[3], missing_ok) for name in predictors)
    used = dict.fromkeys(layer[0] for layer in taken if isinstance(layer, tuple))
    if not used:
        raise UserError(f"{first[0]}: no band or file is named after a predictor of the model")
    kinds = tuple(tuple((levels or {}).get(name, ())) for name in predictors)
    return Grid(tuple(used), taken, *first[1:], kinds)


def _layer(
    name: str, layers: dict[str, list[tuple[str, int]]], crs: str, missing_ok: bool
) -> tuple[str, int] | int | None:
    found = layers.get(name, [])
    if len(found) > 1:
        raise UserError(
            f"predictor {name!r} is in {found[0][0]} and in {found[1][0]}: one is right"
        )
    if found:
        return found[0]
    if crs and name.casefold() in _DEGREES:
        return _DEGREES[name.casefold()]
    if missing_ok:
        return None
    raise UserError(
        f"no raster of predictor {name!r}: name a band or a file after it, or let it be missing "
        f"(--missing_ok); there are {', '.join(sorted(filter(None, layers))[:12]) or 'no names'}"
    )


def _same(first: tuple, here: tuple) -> None:
    file, shape, transform, crs = here
    if transform[1] or transform[3]:
        raise UserError(f"{file}: its grid is rotated: warp it to a north-up one")
    if shape != first[1]:
        what = f"{shape[0]} x {shape[1]} pixels, not {first[1][0]} x {first[1][1]}"
    elif not np.allclose(transform, first[2], rtol=0, atol=1e-4 * abs(first[2][0])):
        at = [f"{t[2]:g} {t[5]:g} in steps of {t[0]:g} {t[4]:g}" for t in (transform, first[2])]
        what = f"from {at[0]}, not {at[1]}"
    elif not _same_crs(crs, first[3]):
        what = "another CRS"
    else:
        return
    raise UserError(f"{file} is on another grid than {first[0]} ({what}): warp it to that one")


def _same_crs(one: str, other: str) -> bool:
    from rasterio.crs import CRS  # pyright: ignore[reportMissingImports]

    if not one or not other:
        return one == other
    return CRS.from_wkt(one) == CRS.from_wkt(other)
