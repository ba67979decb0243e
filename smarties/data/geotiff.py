"""One image of a sensor from GeoTIFF: a file with all bands, or one file per band.

Needs rasterio (extra `geo`), imported when a file is opened.
"""

import contextlib
import dataclasses
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from smarties import errors
from smarties.spectrum import bands

RESAMPLING = ("nearest", "bilinear", "cubic", "average")


@dataclasses.dataclass(frozen=True)
class Image:
    """Where the bands of one image lie, and on which ground.

    Attributes:
      files: one with all bands, or one per band in the sensor's order.
      shapes: (rows, columns) of each file.
      shape: (rows, columns) of the finest of them; reading resamples the others to it.
      transform: pixel to ground, the six affine coefficients a..f of the finest file.
      crs: as WKT or authority code; "" where the file is not georeferenced.
      bare: whether some file has no georeference of its own.
    """

    files: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    shape: tuple[int, int]
    transform: tuple[float, ...]
    crs: str
    bare: bool = False

    @property
    def where(self) -> str:
        first, *others = self.files
        return f"{first} and {len(others)} more" if others else first

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top on the ground, for images that are not rotated."""
        a, _, c, _, e, f = self.transform[:6]
        return c, f + e * self.shape[0], c + a * self.shape[1], f


def plain(name: str) -> str:
    """Returns a band's name without zero padding and case: "b1" for "B01", "b8a" for "B8A"."""
    return re.sub(r"0+(?=\d)", "", name.strip().lower())


def inspect(files: tuple[str, ...], sensor: bands.Sensor) -> Image:
    """Returns what is known about an image from its headers.

    Raises:
      UserError: an unreadable file, a number or an order of bands other than the sensor's, or band
        files that do not cover one ground or store numbers of other types.
    """
    with _opened(files) as datasets:
        return _inspect(files, datasets, sensor)


def _inspect(files: tuple[str, ...], datasets: Sequence[Any], sensor: bands.Sensor) -> Image:
    shapes, ground, dtype = [], [], ""
    for file, data in zip(files, datasets, strict=True):
        if len(files) == 1:
            _check_bands(file, data, sensor)
        elif data.count != 1:
            raise errors.UserError(f"{file}: {data.count} bands in a file of one band")
        dtype = dtype or data.dtypes[0]
        if data.dtypes[0] != dtype:
            raise errors.UserError(f"{file}: {data.dtypes[0]}, but {files[0]} is {dtype}")
        shapes.append((data.height, data.width))
        ground.append((tuple(data.transform)[:6], _crs(data)))
    finest = max(range(len(files)), key=lambda i: shapes[i])
    where = _ground(files, shapes, ground, finest)
    bare = not all(crs for _, crs in ground)
    image = Image(files, tuple(shapes), shapes[finest], *where, bare)
    for file, shape in zip(files, shapes, strict=True):
        for fine, coarse in zip(image.shape, shape, strict=True):
            if abs(fine - round(fine / coarse) * coarse) > round(fine / coarse):
                raise errors.UserError(
                    f"{file}: {shape[0]}x{shape[1]} pixels cannot cover the ground of "
                    f"{files[finest]} with {image.shape[0]}x{image.shape[1]}: use one extent"
                )
    return image


