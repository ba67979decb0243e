"""Tiny files in the layouts of archives, for the tests of their readers."""

import numpy as np
import rasterio


def tif(file, pixels, *, gsd=10.0, corner=(5e5, 5e6), crs="EPSG:32632", **profile):
    """Writes [H, W] or [H, W, C] as a GeoTIFF; "descriptions" name its bands."""
    descriptions = profile.pop("descriptions", ())
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    file.parent.mkdir(parents=True, exist_ok=True)
    profile |= {"crs": crs, "transform": rasterio.Affine(gsd, 0, corner[0], 0, -gsd, corner[1])}
    height, width, count = pixels.shape
    profile |= {"height": height, "width": width, "count": count, "dtype": pixels.dtype}
    with rasterio.open(file, "w", driver="GTiff", **profile) as data:
        data.write(np.moveaxis(pixels, -1, 0))
        for i, text in enumerate(descriptions, 1):
            data.set_band_description(i, text)


def optical(rng, size, bands, dtype=np.uint16):
    """Returns [size, size, bands] of digital numbers like reflectance of land."""
    return rng.integers(200, 4000, (size, size, bands)).astype(dtype)


def radar(rng, size):
    """Returns [size, size, 2] in dB."""
    return rng.normal(-14, 3, (size, size, 2)).astype(np.float32)


def halve(file):
    """Truncates a file."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def read(file):
    """Returns [H, W, C] of a file, read independently of the readers."""
    with rasterio.open(file) as data:
        return np.moveaxis(data.read(), 0, -1)
