"""Major TOM Core: Sentinel-2 cells of 10.68 km, whole or in tiles, with their cloud masks."""

from pathlib import Path
from typing import Literal

import numpy as np

from smarties import errors
from smarties.data import geotiff, sources, times
from smarties.data.archives import archive, baseline, ground
from smarties.spectrum import registry

FOLDERS = {"sentinel2-l2a": "S2L2A", "sentinel2-l1c": "S2L1C"}
CELL = 1068  # pixels of 10 m
_STEP = 6  # pixels of 10 m that one of 60 m spans
Item = tuple[str, int, int]  # folder of the product, row and column of the tile


class MajorTom(archive.Archive):
    """One example per cell, or per tile of one.

    Examples have "map", uint8 [H, W], the publisher's cloud mask as stored (0 is clear), and
    `ground.UNLABELLED` beyond the cell. Clouds are measurements: they stay valid by default.
    """

    CARD = archive.Card(
        title="Major TOM Core, 2.2 million cells of 1068x1068 pixels (10 m)",
        task="pretraining",
        units="sentinel2-l2a or sentinel2-l1c: uint16, reflectance = DN * 1e-4; 1000 is "
        "subtracted where the product names processing baseline 04.00 or later. N9999 names none: "
        "products sensed before 2022-01-25 have no offset (seen in a real cell), for later ones "
        "give option `baseline`",
        citation="Francis and Czerkawski, Major TOM: expandable datasets for Earth observation, "
        "IGARSS 2024",
        licence="CC-BY-SA-4.0; contains modified Copernicus Sentinel data",
        size="about 23 TB of L2A",
        url="https://huggingface.co/Major-TOM",
        layout="S2L2A/<row>/<row>_<column>/<product>/{B01..B12,B8A,cloud_mask}.tif",
        tested="real files",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        sensor: str = "sentinel2-l2a",
        tile: int | None = None,
        clouds: Literal["valid", "invalid"] = "valid",
        baseline: float | None = None,
    ):
        """Lists the cells.

        Args:
          root: the folder of S2L2A or S2L1C, or the one above it.
          sensor: of `FOLDERS`.
          tile: side of the tiles, pixels; the last of a row or column are partly invalid. None
            for whole cells.
          clouds: whether pixels that the cloud mask marks, with whatever number, are valid.
          baseline: processing baseline of products that name none, see the card.

        Raises:
          UserError: an unknown sensor or option, or no cell.
        """
        root, self.tile, self.clouds, self.baseline = Path(root), tile, clouds, baseline
        if sensor not in FOLDERS:
            raise errors.unknown("sensor of Major TOM", sensor, FOLDERS)
        if clouds not in ("valid", "invalid"):
            raise errors.unknown("option for clouds", clouds, ("valid", "invalid"))
        inner = root / "Major-TOM-Core"
        self.base = (inner if inner.is_dir() else root) / FOLDERS[sensor]
        starts = range(0, CELL, tile) if tile else (0,)
        items = [
            (product.relative_to(self.base).as_posix(), row, column)
            for product in sorted(self.base.glob("*/*/*"))
            if product.is_dir()
            for row in starts
            for column in starts
        ]
        super().__init__(
            root,
            {"all": items},
            sensors=(sensor,),
            options={"sensor": sensor, "tile": tile, "clouds": clouds, "baseline": baseline},
        )

    def name(self, item: Item) -> str:
        cell = item[0].split("/")[1]
        return f"{cell}@{item[1]},{item[2]}" if self.tile else cell

    def read(self, item: Item) -> sources.Example:
        (name,) = self.sensors
        sensor, product = self.definitions[name], item[0].rpartition("/")[2]
        raster = self._tile(item, tuple(f"{band}.tif" for band in sensor.names), name)
        mask = self._tile(item, ("cloud_mask.tif",), "cloud")
        example = ground.example({name: raster}, self.sensors)
        when = times.found(product)
        known = self.baseline
        if known is None and when < times.found("20220125T000000"):
            known = 0.0
        number = baseline.settle(product, known, str(self.base / item[0]))
        image = baseline.harmonise(raster.pixels, raster.valid, number)
        if self.clouds == "invalid":
            valid = raster.valid & mask.valid & (mask.pixels[..., 0] == 0)
            image = np.where(valid[..., None], image, image.dtype.type(0))
            example["valid"][name] = valid
        clouds = np.where(mask.valid, mask.pixels[..., 0], ground.UNLABELLED).astype(np.uint8)
        return {**example, "images": {name: image}, "map": clouds, "time": np.float64(when)}

    def _tile(self, item: Item, names: tuple[str, ...], sensor: str) -> geotiff.Raster:
        """Returns the tile of files of a product; read so that coarse pixels are not cut."""
        folder, row, column = item
        read_as = ground.plane(sensor) if sensor == "cloud" else registry.sensor(sensor)
        files = tuple(str(archive.inside(self.base, f"{folder}/{name}")) for name in names)
        image = ground.inspect(files, read_as)
        if image.shape != (CELL, CELL):
            raise errors.Unreadable(
                f"{image.where}: {image.shape[0]}x{image.shape[1]} pixels, a cell has {CELL}x{CELL}"
            )
        size = self.tile or CELL
        top, left = row // _STEP * _STEP, column // _STEP * _STEP
        bottom, right = (min(-(-(s + size) // _STEP) * _STEP, CELL) for s in (row, column))
        part = ground.window(image, read_as, (top, left, bottom - top, right - left))
        return ground.cut(part, row - top, column - left, size)
