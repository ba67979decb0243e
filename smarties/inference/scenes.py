"""A scene as north-up windows of pixels: one file with all bands, or one per band.

Needs rasterio (extra `geo`).
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.data import geotiff
from smarties.inference import windows
from smarties.spectrum.bands import Sensor


@dataclasses.dataclass(frozen=True)
class Scene:
    """Georeferenced bands, whatever the order of rows in their files.

    Attributes:
      image: the files.
      sensor: of the files, bands in file order.
      take: positions of the bands that are read, in the order asked for.
    """

    image: geotiff.Image
    sensor: Sensor
    take: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether rows run north and whether columns run west in the files."""
        if not self.image.crs:
            return False, False
        return self.image.transform[4] > 0, self.image.transform[0] < 0

    @property
    def transform(self) -> tuple[float, ...]:
        """Pixel to ground, a..f, with rows to the south and columns to the east."""
        a, _, c, _, e, f = self.image.transform[:6]
        up, left = self.flips
        rows, columns = self.shape
        return (
            -a if left else a, 0.0, c + a * columns if left else c,
            0.0, -e if up else e, f + e * rows if up else f,
        )  # fmt: skip

    def read(self, row: int, column: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (pixels [rows, columns, c], valid [rows, columns]); zeros beyond the scene."""
        high, wide = self.shape
        h, w = min(rows, high - row), min(columns, wide - column)
        up, left = self.flips
        pixels, valid = self._stored(
            high - row - h if up else row, wide - column - w if left else column, h, w
        )
        turn = (slice(None, None, -1 if up else 1), slice(None, None, -1 if left else 1))
        room = ((0, rows - h), (0, columns - w))
        return np.pad(pixels[turn][..., list(self.take)], (*room, (0, 0))), np.pad(
            valid[turn], room
        )

    def _stored(self, row: int, column: int, h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns a window of the files.

        Bands that are resampled are read with some ground around it, from their own grid on, so
        that a pixel does not depend on the window.
        """
        ratio = max(round(self.shape[0] / rows) for rows, _ in self.image.shapes)
        margin = 0 if ratio == 1 else 2 * ratio
        (top, high), (left, wide) = (
            _around(at, size, n, ratio, margin)
            for at, size, n in zip((row, column), (h, w), self.shape, strict=True)
        )
        pixels, valid = geotiff.read(self.image, (top, left, high, wide), self.sensor)
        inside = (slice(row - top, row - top + h), slice(column - left, column - left + w))
        return pixels[inside], valid[inside]


def _around(at: int, size: int, n: int, ratio: int, margin: int) -> tuple[int, int]:
    """Returns (first, size) of a part of n pixels with a margin, on a grid of `ratio` pixels."""
    first = max(0, (at - margin) // ratio * ratio)
    return first, min(n, -(-(at + size + margin) // ratio) * ratio) - first


def open_scene(files: Sequence[str | Path], sensor: Sensor, bands: str | None = None) -> Scene:
    """Returns the scene of a file with all bands of the sensor or the asked ones, or of band files.

    Band files are found by the bands' names in theirs, else taken in the order given.

    Raises:
      UserError: unreadable files, missing bands, rotated or swapped axes.
    """
    chosen = sensor.select(bands)
    paths = tuple(map(str, files))
    kind = sensor
    if len(paths) > 1:
        kind = _kind(paths, sensor, chosen)
        paths = _by_band(paths, kind)
        image = geotiff.inspect(paths, kind)
    else:
        try:
            image = geotiff.inspect(paths, sensor)
        except errors.Unreadable:
            raise
        except errors.UserError:
            if chosen.names == sensor.names:
                raise
            kind, image = chosen, geotiff.inspect(paths, chosen)
    _check_ground(image)
    return Scene(image, kind, kind.index(chosen.names))


def _kind(files: Sequence[str], sensor: Sensor, chosen: Sensor) -> Sensor:
    for kind in (sensor, chosen):
        if len(files) == len(kind.bands):
            return kind
    raise errors.UserError(
        f"{files[0]} and {len(files) - 1} more: {len(files)} files, but {sensor.name} has "
        f"{len(sensor.bands)} bands: {', '.join(sensor.names)}; give one file a band, or --bands"
    )


def _by_band(files: Sequence[str], sensor: Sensor) -> tuple[str, ...]:
    """Returns the files in the order of the bands, as far as the files' names tell it."""
    words = {f: {geotiff.plain(w) for w in re.split(r"[^0-9A-Za-z]", Path(f).stem)} for f in files}
    found = [[f for f in files if geotiff.plain(name) in words[f]] for name in sensor.names]
    if not any(found):
        return tuple(files)
    for name, several in zip(sensor.names, found, strict=True):
        if len(several) != 1:
            raise errors.UserError(
                f"band {name} of {sensor.name}: {len(several)} of the {len(files)} files are named "
                f"after it ({', '.join(several) or 'none'}): one is right"
            )
    return tuple(several[0] for several in found)


def _check_ground(image: geotiff.Image) -> None:
    a, b, c, d, e, f = image.transform[:6]
    if b or d:
        raise errors.UserError(
            f"{image.where}: rows and columns do not run along the axes of its CRS (transform "
            f"{a:g}, {b:g}, {c:g}, {d:g}, {e:g}, {f:g}): warp it to a north-up grid first"
        )
    if not image.crs:
        return
    from rasterio import crs  # type: ignore

    rows = (f, f + e * image.shape[0])
    if crs.CRS.from_string(image.crs).is_geographic and max(map(abs, rows)) > 90 + 1e-6:
        raise errors.UserError(
            f"{image.where}: latitudes {min(rows):g} to {max(rows):g} in {image.crs}: its axes "
            "are swapped; columns must run along longitude and rows along latitude"
        )


@dataclasses.dataclass(frozen=True)
class Batch:
    """Windows with something to see.

    Attributes:
      windows: which, in the order of the plan.
      images: [b, h, w, c].
      valid: [b, h, w] bool.
      after: windows of the plan that are done with once these are.
    """

    windows: tuple[windows.Window, ...]
    images: np.ndarray
    valid: np.ndarray
    after: int


def batches(scene: Scene, plan: windows.Plan, size: int, skip: int = 0) -> Iterator[Batch]:
    """Yields batches of `size` windows, the last one smaller; windows without data are left out.

    Neighbours are cut from one read, so that blocks of the file are not decoded for each.

    Args:
      skip: windows to leave out, `Batch.after` of a batch before.
    """
    side = tuple(n * plan.cell for n in plan.window)
    found: list[tuple[windows.Window, np.ndarray, np.ndarray]] = []
    after = skip
    for run in _runs(plan.windows(skip), size):
        first = run[0].column
        wide = (run[-1].column - first) * plan.cell + side[1]
        pixels, valid = scene.read(run[0].row * plan.cell, first * plan.cell, side[0], wide)
        for window in run:
            after += 1
            at = (window.column - first) * plan.cell
            cut = (slice(None), slice(at, at + side[1]))
            if valid[cut].any():
                found.append((window, pixels[cut], valid[cut]))
            if len(found) == size:
                yield _batch(found, after)
                found = []
    if found:
        yield _batch(found, after)


def _batch(found: list[tuple[windows.Window, np.ndarray, np.ndarray]], after: int) -> Batch:
    chosen, images, valid = zip(*found, strict=True)
    return Batch(chosen, np.stack(images), np.stack(valid), after)


def _runs(every: Iterator[windows.Window], most: int) -> Iterator[list[windows.Window]]:
    """Yields neighbours of one row, at most so many."""
    run: list[windows.Window] = []
    for window in every:
        new = run and (window.row, window.first) != (run[0].row, run[0].first)
        if run and (new or len(run) == most):
            yield run
            run = []
        run.append(window)
    if run:
        yield run
