"""What an archive knows of its vectors: GeoParquet with a row for each. Needs pyarrow.

Columns: id, geometry, lon, lat, time, sensor, labels, model (checkpoint), scene, key, picture.
[GeoParquet 1.1.0]
"""

import contextlib
import datetime
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.inference import chips
from smarties.inference.index import items

Table = Any  # a pyarrow.Table
GROUP = 256  # rows that are read to get one picture


def schema() -> Any:
    """Returns the columns and their types."""
    import pyarrow as pa

    return pa.schema(
        {
            "id": pa.string(),
            "geometry": pa.binary(),
            "lon": pa.float64(),
            "lat": pa.float64(),
            "time": pa.timestamp("ms", "UTC"),
            "sensor": pa.string(),
            "labels": pa.list_(pa.string()),
            "model": pa.string(),
            "scene": pa.string(),
            "key": pa.string(),
            "picture": pa.binary(),
        }
    )


def table(found: Sequence[items.Item], pictures: Sequence[bytes], sensor: str, made: str) -> Table:
    """Returns the rows of images.

    Args:
      found: the images.
      pictures: of each, a JPEG.
      sensor: name.
      made: digest of the model.
    """
    import pyarrow as pa

    count = len(found)
    lon, lat = np.array([item.place for item in found], float).reshape(count, 2).T
    return pa.table(
        {
            "id": [item.id for item in found],
            "geometry": [item.geometry for item in found],
            "lon": pa.array(lon, from_pandas=True),
            "lat": pa.array(lat, from_pandas=True),
            "time": [moment(item.time) for item in found],
            "sensor": [sensor] * count,
            "labels": [list(item.labels) for item in found],
            "model": [made] * count,
            "scene": [item.scene for item in found],
            "key": [item.key for item in found],
            "picture": list(pictures),
        },
        schema=schema(),
    )


def moment(seconds: float) -> datetime.datetime | None:
    """Returns a time of seconds since 1970 UTC; None for NaN."""
    if not np.isfinite(seconds):
        return None
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return epoch + datetime.timedelta(seconds=float(seconds))


def write(path: Path, content: Table) -> None:
    """Writes rows, with more columns or fewer, as GeoParquet."""
    from pyarrow import parquet

    lon, lat = (content[name].drop_null().to_numpy() for name in ("lon", "lat"))
    bounds = [lon.min(), lat.min(), lon.max(), lat.max()] if len(lon) else []
    kinds = sorted({_kind(shape) for shape in content["geometry"].drop_null().to_pylist()})
    about = {"geo": json.dumps(chips.geo([float(x) for x in bounds], kinds))}
    parquet.write_table(
        content.replace_schema_metadata(about), path, compression="zstd", row_group_size=GROUP,
        write_page_checksum=True,
    )  # fmt: skip


def _kind(wkb: bytes) -> str:
    return {1: "Point", 3: "Polygon"}[wkb[1]]


def read(path: Path, columns: Sequence[str] | None = None) -> Table:
    """Returns the rows of a file, or some columns of them.

    Raises:
      UserError: a corrupt file.
    """
    with _opened(path) as file:
        return file.read(None if columns is None else list(columns))


def take(path: Path, numbers: Sequence[int]) -> Table:
    """Returns some rows of a file in this order; only groups that hold them are read.

    Raises:
      UserError: a corrupt file.
    """
    import pyarrow as pa

    with _opened(path) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        first = np.concatenate([[0], np.cumsum(sizes)])
        group = np.searchsorted(first, numbers, "right") - 1
        parts = {g: file.read_row_group(g) for g in sorted({*group.tolist()})}
    found = [
        parts[g].slice(n - int(first[g]), 1) for n, g in zip(numbers, group.tolist(), strict=True)
    ]
    return pa.concat_tables(found)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise errors.UserError(
            f"{path}: corrupt ({' '.join(str(error).split())[:80]}): copy it again, or leave its "
            "shard out with `smarties index --repair`"
        ) from error
