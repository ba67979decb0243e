"""A Zarr (v3) cube [y, x, feature] of embeddings, with the coordinates of its cells.

Needs zarr (extra `data`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from smarties.inference import store

CHUNK = 64


def write(
    path: Path,
    values: store.Store,
    *,
    crs: str,
    transform: Sequence[float],
    about: Mapping[str, str],
) -> None:
    """Writes a group with "embedding" [y, x, feature] float32 (NaN: nodata), "y" and "x".

    Args:
      transform: cell to ground, a..f; coordinates are those of the cells' centres.
      about: attributes of the group.
    """
    import zarr

    rows, columns, bands = values.shape
    a, _, c, _, e, f = transform[:6]
    attributes = {**about, "crs": crs, "transform": list(map(float, transform[:6]))}
    group = zarr.open_group(path, mode="w", zarr_format=3, attributes=attributes)
    for name, first, step, count in (("y", f, e, rows), ("x", c, a, columns)):
        axis = group.create_array(
            name, shape=(count,), dtype="float64", dimension_names=(name,), fill_value=np.nan
        )
        axis[:] = first + step * (np.arange(count) + 0.5)
    cube = group.create_array(
        "embedding",
        shape=values.shape,
        chunks=(min(CHUNK, rows), min(CHUNK, columns), bands),
        dtype=values.dtype.name,
        dimension_names=("y", "x", "feature"),
        fill_value=np.nan,
        attributes={"nodata": "NaN"},
    )
    for row in range(0, rows, CHUNK):
        for column in range(0, columns, CHUNK):
            block = values.read(row, column, CHUNK, CHUNK)
            cube[row : row + block.shape[0], column : column + block.shape[1]] = block
