"""Cloud-optimised GeoTIFF of what a scene became: embeddings, class maps, probabilities.

Needs rasterio (extra `geo`).
"""

import colorsys
import dataclasses
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax import saxutils

import numpy as np

from smarties.inference import store

CACHE = 16_000_000  # bytes of blocks GDAL may keep while it writes; by itself 5 % of all memory
INT8_NODATA = -128


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """What a file says about itself.

    Attributes:
      crs: as WKT or authority code, "" where there is none.
      transform: cell to ground, a..f.
      nodata: the number of cells without data.
      names: of the bands, () for numbers.
      tags: of the file.
      resampling: of the overviews.
      block: side of the tiles.
      colours: {value: (r, g, b, a)} of a map, or None.
    """

    crs: str
    transform: Sequence[float]
    nodata: float
    names: Sequence[str] = ()
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    resampling: str = "average"
    block: int = 128
    colours: Mapping[int, tuple[int, int, int, int]] | None = None


def write(
    path: Path,
    values: store.Store,
    about: Description,
    *,
    dtype: str | None = None,
    encode: Callable[[np.ndarray], np.ndarray] = lambda block: block,
    scales: Sequence[float] = (),
) -> None:
    """Writes a COG with overviews; beside it a tiled GeoTIFF stands while it is made.

    Args:
      path: replaced; it does not matter what an interrupted call leaves there.
      values: [rows, columns, bands].
      dtype, encode: of the numbers written, of the values by default.
      scales: of the bands, where what is written times scale is the value.
    """
    import rasterio
    from rasterio import errors as failures
    from rasterio import shutil, windows  # type: ignore

    rows, columns, bands = values.shape
    tiled, step = path.with_suffix(".tiled.tif"), 64  # by bands: GDAL makes overviews band by band
    georeferenced: dict[str, Any] = {"crs": about.crs} if about.crs else {}
    with rasterio.Env(GDAL_CACHEMAX=CACHE), warnings.catch_warnings():
        warnings.simplefilter("ignore", failures.NotGeoreferencedWarning)
        with rasterio.open(
            tiled, "w", driver="GTiff", height=rows, width=columns, count=bands,
            dtype=dtype or values.dtype.name, nodata=about.nodata, tiled=True, blockxsize=step,
            blockysize=step, interleave="band", bigtiff="if_safer",
            transform=rasterio.Affine(*about.transform), **georeferenced,
        ) as data:  # fmt: skip
            for row in range(0, rows, step):
                for column in range(0, columns, step):
                    block = encode(values.read(row, column, step, step))
                    area = windows.Window(column, row, *block.shape[1::-1])  # type: ignore
                    data.write(np.moveaxis(block, -1, 0), window=area)
            if about.names:
                data.descriptions = tuple(about.names)
            if len(scales):
                data.scales = tuple(map(float, scales))
            if about.colours:
                data.write_colormap(1, dict(about.colours))
            data.update_tags(**about.tags)
        path.unlink(missing_ok=True)
        shutil.copy(
            tiled, path, driver="COG", compress="DEFLATE", level=6, blocksize=about.block,
            predictor="YES", overview_resampling=about.resampling, bigtiff="IF_SAFER",
        )  # fmt: skip
    tiled.unlink()


def quantised(values: store.Store) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Returns (scales [bands], encode) to int8: value = stored * scale, at most half a scale off.

    The scale of a band is its largest magnitude over the whole scene / 127.
    """
    rows, columns, bands = values.shape
    largest = np.zeros(bands, np.float32)
    for row in range(0, rows, 64):
        for column in range(0, columns, 64):
            block = values.read(row, column, 64, 64).reshape(-1, bands)
            block = block[np.isfinite(block).all(1)]
            largest = np.maximum(largest, np.abs(block).max(0, initial=0))
    scales = np.where(largest > 0, largest / 127, 1.0).astype(np.float32)

    def encode(block: np.ndarray) -> np.ndarray:
        known = np.isfinite(block)
        whole = np.rint(np.where(known, block, 0) / scales).clip(-127, 127)
        return np.where(known, whole, INT8_NODATA).astype(np.int8)

    return scales, encode


def colours(count: int) -> dict[int, tuple[int, int, int, int]]:
    """Returns a colour (r, g, b, a) for each of so many classes, neighbours far apart in hue."""
    made = {}
    for i in range(count):
        r, g, b = colorsys.hsv_to_rgb(
            (i * 0.618034) % 1.0, (0.75, 0.5)[i // 8 % 2], 0.9 - i % 3 * 0.15
        )
        made[i] = (round(255 * r), round(255 * g), round(255 * b), 255)
    return made


def beside(path: Path) -> Path:
    """Returns where GDAL looks for what a file itself cannot hold."""
    return path.with_name(f"{path.name}.aux.xml")


def attribute_table(classes: Sequence[str]) -> str:
    """Returns the .aux.xml of a class map: GDAL and QGIS read the names of classes from there."""
    palette = colours(len(classes))
    fields = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
    heads = "".join(
        f'<FieldDefn index="{i}"><Name>{name}</Name><Type>{kind}</Type><Usage>{use}</Usage>'
        "</FieldDefn>"
        for i, (name, kind, use) in enumerate(fields)
    )
    names = [saxutils.escape(name) for name in classes]
    rows = "".join(
        f'<Row index="{i}"><F>{i}</F><F>{name}</F>'
        + "".join(f"<F>{part}</F>" for part in palette[i][:3])
        + "</Row>"
        for i, name in enumerate(names)
    )
    listed = "".join(f"<Category>{name}</Category>" for name in names)
    return (
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{listed}</CategoryNames>'
        f'<GDALRasterAttributeTable tableType="thematic">{heads}{rows}'
        "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>\n"
    )


def dequantisation(scales: np.ndarray) -> dict[str, str]:
    """Returns the tags of an int8 embedding."""
    return {
        "DEQUANTISATION": "value = stored * SCALES[band], the scale of each band; stored "
        f"{INT8_NODATA} is nodata",
        "SCALES": json.dumps([float(f"{scale:.9g}") for scale in scales]),
    }
