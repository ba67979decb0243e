"""`smarties explain --rasters`: maps of suitability and of its reasons, and a picture of each."""

import argparse
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.cli import scene
from smarties.figures import curves, suitability
from smarties.inference import explaining, places, predictor_rasters, species_games, species_maps

PIXELS = 400  # of the longer side of a picture


def write(arguments: argparse.Namespace, model: Any, how: explaining.How) -> None:
    """Writes a folder: suitability.tif, and for each species shapley-NAME.tif and map-NAME.svg.

    Raises:
      UserError: see `species_maps.write`; points that are no numbers, or none inside.
    """
    chosen, players = species_games.chosen(model, arguments.species), how.players(model)
    if not arguments.suitability_only and len(players.names) > explaining.EXACT:
        raise errors.UserError(
            f"maps of {len(players.names)} players: at most {explaining.EXACT}, so explain --by "
            "groups, or ask for --suitability_only"
        )
    grid = predictor_rasters.grid(
        arguments.rasters, model.predictors, arguments.missing_ok, levels=model.levels
    )
    points = _points(arguments.points, grid) if arguments.points else {}
    out = Path(arguments.out)
    names = [str(model.species[i]) for i in chosen]
    stems = [re.sub(r"[^\w.-]+", "_", name) for name in names]
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}.") as part:
        folder = Path(part) / "done"
        folder.mkdir()
        why = [] if arguments.suitability_only else [folder / f"shapley-{s}.tif" for s in stems]
        with scene.progress() as report:
            species_maps.write(
                model, grid, chosen, folder / "suitability.tif", why, players=players,
                rows=arguments.rows, progress=report,
            )  # fmt: skip
        for k, (name, stem) in enumerate(zip(names, stems, strict=True)):
            layers = _small(why[k]) if why else np.zeros((0, 1, 1))
            seen = points.get(name, points.get(""))
            picture = suitability.maps(
                players.names if why else (), layers, _small(folder / "suitability.tif", k + 1)[0],
                grid.extent, seen, said=name,
            )  # fmt: skip
            (folder / f"map-{stem}.svg").write_bytes(curves.svg(picture))
        try:
            os.replace(folder, out)
        except OSError as error:
            raise errors.UserError(f"{out} cannot be written ({error.strerror})") from error
    print(f"{out}: maps of {', '.join(names)} on {grid.shape[0]} x {grid.shape[1]} pixels")


def _small(path: Path, band: int | None = None) -> np.ndarray:
    """Returns [bands, h, w] of a map, of its overviews where it is large."""
    import rasterio

    with rasterio.open(path) as data:
        shrink = max(1, max(data.shape) / PIXELS)
        size = [max(1, round(n / shrink)) for n in data.shape]
        bands = list(data.indexes) if band is None else [band]
        return data.read(bands, out_shape=(len(bands), *size))


def _points(path: str, grid: predictor_rasters.Grid) -> dict[str, np.ndarray]:
    """Returns x and y [n, 2] in the grid's CRS of each species' points, "" where none is named.

    The table has the columns longitude and latitude, in degrees, and may have species.
    """
    from rasterio import warp

    table = places.table(path)
    where = places.numbers(table, ("longitude", "latitude"), path)
    if not grid.crs:
        raise errors.UserError(f"--points {path}: the rasters have no CRS to draw them in")
    xy = np.array(warp.transform("EPSG:4326", grid.crs, *where.astype(float).T)[:2])
    ends = np.sort(np.reshape(grid.extent, (2, 2)), 1)
    inside = ((xy > ends[:, :1]) & (xy < ends[:, 1:])).all(0)
    if not inside.any():
        raise errors.UserError(
            f"--points {path}: none of {len(where)} lies inside the rasters; longitude and "
            "latitude must be in degrees"
        )
    if not inside.all():
        print(f"{path}: {int((~inside).sum())} of {len(where)} points lie outside the rasters")
    kinds = np.array([""] * len(where))
    if "species" in table.column_names:
        kinds = np.array([str(s) for s in table["species"].to_pylist()])
    return {str(kind): xy.T[inside & (kinds == kind)] for kind in np.unique(kinds)}
