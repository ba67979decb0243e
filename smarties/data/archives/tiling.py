"""Archives whose images are larger than an example: cut into tiles, each read when asked for."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import geotiff, scenes, sources
from smarties.data.archives import archive
from smarties.spectrum import bands, registry


@dataclasses.dataclass(frozen=True)
class Scene:
    """Where the images of one ground lie.

    Attributes:
      name: of the scene, the same on every machine.
      files: of each sensor, one with all bands or one per band in the sensor's order.
      time: seconds since 1970-01-01 UTC; NaN where not recorded.
      extra: what else the reader wants to know when it reads.
    """

    name: str
    files: tuple[tuple[str, ...], ...]
    time: float = float("nan")
    extra: Any = None


@dataclasses.dataclass(frozen=True)
class Tile:
    """A tile of a scene, from (row, column) of the finest sensor's grid on."""

    scene: Scene
    row: int
    column: int


class Tiled(archive.Archive):
    """Tiles "scene@row,column" side by side; where a scene ends a tile is zero and not valid.

    With `tile` None an example is a whole scene and called like it; only then are headers left
    alone when the archive is opened.

    Attributes:
      tile: side in pixels of the finest sensor, or None.
      resampling: of band files coarser than their sensor's finest.
    """

    def __init__(
        self,
        root: str | Path,
        splits: Mapping[str, Sequence[Scene]],
        *,
        sensors: Sequence[str | bands.Sensor],
        tile: int | None,
        resampling: str = "nearest",
        omitted: Sequence[archive.Omission] = (),
        **given: Any,
    ):
        """Lists the tiles; scenes whose headers cannot be read are omitted.

        Raises:
          UserError: an unknown resampling, a tile that is no positive number, a sensor twice, or
            nothing found.
        """
        if resampling not in geotiff.RESAMPLING:
            raise errors.unknown("resampling", resampling, geotiff.RESAMPLING)
        if tile is not None and (not isinstance(tile, int) or tile < 1):
            raise errors.UserError(f"tile is {tile!r}: give a side in pixels, or none")
        self.tile, self.resampling = tile, resampling
        self._bands = tuple(registry.sensor(sensor) for sensor in sensors)
        names = [sensor.name for sensor in self._bands]
        if twice := {name for name in names if names.count(name) > 1}:
            raise errors.UserError(f"{root}: sensor {min(twice)} is there twice: rename one")
        self._grids: dict[str, scenes.Scene] = {}
        omitted, tiles, known = list(omitted), {}, set()
        for split, listed in splits.items():
            tiles[split] = []
            for scene in listed:
                if scene.name in known:
                    omitted.append(archive.Omission(file=scene.name, reason="the id appears twice"))
                    continue
                known.add(scene.name)
                try:
                    tiles[split].extend(self._cut(scene))
                except errors.UserError as error:
                    omitted.append(archive.Omission(file=scene.name, reason=str(error)))
        super().__init__(root, tiles, sensors=self._bands, omitted=omitted, **given)

    def name(self, item: Tile) -> str:
        whole = item.scene.name
        return whole if self.tile is None else f"{whole}@{item.row},{item.column}"

    def read(self, item: Tile) -> sources.Example:
        """Returns images, valid, location, time, crs and transform of a tile."""
        try:
            grid = self.grid(item.scene)
        except errors.Unreadable:
            raise
        except errors.UserError as error:
            raise errors.Unreadable(str(error)) from error
        size = (self.tile, self.tile) if self.tile else grid.shape
        images, valid = {}, {}
        corner = (item.row, item.column)
        for i, name in enumerate(self.sensors):
            sensor = self.sensor(item.scene, i)
            images[name], valid[name] = window(grid, i, corner, size, sensor, self.resampling)
        crs, transform = grid.geo(item.row, item.column)
        return {
            "images": images,
            "valid": valid,
            "location": geotiff.lonlat(crs, transform, size),
            "time": np.float64(item.scene.time),
            "crs": crs,
            "transform": np.array(transform, np.float64),
        }

    def grid(self, scene: Scene) -> scenes.Scene:
        """Returns the scene's images on their common grid, from the headers.

        Raises:
          UserError: see `geotiff.inspect` and `scenes.align`, or a tile no multiple of a pixel.
        """
        if scene.name in self._grids:
            return self._grids[scene.name]
        images = [self.image(scene, i) for i in range(len(self._bands))]
        grid = scenes.align((scene.name,), images)
        for image, k in zip(images, grid.coarser, strict=True):
            if self.tile and self.tile % k:
                raise errors.UserError(
                    f"{image.where}: its pixels are {k} times those of the finest sensor: a tile "
                    f"of {self.tile} must be a multiple of {k}"
                )
        return grid

    def image(self, scene: Scene, i: int) -> geotiff.Image:
        """Returns image `i` of a scene, from its headers; raises as `geotiff.inspect`."""
        return geotiff.inspect(scene.files[i], self._bands[i])

    def sensor(self, scene: Scene, i: int) -> bands.Sensor:
        """Returns the sensor of image `i` of a scene, whose nodata values count."""
        return self._bands[i]

    def _cut(self, scene: Scene) -> Iterator[Tile]:
        if self.tile is None:
            yield Tile(scene, 0, 0)
            return
        grid = self.grid(scene)
        self._grids[scene.name] = grid
        for row, column in corners(grid.shape, self.tile):
            yield Tile(scene, row, column)


def corners(shape: tuple[int, int], tile: int) -> Iterator[tuple[int, int]]:
    """Yields (row, column) of the first pixel of the tiles that cover an image."""
    for row in range(0, shape[0], tile):
        for column in range(0, shape[1], tile):
            yield row, column


def window(
    grid: scenes.Scene,
    i: int,
    corner: tuple[int, int],
    size: tuple[int, int],
    sensor: bands.Sensor,
    resampling: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (pixels [h, w, C] in the files' dtype, valid [h, w] bool) of image `i` of a scene.

    Args:
      grid: the scene.
      i: position of the image.
      corner, size: (row, column) and (rows, columns) of the window on the scene's grid; what of it
        lies beyond the scene is 0 and not valid.
      sensor: of the image.
      resampling: see `geotiff.read`.

    Raises:
      Unreadable: a truncated or unreadable file.
    """
    k = grid.coarser[i]
    top, left, _, _ = grid.window(i, *corner, k)
    inner = [min(n, whole - at) // k for n, whole, at in zip(size, grid.shape, corner, strict=True)]
    area = (top, left, inner[0], inner[1])
    pixels, valid = geotiff.read(grid.images[i], area, sensor, resampling)
    return padded(pixels, valid, (size[0] // k, size[1] // k))


def padded(
    pixels: np.ndarray, valid: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns pixels [h, w, C] and valid [h, w] made as large as `size`, 0 where not valid."""
    more = [(0, n - found) for n, found in zip(size, valid.shape, strict=True)]
    pixels = np.where(valid[..., None], pixels, pixels.dtype.type(0))
    return np.pad(pixels, [*more, (0, 0)]), np.pad(valid, more)
