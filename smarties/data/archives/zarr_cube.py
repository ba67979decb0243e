"""Zarr cubes on disk, format 2 or 3: one sensor over ground and perhaps time, cut into tiles."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.data import geotiff, sources
from smarties.data.archives import archive, tiling, zarr_variables
from smarties.spectrum import bands, registry


@dataclasses.dataclass(frozen=True)
class _Cube:
    """What is known of a cube without its pixels; `times` is () without that dimension."""

    name: str
    path: str
    grid: zarr_variables.Grid
    order: tuple[int, ...]
    times: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class _Tile:
    cube: _Cube
    time: int | None
    row: int
    column: int


class ZarrCube(archive.Archive):
    """Tiles "cube@row,column", or of cubes over time "cube/0003@row,column"."""

    CARD = archive.Card(
        title="Zarr cubes",
        task="none",
        units="of the sensor named; a scale_factor or add_offset that says otherwise is refused",
        citation="Zarr storage specification 2 and 3; CF conventions for coordinates",
        licence="your own",
        size="any",
        url="https://zarr.dev",
        layout="""any/depth/name.zarr, a group with
  one variable (band, y, x) or (time, band, y, x), or for each band one (y, x) or (time, y, x)
  coordinates band, y, x, time by the dimensions' names
  attributes _FillValue or nodata, and the CRS: crs, proj:code, spatial_ref or a grid mapping""",
        tested="cubes written of real data",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        sensor: str | bands.Sensor,
        variable: str | Sequence[str],
        pattern: str = "**/*.zarr",
        tile: int | None = None,
        dims: Sequence[str] | None = None,
        crs: str = "",
    ):
        """Reads metadata and coordinates of the cubes.

        Args:
          root: a folder of cubes, or one cube.
          sensor: a registered one or a YAML file; bands are joined by the band coordinate's names,
            or taken in order where there is none.
          variable: name of an array with all bands, or one for each band in the sensor's order.
          pattern: of the cubes below the root.
          tile: side in pixels; None for the whole ground.
          dims: names of the dimensions where the array has none.
          crs: of cubes that do not tell theirs.

        Raises:
          UserError: zarr is missing, a pattern that leaves the root, or no cube.
        """
        folder, known = Path(root), registry.sensor(sensor)
        if tile is not None and (not isinstance(tile, int) or tile < 1):
            raise errors.UserError(f"tile is {tile!r}: give a side in pixels, or none")
        archive.inside(folder, pattern)
        self.tile, self._dims, self._crs = tile, tuple(dims or ()), crs
        self._variables = (variable,) if isinstance(variable, str) else tuple(variable)
        if len(self._variables) not in (1, len(known.bands)):
            raise errors.UserError(
                f"{len(self._variables)} variables for the {len(known.bands)} bands of {known.name}"
            )
        items, omitted = [], []
        cubes = sorted(folder.glob(pattern))
        for path in [folder] if zarr_variables.is_group(folder) else cubes:
            name = path.relative_to(folder).as_posix().removesuffix(".zarr")
            try:
                cube = self._open(path, path.stem if path == folder else name, known)
            except errors.UserError as error:
                omitted.append(archive.Omission(file=str(path), reason=str(error)))
            else:
                items.extend(self._cut(cube))
        super().__init__(
            root,
            {"all": items},
            sensors=[known],
            omitted=omitted,
            options={
                "sensor": known.name, "variable": list(self._variables), "pattern": pattern,
                "tile": tile, "dims": list(self._dims), "crs": crs,
            },
        )  # fmt: skip

    def name(self, item: _Tile) -> str:
        whole = item.cube.name if item.time is None else f"{item.cube.name}/{item.time:04d}"
        return whole if self.tile is None else f"{whole}@{item.row},{item.column}"

    def read(self, item: _Tile) -> sources.Example:
        """Returns a tile of a cube at one time, see `Archive.read`."""
        cube, (sensor,) = item.cube, self.definitions.values()
        size = (self.tile, self.tile) if self.tile else cube.grid.shape
        ends = (min(item.row + size[0], cube.grid.shape[0]), item.column + size[1])
        area = {
            "y": slice(item.row, ends[0]),
            "x": slice(item.column, min(ends[1], cube.grid.shape[1])),
            "time": item.time,
        }
        parts = [
            zarr_variables.open_variable(cube.path, name, self._dims).read(area)
            for name in self._variables
        ]
        pixels = np.concatenate([part for part, _ in parts], axis=-1)[..., list(cube.order)]
        empty = np.concatenate([blank for _, blank in parts], axis=-1)[..., list(cube.order)]
        for i, band in enumerate(sensor.bands):
            if band.nodata is not None:
                empty[..., i] |= pixels[..., i] == band.nodata
        pixels, valid = tiling.padded(pixels, np.asarray(~empty.any(axis=-1)), size)
        a, b, c, d, e, f = cube.grid.transform
        place = (a, b, c + a * item.column + b * item.row, d, e, f + d * item.column + e * item.row)
        return {
            "images": {sensor.name: pixels},
            "valid": {sensor.name: valid},
            "location": geotiff.lonlat(cube.grid.crs, place, size),
            "time": np.float64(np.nan if item.time is None else cube.times[item.time]),
            "crs": cube.grid.crs,
            "transform": np.array(place, np.float64),
        }

    def _open(self, path: Path, name: str, sensor: bands.Sensor) -> _Cube:
        found = [
            zarr_variables.open_variable(str(path), variable, self._dims)
            for variable in self._variables
        ]
        first = found[0]
        for variable in found:
            variable.check_numbers(sensor)
            if (variable.shape, variable.dtype) != (first.shape, first.dtype):
                raise errors.UserError(
                    f"{variable.where}: {variable.shape} {variable.dtype}, but {first.where} is "
                    f"{first.shape} {first.dtype}: the bands of one cube are alike"
                )
        order = tuple(range(len(sensor.bands)))
        if len(found) == 1:
            order = _order(first.band_names(), first.size("band"), sensor, first.where)
        elif "band" in first.dims:
            raise errors.UserError(f"{first.where}: has bands, but is one of several variables")
        return _Cube(name, str(path), first.grid(self._crs), order, first.times())

    def _cut(self, cube: _Cube) -> Iterator[_Tile]:
        for time in range(len(cube.times)) if cube.times else [None]:
            side = self.tile or max(cube.grid.shape)
            for row, column in tiling.corners(cube.grid.shape, side):
                yield _Tile(cube, time, row, column)


def _order(names: tuple[str, ...], count: int, sensor: bands.Sensor, where: str) -> tuple[int, ...]:
    """Returns the position of each of the sensor's bands in the cube."""
    plain = [geotiff.plain(name) for name in names]
    if not names:
        if count != len(sensor.bands):
            raise errors.UserError(
                f"{where}: {count} bands without names, but {sensor.name} has {len(sensor.bands)}: "
                f"{', '.join(sensor.names)}"
            )
        return tuple(range(count))
    lacking = [band for band in sensor.names if plain.count(geotiff.plain(band)) != 1]
    if lacking:
        raise errors.UserError(
            f"{where}: its bands are {', '.join(names)}: {sensor.name} needs {', '.join(lacking)} "
            "just once"
        )
    return tuple(plain.index(geotiff.plain(band)) for band in sensor.names)