def read(
    image: Image,
    window: tuple[int, int, int, int],
    sensor: bands.Sensor,
    resampling: str = "bilinear",
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (pixels [h, w, C] in the file's dtype, valid [h, w] bool) of a window.

    A pixel is valid where every band is finite, unmasked, and neither the file's nor the sensor's
    nodata value.

    Args:
      image: from `inspect`.
      window: (row, column, rows, columns) on the image's grid.
      sensor: of the image.
      resampling: of files coarser than the grid, one of `RESAMPLING`.

    Raises:
      Unreadable: a truncated or unreadable file.
    """
    with _opened(image.files, "" if image.bare else image.crs) as datasets:
        return _read(image, datasets, window, sensor, resampling)


def _read(image: Image, datasets, window, sensor: bands.Sensor, resampling: str):
    from rasterio import enums, windows

    row, column, height, width = window
    pixels, valid = [], np.ones((height, width), bool)
    nodata = [band.nodata for band in sensor.bands]
    for k, (data, shape) in enumerate(zip(datasets, image.shapes, strict=True)):
        y, x = shape[0] / image.shape[0], shape[1] / image.shape[1]
        same = shape == image.shape
        area = windows.Window(column * x, row * y, width * x, height * y)  # type: ignore
        mode = enums.Resampling["nearest" if same else resampling]
        with _named(data.name):
            part = data.read(window=area, out_shape=(data.count, height, width), resampling=mode)
            mask = data.read_masks(window=area, out_shape=part.shape)
            native = part
            if not same:  # interpolated numbers no longer equal nodata
                native = data.read(window=area, out_shape=part.shape)
        pixels.append(part)
        valid &= (mask != 0).all(axis=0)
        if np.issubdtype(part.dtype, np.floating):
            valid &= np.isfinite(part).all(axis=0) & np.isfinite(native).all(axis=0)
        for band, value in zip(
            native, nodata if len(image.files) == 1 else nodata[k:], strict=False
        ):
            if value is not None:
                valid &= band != value
    stacked = np.concatenate(pixels) if len(pixels) > 1 else pixels[0]
    return np.ascontiguousarray(np.moveaxis(stacked, 0, -1)), valid


@dataclasses.dataclass(frozen=True)
class Raster:
    """A whole image.

    Attributes:
      pixels: [H, W, C] in the file's dtype.
      valid: [H, W] bool.
      crs: as WKT or authority code; "" where the file is not georeferenced.
      transform: pixel to ground, the six affine coefficients a..f.
    """

    pixels: np.ndarray
    valid: np.ndarray
    crs: str
    transform: tuple[float, ...]

    def place(self) -> dict[str, Any]:
        """Returns the example's "location", "crs" and "transform", see `Archive.read`."""
        transform = np.array(self.transform[:6], np.float64)
        return {
            "location": lonlat(self.crs, self.transform, self.valid.shape),
            "crs": self.crs,
            "transform": transform,
        }


def load(files: tuple[str, ...], sensor: bands.Sensor, resampling: str = "nearest") -> Raster:
    """Returns the image of a file with all bands, or of one file per band in the sensor's order.

    The pixels are in the files' dtype, those that are not valid 0. `inspect` and `read` say what is
    checked; whatever is wrong with the files is `Unreadable`.
    """
    with _opened(files) as datasets:
        try:
            image = _inspect(files, datasets, sensor)
        except errors.UserError as error:
            raise errors.Unreadable(str(error)) from error
        pixels, valid = _read(image, datasets, (0, 0, *image.shape), sensor, resampling)
    pixels = np.where(valid[..., None], pixels, pixels.dtype.type(0))
    return Raster(pixels, valid, image.crs, image.transform)


def crs(text: str, where: str) -> str:
    """Returns a CRS as files tell theirs, from an authority code or WKT.

    Raises:
      UserError: an unknown one; `where` names what says so.
    """
    import rasterio

    try:
        with rasterio.Env():
            return rasterio.CRS.from_user_input(text).to_string()
    except ValueError as error:
        raise errors.UserError(f"{where}: unknown CRS {text!r}: write it as EPSG:32632") from error


def lonlat(crs: str, transform: tuple[float, ...], shape: tuple[int, int]) -> np.ndarray:
    """Returns float32 [2], longitude and latitude (degrees WGS 84) of an image's centre.

    NaN without a CRS.
    """
    if not crs:
        return np.full(2, np.nan, np.float32)
    from rasterio import warp

    a, b, c, d, e, f = transform[:6]
    row, column = shape[0] / 2, shape[1] / 2
    x, y = c + a * column + b * row, f + d * column + e * row
    (lon,), (lat,) = warp.transform(crs, "EPSG:4326", [x], [y])[:2]
    return np.array([lon, lat], np.float32)


def cast(pixels: np.ndarray, valid: np.ndarray, sensor: bands.Sensor, where: str) -> np.ndarray:
    """Returns the pixels in the sensor's dtype, zero where invalid.

    Raises:
      UserError: valid pixels that the sensor's dtype cannot hold.
    """
    dtype = np.result_type(*(np.dtype(band.dtype) for band in sensor.bands))
    pixels = np.where(valid[..., None], pixels, pixels.dtype.type(0))
    if pixels.dtype == dtype:
        return pixels
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        if pixels.min() < limits.min or pixels.max() > limits.max:
            raise errors.UserError(
                f"{where}: values {pixels.min():.6g}..{pixels.max():.6g} do not fit {dtype} of "
                f"{sensor.name}: clip them, or use a sensor file with another dtype"
            )
        if np.issubdtype(pixels.dtype, np.floating):
            pixels = np.rint(pixels)
    return pixels.astype(dtype)


def _check_bands(file: str, data: Any, sensor: bands.Sensor) -> None:
    said = [text or "" for text in data.descriptions]
    found = f" ({', '.join(said)})" if all(said) else ""
    if data.count != len(sensor.bands):
        raise errors.UserError(
            f"{file}: {data.count} bands{found}, but {sensor.name} has {len(sensor.bands)}: "
            f"{', '.join(sensor.names)}"
        )
    position = {plain(name): i for i, name in enumerate(sensor.names)}
    for i, text in enumerate(said):
        if position.get(plain(text), i) != i:
            raise errors.UserError(
                f"{file}: band {i + 1} is {text}, but {sensor.names[i]} in {sensor.name}: the "
                f"order must be {', '.join(sensor.names)}, found {', '.join(said)}"
            )


def _ground(files, shapes, ground, finest: int) -> tuple[tuple[float, ...], str]:
    """Returns (transform, CRS) of the finest file, or as another file tells where it does not.

    Raises:
      UserError: files of another CRS, or that begin more than two pixels away.
    """
    told = [i for i, (_, crs) in enumerate(ground) if crs]
    if not told or finest in told:
        source = finest
    else:  # as in JPEG 2000 archives where only some bands are georeferenced
        source = max(told, key=lambda i: shapes[i])
    transform, crs = ground[source]
    for i in told:
        if ground[i][1] != crs:
            raise errors.UserError(
                f"{files[i]}: {ground[i][1]}, but {files[source]} has {crs}: the bands of one "
                f"image share one CRS"
            )
        for side, corner in ((0, 2), (4, 5)):  # left and top, in the coarser pixels
            pixel = max(abs(ground[j][0][side]) for j in (i, source))
            if abs(ground[i][0][corner] - transform[corner]) > 2 * pixel:
                raise errors.UserError(
                    f"{files[i]}: begins elsewhere than {files[source]}: the bands of one image "
                    "cover one ground"
                )
    y, x = (coarse / fine for coarse, fine in zip(shapes[source], shapes[finest], strict=True))
    a, b, c, d, e, f = transform
    return (a * x, b * y, c, d * x, e * y, f), crs


def _crs(data: Any) -> str:
    return data.crs.to_string() if data.crs else ""


@contextlib.contextmanager
def _opened(files: Sequence[str], crs: str | None = None) -> Iterator[list[Any]]:
    """Yields the datasets of files.

    `crs` is None while it is not known. Files known to be georeferenced are opened without touching
    the warning filters, which belong to all threads.
    """
    try:
        import rasterio
        from rasterio import errors as failures
    except ImportError as error:
        raise errors.UserError(
            "reading GeoTIFF needs rasterio: pip install 'smarties[geo]'"
        ) from error
    with contextlib.ExitStack() as stack:
        stack.enter_context(rasterio.Env())  # one for all, where each call would make its own
        datasets = []
        with contextlib.nullcontext() if crs else warnings.catch_warnings():
            if not crs:
                warnings.simplefilter("ignore", failures.NotGeoreferencedWarning)
            for file in files:
                with _named(file):
                    datasets.append(stack.enter_context(rasterio.open(file)))
        yield datasets


@contextlib.contextmanager
def _named(file: str) -> Iterator[None]:
    """Makes what GDAL cannot do with a file an `Unreadable` that names it."""
    from rasterio import errors as failures

    try:
        yield
    except (failures.RasterioError, OSError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise errors.Unreadable(
            f"{file}: missing, truncated or no image ({reason}): get the file again"
        ) from error
