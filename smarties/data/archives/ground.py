"""Rasters as arrays of one static shape: fitted to a size, or cut to the ground they share."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import geotiff, scenes
from smarties.spectrum import bands

UNLABELLED = 255  # in maps: no class is known here


def plane(name: str, count: int = 1) -> bands.Sensor:
    """Returns a stand-in sensor for a file of labels or heights, with `count` bands."""
    band = bands.Band(name=name, unit="digital number", center=0.0)
    parts = (dataclasses.replace(band, name=f"{name}-{i}") for i in range(count))
    return bands.Sensor(name=name, bands=tuple(parts))


def picture(file: str) -> geotiff.Raster:
    """Returns a red, green, blue picture of 8 bits, all valid, without georeference.

    Raises:
      Unreadable: a missing or truncated file, or other bands.
    """
    import PIL.Image

    try:
        with PIL.Image.open(file) as image:
            pixels = np.array(image)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for broken files
        raise errors.Unreadable(
            f"{file}: missing, truncated or no image ({error}): get the file again"
        ) from error
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise errors.Unreadable(
            f"{file}: {pixels.dtype} of {'x'.join(map(str, pixels.shape))} is no picture of red, "
            f"green and blue with 8 bits"
        )
    return geotiff.Raster(pixels, np.ones(pixels.shape[:2], bool), "", (1, 0, 0, 0, 1, 0))


def cut(raster: geotiff.Raster, row: int, column: int, size: int) -> geotiff.Raster:
    """Returns the square of [size, size] that starts at a pixel; beyond the edges it is invalid.

    Args:
      raster: [H, W, C] of any size.
      row, column: of the first pixel; may lie outside.
      size: side, pixels.
    """
    height, width, channels = raster.pixels.shape
    pixels = np.zeros((size, size, channels), raster.pixels.dtype)
    valid = np.zeros((size, size), bool)
    rows, columns = (
        slice(min(max(start, 0), end), min(max(start + size, 0), end))
        for start, end in ((row, height), (column, width))
    )
    there = np.s_[
        rows.start - row : rows.stop - row, columns.start - column : columns.stop - column
    ]
    pixels[there], valid[there] = raster.pixels[rows, columns], raster.valid[rows, columns]
    return geotiff.Raster(pixels, valid, raster.crs, shift(raster.transform, row, column))


def fit(raster: geotiff.Raster, size: int) -> geotiff.Raster:
    """Returns the centre as [size, size]: larger rasters are cropped, smaller ones padded."""
    height, width = raster.valid.shape
    return cut(raster, (height - size) // 2, (width - size) // 2, size)


def shift(transform: tuple[float, ...], row: int, column: int) -> tuple[float, ...]:
    """Returns the affine coefficients a..f of the grid that starts at a pixel of another."""
    a, b, c, d, e, f = transform[:6]
    return a, b, c + a * column + b * row, d, e, f + d * column + e * row


def inspect(files: tuple[str, ...], sensor: bands.Sensor) -> geotiff.Image:
    """Returns what `geotiff.inspect` does; whatever is wrong is `Unreadable`."""
    try:
        return geotiff.inspect(files, sensor)
    except errors.Unreadable:
        raise
    except errors.UserError as error:
        raise errors.Unreadable(str(error)) from error


def window(
    image: geotiff.Image, sensor: bands.Sensor, area: tuple[int, int, int, int]
) -> geotiff.Raster:
    """Returns the window (row, column, rows, columns) of an image, 0 where invalid.

    Band files coarser than the finest are repeated (nearest).
    """
    pixels, valid = geotiff.read(image, area, sensor, "nearest")
    pixels = np.where(valid[..., None], pixels, pixels.dtype.type(0))
    return geotiff.Raster(pixels, valid, image.crs, shift(image.transform, *area[:2]))


def together(
    files: Mapping[str, tuple[str, ...]],
    sensors: Mapping[str, bands.Sensor],
    size: int,
    *,
    centred: bool = False,
) -> dict[str, geotiff.Raster]:
    """Returns the rasters of one ground by name, [size, size, C] each, from its shared centre.

    Pixels keep their files' dtype and are 0 where invalid; band files coarser than their sensor's
    finest are repeated (nearest). Grids may be shifted by whole pixels and differ by
    `scenes.MOST_CROPPED` in size.

    Args:
      files: by name, as for `geotiff.inspect`.
      sensors: by name; `plane` for maps.
      size: side, pixels.
      centred: grids are about one centre, whatever their georeference says of the last pixels; it
        is still checked that they have one CRS and ground.

    Raises:
      Unreadable: an unreadable file, other bands, another CRS or ground, or a shared ground
        smaller than `size`; names the files.
    """
    images = [inspect(paths, sensors[name]) for name, paths in files.items()]
    try:
        scene = scenes.align((), images, centred=centred)
    except errors.UserError as error:
        raise errors.Unreadable(str(error)) from error
    if min(scene.shape) < size or max(scene.coarser) > 1:
        shapes = ", ".join(f"{i.where} {i.shape[0]}x{i.shape[1]}" for i in images)
        raise errors.Unreadable(
            f"{shapes}: they share {scene.shape[0]}x{scene.shape[1]} pixels, and {size}x{size} "
            f"of one pixel size are asked for: give size={min(scene.shape)} or less"
        )
    row, column = ((side - size) // 2 for side in scene.shape)
    return {
        name: window(images[i], sensors[name], scene.window(i, row, column, size))
        for i, name in enumerate(files)
    }


def example(rasters: Mapping[str, geotiff.Raster], sensors: tuple[str, ...]) -> dict[str, Any]:
    """Returns "images" and "valid" of the sensors, and "location", "crs", "transform" of the first.

    The time is NaN: a reader that knows it replaces it.
    """
    return {
        "images": {name: rasters[name].pixels for name in sensors},
        "valid": {name: rasters[name].valid for name in sensors},
        "time": np.float64(np.nan),
        **rasters[sensors[0]].place(),
    }


def labels(
    raster: geotiff.Raster, known: int, file: str, *, first: int = 0, none: int | None = None
) -> np.ndarray:
    """Returns uint8 [H, W], the class of each pixel, `UNLABELLED` where there is none.

    Args:
      raster: [H, W, C]; the first band is the map.
      known: number of classes, 0..known-1.
      file: names the map in errors.
      first: the number that the file gives to class 0.
      none: the number that stands for "no label".

    Raises:
      Unreadable: a number that is no class.
    """
    found = raster.pixels[..., 0].astype(np.int64)
    missing = ~raster.valid if none is None else ~raster.valid | (found == none)
    wrong = ~missing & ((found < first) | (found >= first + known))
    if wrong.any():
        raise errors.Unreadable(
            f"{file}: {int(wrong.sum())} pixels have unknown label {found[wrong][0]}: known are "
            f"{first}..{first + known - 1}" + ("" if none is None else f", and {none} for none")
        )
    return np.where(missing, UNLABELLED, found - first).astype(np.uint8)
