"""One BigEarthNet patch of 1.2 km: its bands checked, put on the 10 m grid, and joined in a pair.

Bands come from TIFF files or from converted archives; from here on they are treated alike.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import geotiff, sources
from smarties.data.archives import bigearthnet_splits
from smarties.spectrum import bands

SIDE = 120  # pixels of 10 m
S1, S2 = "sentinel1-grd", "sentinel2-l2a"
_FILES = {
    S1: ("VV", "VH"),
    S2: ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"),
}


def kind(sensor: bands.Sensor) -> str:
    """Returns which of the archive's images a sensor's bands are: `S1` or `S2`.

    Raises:
      UserError: bands that BigEarthNet does not have.
    """
    which = S1 if sensor.bands[0].domain == "microwave" else S2
    for name in sensor.names:
        if name not in _FILES[which]:
            raise errors.unknown(f"band of BigEarthNet in {sensor.name}", name, _FILES[which])
    return which


def check_resampling(resampling: str) -> None:
    """Raises `UserError` for an unknown way to resample."""
    if resampling not in geotiff.RESAMPLING:
        raise errors.unknown("resampling", resampling, geotiff.RESAMPLING)


def parse(name: str) -> bigearthnet_splits.Patch:
    """Returns what a name says; as it names a file, what is wrong with it is `Unreadable`."""
    try:
        return bigearthnet_splits.parse(name)
    except errors.UserError as error:
        raise errors.Unreadable(str(error)) from error


def single(sensor: bands.Sensor) -> Iterator[bands.Sensor]:
    """Yields the sensor of each band, for files that hold one."""
    for band in sensor.bands:
        yield dataclasses.replace(sensor, bands=(band,))


def tiffs(folder: Path, sensor: bands.Sensor) -> Iterator[tuple[str, geotiff.Raster]]:
    """Yields (file, image) of each band of a patch's folder, in the sensor's order.

    Raises:
      Unreadable: a missing or truncated file.
    """
    for one in single(sensor):
        file = str(folder / f"{folder.name}_{one.names[0]}.tif")
        yield file, geotiff.load((file,), one)


def join(
    found: Iterator[tuple[str, geotiff.Raster]], sensor: bands.Sensor, resampling: str
) -> geotiff.Raster:
    """Returns the image of all bands on the 10 m grid, [120, 120, C] in the files' dtype.

    A pixel is valid where it is in every band; elsewhere the image is 0.

    Args:
      found: (name, image) of each band at its own resolution.
      sensor: of the bands.
      resampling: of the 20 m and 60 m bands, one of `geotiff.RESAMPLING`.

    Raises:
      Unreadable: another size, dtype, CRS or ground than the band's, or VH equal to VV.
    """
    pixels, valid, first = [], np.ones((SIDE, SIDE), bool), None
    for band, (file, raster) in zip(sensor.bands, found, strict=True):
        side = round(SIDE * 10 / band.gsd)
        if raster.valid.shape != (side, side):
            height, width = raster.valid.shape
            raise errors.Unreadable(
                f"{file}: {height}x{width} pixels, but {band.name} has {side}x{side}"
            )
        if raster.pixels.dtype != band.dtype:
            raise errors.Unreadable(
                f"{file}: {raster.pixels.dtype}, but {band.name} is stored as {band.dtype}"
            )
        first = first or (file, raster)
        check_same_ground(*first, file, raster)
        pixels.append(_finer(raster, SIDE // side, resampling))
        valid &= raster.valid.repeat(SIDE // side, 0).repeat(SIDE // side, 1)
    assert first is not None
    stacked = np.stack(pixels, axis=-1)
    if {"VV", "VH"} <= set(sensor.names):
        vv, vh = (stacked[..., sensor.names.index(name)] for name in ("VV", "VH"))
        if np.array_equal(vv, vh):
            raise errors.Unreadable(
                f"{first[0]}: VH equals VV in every pixel: one was written in place of the other"
            )
    stacked[~valid] = 0
    a, b, c, d, e, f = first[1].transform[:6]
    scale = first[1].valid.shape[0] / SIDE
    transform = (a * scale, b * scale, c, d * scale, e * scale, f)
    return geotiff.Raster(stacked, valid, first[1].crs, transform)


def check_same_ground(file: str, first: geotiff.Raster, other: str, second: geotiff.Raster) -> None:
    """Raises `Unreadable`, naming both files, where two images are not of one ground."""
    if first.crs != second.crs:
        was, now = first.crs or "missing", second.crs or "missing"
        raise errors.Unreadable(f"{other}: its CRS is {now}, that of {file} is {was}")
    here, there = _bounds(first), _bounds(second)
    if np.allclose(here, there, rtol=0, atol=1):
        return
    left, bottom, right, top = there
    apart = left >= here[2] or right <= here[0] or bottom >= here[3] or top <= here[1]
    raise errors.Unreadable(
        f"{other}: its footprint {there} {'does not overlap' if apart else 'differs from'} "
        f"{here} of {file}"
    )


def example(
    images: Mapping[str, tuple[str, geotiff.Raster]], time: float, labels: np.ndarray
) -> sources.Example:
    """Returns the example of images of one ground, see `Archive.read`.

    Args:
      images: (name in errors, image) by sensor.
      time: of the first, seconds since 1970-01-01 UTC.
      labels: of the patch.

    Raises:
      Unreadable: images with another CRS or footprint than the first's.
    """
    first, *others = images.values()
    for image in others:
        check_same_ground(*first, *image)
    return {
        "images": {sensor: raster.pixels for sensor, (_, raster) in images.items()},
        "valid": {sensor: raster.valid for sensor, (_, raster) in images.items()},
        "labels": labels,
        "time": np.float64(time),
        **first[1].place(),
    }


def _bounds(raster: geotiff.Raster) -> tuple[float, float, float, float]:
    a, _, c, _, e, f = raster.transform[:6]
    height, width = raster.valid.shape
    return c, f + e * height, c + a * width, f


def _finer(raster: geotiff.Raster, times: int, resampling: str) -> np.ndarray:
    """Returns [120, 120] of a band at its own resolution."""
    pixels = raster.pixels[..., 0]
    if times == 1:
        return pixels
    if resampling == "nearest":
        return pixels.repeat(times, 0).repeat(times, 1)
    from rasterio import Affine, enums, warp

    out = np.zeros((SIDE, SIDE), pixels.dtype)
    a, b, c, d, e, f = raster.transform[:6]
    options: dict[str, Any] = {} if raster.valid.all() else {"src_nodata": 0, "dst_nodata": 0}
    warp.reproject(
        pixels,
        out,
        src_transform=Affine(a, b, c, d, e, f),
        src_crs=raster.crs or "EPSG:32633",
        dst_transform=Affine(a / times, b / times, c, d / times, e / times, f),
        dst_crs=raster.crs or "EPSG:32633",
        resampling=enums.Resampling[resampling],
        **options,
    )
    return out
