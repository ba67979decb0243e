"""GeoParquet of what chips became: a row with outline, time, model and vector for each.

Needs pyarrow (extra `data`) and rasterio. [GeoParquet 1.1.0]
"""

import datetime
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.inference import store

WGS84 = "EPSG:4326"


def write(
    path: Path,
    values: store.Store,
    *,
    crs: str,
    transform: Sequence[float],
    shape: tuple[int, int],
    cell: int,
    model: str,
    scene: str,
    time: datetime.datetime | None,
) -> int:
    """Returns the number of rows written: one for each chip with a valid pixel.

    Args:
      values: [rows, columns, D] of chips, NaN where there is none.
      crs, transform: of the scene's pixels.
      shape: rows and columns of the scene; chips at its ends are outlined as far as it reaches.
      cell: pixels of a chip's side.
      model, scene, time: the same in all rows.

    Raises:
      UserError: without pyarrow, or ground that has no longitude and latitude.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        {
            "geometry": pa.binary(),
            "time": pa.timestamp("ms", "UTC"),
            "model": pa.string(),
            "scene": pa.string(),
            "row": pa.int32(),
            "column": pa.int32(),
            "vector": pa.list_(pa.float32(), values.shape[2]),
        }
    )
    count, bounds = 0, np.array([np.inf, np.inf, -np.inf, -np.inf])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for row in range(values.shape[0]):
            vectors = values.read(row, 0, 1, values.shape[1])[0]
            columns = np.flatnonzero(np.isfinite(vectors).all(1))
            if not len(columns):
                continue
            rings = outlines(crs, transform, shape, cell, row, columns)
            bounds[:2] = np.minimum(bounds[:2], rings.min((0, 1)))
            bounds[2:] = np.maximum(bounds[2:], rings.max((0, 1)))
            flat = pa.array(vectors[columns].ravel(), pa.float32())
            table = {
                "geometry": [polygon(ring) for ring in rings],
                "time": [time] * len(columns),
                "model": [model] * len(columns),
                "scene": [scene] * len(columns),
                "row": [row * cell] * len(columns),
                "column": columns * cell,
                "vector": pa.FixedSizeListArray.from_arrays(flat, values.shape[2]),
            }
            writer.write_table(pa.table(table, schema=schema))
            count += len(columns)
        writer.add_key_value_metadata({"geo": json.dumps(geo(bounds.tolist()))})
    return count


def outlines(
    crs: str,
    transform: Sequence[float],
    shape: tuple[int, int],
    cell: int,
    row: int,
    columns: np.ndarray,
) -> np.ndarray:
    """Returns counter-clockwise closed rings [n, 5, 2] of chips, longitude and latitude."""
    from rasterio import warp

    a, _, c, _, e, f = transform[:6]
    top, bottom = row * cell, min((row + 1) * cell, shape[0])
    left, right = columns * cell, np.minimum((columns + 1) * cell, shape[1])
    x = c + a * np.stack([left, right, right, left, left], 1)
    y = f + e * np.array([bottom, bottom, top, top, bottom])[None].repeat(len(columns), 0)
    lon, lat = warp.transform(crs, WGS84, x.ravel().tolist(), y.ravel().tolist())[:2]
    rings = np.stack([lon, lat], -1).reshape(-1, 5, 2)
    if not (np.isfinite(rings).all() and np.abs(rings[..., 1]).max() <= 90):
        raise errors.UserError(f"{crs} has no longitude and latitude for the chips of row {top}")
    if np.ptp(rings[..., 0]) > 180:
        rings[..., 0] %= 360  # across the 180th meridian: one polygon, longitudes beyond 180
    return rings


def polygon(ring: np.ndarray) -> bytes:
    """Returns a ring [n, 2] as WKB, little-endian."""
    return struct.pack("<BIII", 1, 3, 1, len(ring)) + np.asarray(ring, "<f8").tobytes()


def point(lon: float, lat: float) -> bytes:
    """Returns a place as WKB, little-endian."""
    return struct.pack("<BIdd", 1, 1, lon, lat)


def geo(bounds: Sequence[float], kinds: Sequence[str] = ("Polygon",)) -> dict:
    """Returns what GeoParquet keeps of the column "geometry": WKB in longitude and latitude.

    Args:
      bounds: west, south, east, north; () where nothing has a place.
      kinds: of geometries.
    """
    column = {
        "encoding": "WKB",
        "geometry_types": list(kinds),
        "orientation": "counterclockwise",
        "edges": "planar",
    }  # the CRS is longitude and latitude unless said otherwise
    if bounds:
        column["bbox"] = list(bounds)
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
