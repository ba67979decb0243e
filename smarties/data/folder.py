"""A folder of co-registered GeoTIFF pairs as a source of tiles."""

import hashlib
import itertools
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from smarties import errors
from smarties.data import checks, geotiff, scenes, sources
from smarties.spectrum import registry


class Folder(sources.Source):
    """Tiles of scenes seen by several sensors.

    Every tile is read once when the folder is opened, to find what is unreadable, of another unit
    or all invalid before training starts; to train, write records (`smarties data prepare`).

    Attributes:
      sensors: names, in the order given.
      definitions: the sensors by name.
      report: counts of scenes, tiles, and of what was left out and why.
    """

    def __init__(
        self,
        root: str | Path,
        sensors: Mapping[str, str],
        *,
        tile: int = 96,
        stride: int | None = None,
        split: Literal["train", "test"] | None = None,
        test_share: float = 0.2,
        test_scenes: Sequence[str] = (),
        seed: int = 0,
        match: Literal["key", "order"] = "key",
        centred: bool = False,
        resampling: str = "bilinear",
    ):
        """Opens a folder.

        Args:
          root: the folder.
          sensors: pattern of the files (see `scenes`) by sensor, a registered name or YAML file.
          tile: side of a tile, in pixels of the finest sensor.
          stride: between tiles; None for tiles side by side.
          split: part of the scenes; None for all. Scenes with the same first wildcard (one place at
            several dates) are never split apart.
          test_share: share of the places held out, drawn by `seed`.
          test_scenes: names of the places or scenes held out instead.
          seed: of the split.
          match: "key" joins images whose wildcards agree; "order" joins the i-th images, by date,
            of those whose first wildcard agrees.
          centred: see `scenes.align`.
          resampling: of band files coarser than the sensor's finest, one of `geotiff.RESAMPLING`.

        Raises:
          UserError: nothing found, unreadable or mismatched files, other units, images smaller than
            a tile, or grids that do not fit.
        """
        self.root = Path(root)
        self.tile, self.stride, self.resampling = int(tile), int(stride or tile), resampling
        self._centred = centred
        _known("split", split, ("train", "test", None))
        _known("way to match", match, ("key", "order"))
        _known("resampling", resampling, geotiff.RESAMPLING)
        if not self.root.is_dir():
            raise errors.UserError(f"no such folder: {self.root}")
        if not sensors:
            raise errors.UserError(f"{self.root}: no sensors: give a file pattern for each")
        known = [registry.sensor(name) for name in sensors]
        self.definitions = {sensor.name: sensor for sensor in known}
        self.sensors = tuple(self.definitions)
        counts = ("scenes", "unmatched", "incomplete", "tiles", "all_invalid", "margin_pixels")
        self.report = dict.fromkeys(counts, 0)
        found = []
        for sensor, pattern in zip(known, sensors.values(), strict=True):
            files, incomplete = scenes.find(self.root, pattern, sensor)
            self.report["incomplete"] += incomplete
            found.append(files)
        joined, self.report["unmatched"] = scenes.match(found, match, self.root)
        chosen = scenes.split(joined, split, test_share, test_scenes, seed)
        self.scenes = tuple(self._open(key, files) for key, files in sorted(chosen.items()))
        self.report["scenes"] = len(self.scenes)
        self._tiles, self._content = self._list()
        self.report["tiles"] = len(self._tiles)
        if not self._tiles:
            raise errors.UserError(
                f"{self.root}: every tile is all invalid: check the nodata value"
            )
        self._locations = self._locate()

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, index: int) -> sources.Example:
        """Returns tile `index`: images, valid masks, an id "scene@row,column", and its location."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number, row, column = self._tiles[index]
        images, valid = self._read(self.scenes[number], row, column)
        example = {"images": images, "valid": valid, "id": self.name(index)}
        if self._locations is not None:
            example["location"] = self._locations[index]
        return example

    def name(self, index: int) -> str:
        """Returns the id of tile `index`."""
        number, row, column = self._tiles[index]
        return f"{self.scenes[number].name}@{row},{column}"

    def scene(self, index: int) -> str:
        """Returns the name of the scene of tile `index`."""
        return self.scenes[self._tiles[index][0]].name

    def geo(self, index: int) -> tuple[str, tuple[float, ...]]:
        """Returns (CRS, affine coefficients a..f) of tile `index` on the finest sensor's grid."""
        number, row, column = self._tiles[index]
        return self.scenes[number].geo(row, column)

    def identity(self) -> dict[str, Any]:
        """Returns the tiling and a digest of the scenes' keys, the tiles and their pixels."""
        digest = hashlib.sha256(self._content)
        digest.update(repr([(scene.key, scene.shape) for scene in self.scenes]).encode())
        digest.update(repr(self._tiles).encode())
        return {
            "kind": "folder",
            "sensors": list(self.sensors),
            "tile": self.tile,
            "stride": self.stride,
            "resampling": self.resampling,
            "count": len(self),
            "digest": digest.hexdigest(),
        }

    def _open(self, key: scenes.Key, files: Sequence[tuple[str, ...]]) -> scenes.Scene:
        known = self.definitions.values()
        images = [geotiff.inspect(f, sensor) for f, sensor in zip(files, known, strict=True)]
        scene = scenes.align(key, images, centred=self._centred)
        for k in scene.coarser:
            if self.tile % k or self.stride % k:
                raise errors.UserError(
                    f"{scene.images[scene.coarser.index(k)].where}: its pixels are {k} times those "
                    f"of the finest sensor: tile {self.tile} and stride {self.stride} must be "
                    f"multiples of {k}"
                )
        if min(scene.shape) < self.tile:
            smallest = min(images, key=lambda image: min(image.shape))
            raise errors.UserError(
                f"{smallest.where}: the scene is {scene.shape[0]}x{scene.shape[1]} pixels, smaller "
                f"than a tile of {self.tile}: use smaller tiles"
            )
        return scene

    def _list(self) -> tuple[tuple[tuple[int, int, int], ...], bytes]:
        """Returns (scene, row, column) of tiles with something valid from each sensor, a digest."""
        tiles, content = [], hashlib.sha256()
        for number, scene in enumerate(self.scenes):
            unchecked = set(self.sensors)
            rows, columns = (range(0, n - self.tile + 1, self.stride) for n in scene.shape)
            covered = (rows[-1] + self.tile) * (columns[-1] + self.tile)
            self.report["margin_pixels"] += math.prod(scene.shape) - covered
            for row, column in itertools.product(rows, columns):
                images, valid = self._read(scene, row, column, unchecked)
                if not all(mask.any() for mask in valid.values()):
                    self.report["all_invalid"] += 1
                    continue
                tiles.append((number, row, column))
                for array in (*images.values(), *valid.values()):
                    content.update(zlib.crc32(array).to_bytes(4))
        return tuple(tiles), content.digest()

    def _read(self, scene: scenes.Scene, row: int, column: int, unchecked: set[str] | None = None):
        """Returns images and valid masks by sensor; checks the units of the `unchecked` sensors."""
        images, valid = {}, {}
        for i, (name, sensor) in enumerate(self.definitions.items()):
            image = scene.images[i]
            window = scene.window(i, row, column, self.tile)
            pixels, valid[name] = geotiff.read(image, window, sensor, self.resampling)
            if unchecked and name in unchecked and valid[name].any():
                checks.check_image(pixels, valid[name], sensor, image.where)
                unchecked.discard(name)
            images[name] = geotiff.cast(pixels, valid[name], sensor, image.where)
        return images, valid

    def _locate(self) -> np.ndarray | None:
        """Returns longitude and latitude of the tiles' centres, [n, 2]; None without any CRS."""
        if not all(scene.images[scene.finest].crs for scene in self.scenes):
            return None
        from rasterio import warp

        places = []
        for index in range(len(self)):
            crs, (a, b, c, d, e, f) = self.geo(index)
            half = self.tile / 2
            x, y = c + (a + b) * half, f + (d + e) * half
            (lon,), (lat,) = warp.transform(crs, "EPSG:4326", [x], [y])[:2]
            places.append((lon, lat))
        return np.asarray(places, np.float32)


def _known(what: str, name: Any, choices: Sequence[Any]) -> None:
    if name not in choices:
        raise errors.unknown(what, name, [str(choice) for choice in choices])
