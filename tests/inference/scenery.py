"""What tests of scenes share: a tiny encoder with random weights, and scenes on disk."""

import warnings

import jax
import numpy as np
import rasterio

from smarties.inference import model
from smarties.interchange import weights
from smarties.spectrum import registry

L2A = registry.sensor("sentinel2-l2a")
NORTH_UP = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)
PATCH = 8


def encoder(seed=0, width=32):
    sizes = dict(image_size=32, patch=PATCH, encoder=dict(width=width, depth=1, heads=4))
    config = weights.config_of(name="tiny", model=sizes, rule="linear")
    rng = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda x: jax.numpy.asarray(rng.normal(size=x.shape, scale=0.2), x.dtype),
        weights.shapes(config),
    )
    return model.Model(config=config, params=params)


def pixels(rows, columns, seed=0):
    """Digital numbers [rows, columns, 12]."""
    rng = np.random.default_rng(seed)
    return rng.integers(100, 3000, (rows, columns, len(L2A.bands))).astype(np.uint16)


def write(path, image, transform=NORTH_UP, crs="EPSG:32632", names=()):
    size = dict(height=image.shape[0], width=image.shape[1], count=image.shape[2])
    place = dict(crs=crs, transform=transform) if crs else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", dtype=image.dtype, **size, **place) as file:
            file.write(np.moveaxis(image, -1, 0))
            if names:
                file.descriptions = tuple(names)
    return path


def read(path):
    """Returns (values [rows, columns, bands], profile)."""
    with rasterio.open(path) as file:
        return np.moveaxis(file.read(), 0, -1), file.profile
