"""One array of a Zarr group with its coordinates: numbers, blanks, grid and times.

Needs zarr, imported when a group is opened.
"""

import base64
import contextlib
import dataclasses
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import geotiff, times
from smarties.spectrum import bands

_NAMES = {
    "time": "time", "t": "time", "band": "band", "bands": "band", "channel": "band",
    "y": "y", "lat": "y", "latitude": "y", "x": "x", "lon": "x", "longitude": "x",
}  # fmt: skip
_SECONDS = {
    "day": 86_400.0, "hour": 3_600.0, "minute": 60.0, "second": 1.0,
    "millisecond": 1e-3, "microsecond": 1e-6, "nanosecond": 1e-9,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where the pixels lie: (rows, columns), affine coefficients a..f, and CRS or ""."""

    shape: tuple[int, int]
    transform: tuple[float, ...]
    crs: str


@dataclasses.dataclass(frozen=True)
class Variable:
    """An array of a group.

    Attributes:
      where: path and name.
      dims: meaning of each dimension, of "time", "band", "y", "x".
      given: their names in the group.
    """

    where: str
    dims: tuple[str, ...]
    given: tuple[str, ...]
    _group: Any
    _array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._array.shape)

    @property
    def dtype(self) -> np.dtype:
        return _unsigned(np.dtype(self._array.dtype), self._array.attrs)

    def size(self, dim: str) -> int:
        """Returns the number of entries of a dimension, 1 without it."""
        return self.shape[self.dims.index(dim)] if dim in self.dims else 1

    def read(self, area: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Returns (pixels [h, w, C] as stored, blank [h, w, C] bool) at the slices of `area`.

        Blank is what equals the fill value or is not finite.

        Raises:
          Unreadable: a truncated chunk.
        """
        with _unreadable(self.where):
            stored = np.asarray(self._array[tuple(area.get(d, slice(None)) for d in self.dims)])
        pixels = stored.view(self.dtype)
        blank = ~np.isfinite(pixels)
        for value in self._fills():
            blank |= (stored == value) | (pixels == value)
        left = [dim for dim in self.dims if dim != "time"]
        if "band" not in left:
            pixels, blank, left = pixels[None], blank[None], ["band", *left]
        axes = [left.index(dim) for dim in ("y", "x", "band")]
        return np.transpose(pixels, axes), np.transpose(blank, axes)

    def check_numbers(self, sensor: bands.Sensor) -> None:
        """Raises `UserError` where scale_factor or add_offset are not those of the sensor."""
        for key, own in (("scale_factor", "scale"), ("add_offset", "offset")):
            told, band = self._array.attrs.get(key), sensor.bands[0]
            if told is not None and not np.isclose(float(told), getattr(band, own), rtol=1e-6):
                raise errors.UserError(
                    f"{self.where}: {key} is {told}, but {own} is {getattr(band, own):g} in "
                    f"{sensor.name}: use a sensor file of this {own}"
                )

    def band_names(self) -> tuple[str, ...]:
        """Returns the names of the bands; () without a coordinate of text."""
        values = self._coordinate("band")
        if values is None or values.dtype.kind not in "OUST":
            return ()
        return tuple(v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist())

    def grid(self, crs: str) -> Grid:
        """Returns the grid that the coordinates of pixel centres tell; pixels of 1 without them.

        Raises:
          UserError: coordinates that are not evenly spaced, or an unknown CRS.
        """
        shape = (self.size("y"), self.size("x"))
        rows, columns = self._coordinate("y"), self._coordinate("x")
        if rows is None or columns is None:
            return Grid(shape, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "")
        steps = {}
        for dim, centres in (("y", rows), ("x", columns)):
            values = centres.astype(np.float64)
            step = (values[-1] - values[0]) / (len(values) - 1) if len(values) > 1 else np.nan
            uneven = np.abs(np.diff(values) - step) > 0.01 * abs(step)
            if not step or not np.isfinite(step) or uneven.any():
                raise errors.UserError(f"{self.where}: coordinate {dim} is not evenly spaced")
            steps[dim] = (float(values[0] - step / 2), float(step))
        (top, down), (left, right) = steps["y"], steps["x"]
        told = self._crs() or crs
        told = geotiff.crs(told, self.where) if told else ""
        return Grid(shape, (right, 0.0, left, 0.0, down, top), told)

    def times(self) -> tuple[float, ...]:
        """Returns seconds since 1970-01-01 UTC, NaN where unknown; () without that dimension.

        Raises:
          UserError: units that are not "days since 2020-01-01" or the like.
        """
        if "time" not in self.dims:
            return ()
        values = self._coordinate("time")
        if values is None:
            return (float("nan"),) * self.size("time")
        if values.dtype.kind == "M":
            return tuple((values.astype("datetime64[ns]").astype(np.int64) / 1e9).tolist())
        units = str(self._coordinate_array("time").attrs.get("units", ""))
        step, _, start = units.partition(" since ")
        calendar = self._coordinate_array("time").attrs.get("calendar", "standard")
        known = calendar in ("standard", "gregorian", "proleptic_gregorian")
        if step.rstrip("s") not in _SECONDS or not known:
            raise errors.UserError(f"{self.where}: time counts {units!r} ({calendar}), not days "
                                   "or seconds since a date")  # fmt: skip
        origin = times.seconds(start, self.where)
        return tuple((origin + values.astype(np.float64) * _SECONDS[step.rstrip("s")]).tolist())

    def _fills(self) -> Iterator[float]:
        attributes = self._array.attrs
        for key in ("_FillValue", "nodata", "missing_value"):
            if attributes.get(key) is not None:
                yield _number(attributes[key])
        # By convention the fill value of format 2 means no measurement; in 3 an attribute says so.
        if self._array.metadata.zarr_format == 2 and self._array.fill_value is not None:
            yield float(self._array.fill_value)

    def _crs(self) -> str:
        places = [self._array.attrs, self._group.attrs]
        for name in (self._array.attrs.get("grid_mapping"), "spatial_ref", "crs"):
            if name and name in self._group:
                places.append(self._group[name].attrs)
        for place in places:
            for key in ("proj:code", "crs", "crs_wkt", "spatial_ref", "proj:epsg", "epsg"):
                if told := place.get(key):
                    return f"EPSG:{told}" if str(told).isdigit() else str(told)
        return ""

    def _coordinate_array(self, dim: str) -> Any:
        name = self.given[self.dims.index(dim)] if dim in self.dims else ""
        return self._group[name] if name and name in self._group else None

    def _coordinate(self, dim: str) -> np.ndarray | None:
        """Returns the coordinate of a dimension, or None."""
        array = self._coordinate_array(dim)
        if array is None:
            return None
        where = f"{self.where}: coordinate {dim}"
        _no_pickle(array, where)
        with _quiet(where):
            values = np.asarray(array[...])
        if values.shape != (self.size(dim),):
            raise errors.UserError(f"{where} has {values.size} entries, not {self.size(dim)}")
        return values


def is_group(folder: Path) -> bool:
    """Returns whether a folder itself is a Zarr group."""
    return any((folder / name).exists() for name in (".zgroup", "zarr.json"))


def open_variable(path: str, name: str, dims: tuple[str, ...]) -> Variable:
    """Returns an array of a group, unread.

    Raises:
      UserError: zarr is missing, no such group or array (with a suggestion), or unknown dimensions.
    """
    try:
        import zarr
    except ImportError as error:
        raise errors.UserError("reading Zarr needs zarr: pip install 'smarties[data]'") from error
    where = f"{path}: {name}"
    with _quiet(where):
        group = zarr.open_group(path, mode="r")
        array = group.get(name)
        if not isinstance(array, zarr.Array):
            raise errors.unknown(f"variable of {path}", name, group.array_keys())
    _no_pickle(array, where)
    told: Any = getattr(array.metadata, "dimension_names", None)
    told = told or array.attrs.get("_ARRAY_DIMENSIONS") or dims
    given = tuple(map(str, told))
    if len(given) != array.ndim:
        raise errors.UserError(f"{where}: {array.ndim} dimensions without names: give dims=...")
    meant = tuple(_NAMES.get(name.lower(), name) for name in given)
    for dim in meant:
        if dim not in _NAMES.values():
            raise errors.unknown(f"dimension of {where}", dim, _NAMES)
    if not {"y", "x"} <= {*meant} or len({*meant}) != len(meant):
        raise errors.UserError(f"{where}: dimensions {', '.join(given)} must hold y and x once")
    return Variable(where, meant, given, group, array)


def _no_pickle(array: Any, where: str) -> None:
    """Raises where reading would run code: format 2 knows a codec that unpickles."""
    for codec in (*(array.filters or ()), *(array.compressors or ())):
        if "pickle" in str(getattr(codec, "codec_id", type(codec).__name__)).lower():
            raise errors.Unreadable(
                f"{where}: is stored pickled, which may run code: store it plain"
            )


def _unsigned(dtype: np.dtype, attributes: Mapping[str, Any]) -> np.dtype:
    if dtype.kind == "i" and str(attributes.get("_Unsigned", "")).lower() == "true":
        return np.dtype(f"u{dtype.itemsize}")
    return dtype


def _number(value: Any) -> float:
    """Returns a fill value; text is a number, "NaN", or in format 3 eight bytes as base 64."""
    if isinstance(value, list | tuple):
        (value,) = value
    try:
        return float(value)
    except ValueError:
        return struct.unpack("<d", base64.standard_b64decode(value))[0]


@contextlib.contextmanager
def _unreadable(where: str) -> Iterator[None]:
    """Turns what zarr cannot do into an `Unreadable`."""
    try:
        yield
    except errors.UserError:
        raise
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, EOFError, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise errors.Unreadable(f"{where}: missing, truncated or no Zarr ({reason})") from error


@contextlib.contextmanager
def _quiet(where: str) -> Iterator[None]:
    """As `_unreadable`, without zarr's warnings of formats of text that may change."""
    with warnings.catch_warnings(), _unreadable(where):
        warnings.simplefilter("ignore")
        yield
