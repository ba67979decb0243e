"""Writes tiny archives in BigEarthNet's layouts, for the tests of their readers."""

import numpy as np
import rasterio

S1, S2 = "sentinel1-grd", "sentinel2-l2a"
SIDES = {
    **dict.fromkeys(("B02", "B03", "B04", "B08"), 120),
    **dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 60),
    **dict.fromkeys(("B01", "B09"), 20),
}
PRODUCT = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP"
RADAR = "S1A_IW_GRDH_1SDV_20170613T165043"


def corner(column, row):
    """Of a patch of tile 33UUP, UTM zone 33."""
    return 300_000.0 + 1200 * column, 5_400_000.0 - 1200 * row


def tiff(file, pixels, corner, *, crs="EPSG:32633", nodata=None):
    """Writes [H, W] over 1.2 km."""
    file.parent.mkdir(parents=True, exist_ok=True)
    size = 1200 / pixels.shape[0]
    with rasterio.open(
        file,
        "w",
        driver="GTiff",
        height=pixels.shape[0],
        width=pixels.shape[1],
        count=1,
        dtype=pixels.dtype,
        crs=crs,
        transform=rasterio.Affine(size, 0, corner[0], 0, -size, corner[1]),
        nodata=nodata,
    ) as data:
        data.write(pixels, 1)


def optical(folder, place, rng, **options):
    """Writes the twelve bands of a patch; returns them."""
    bands = {
        name: rng.integers(200, 4000, (side, side)).astype(np.uint16)
        for name, side in SIDES.items()
    }
    for name, pixels in bands.items():
        tiff(folder / f"{folder.name}_{name}.tif", pixels, corner(*place), **options)
    return bands


def radar(folder, place, rng, **options):
    """Writes VV and VH of a patch; returns them."""
    bands = {
        name: rng.normal(mean, 3, (120, 120)).astype(np.float32)
        for name, mean in (("VV", -12), ("VH", -19))
    }
    for name, pixels in bands.items():
        tiff(folder / f"{folder.name}_{name}.tif", pixels, corner(*place), **options)
    return bands


def reference_map(folder, place, codes):
    tiff(folder / f"{folder.name}_reference_map.tif", codes, corner(*place), nodata=0)


def row(place, split, labels, **other):
    """A metadata row of patch (column, row)."""
    column, line = place
    return {
        "patch_id": f"{PRODUCT}_{column:02d}_{line:02d}",
        "labels": list(labels),
        "split": split,
        "country": "Austria",
        "s1_name": f"{RADAR}_33UUP_{column}_{line}",
        "s2v1_name": f"S2A_MSIL2A_20170613T101031_{column}_{line}",
        "contains_seasonal_snow": False,
        "contains_cloud_or_shadow": False,
    } | other


def metadata(root, rows, file="metadata.parquet"):
    import pyarrow
    from pyarrow import parquet

    root.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), root / file)


def v2(root, rows, rng, code=211):
    """Writes images and maps of rows in the layout of v2; returns the bands by patch and kind."""
    written = {}
    for entry in rows:
        patch, echo = entry["patch_id"], entry["s1_name"]
        place = tuple(map(int, patch.split("_")[-2:]))
        written[patch, S2] = optical(root / "BigEarthNet-S2" / PRODUCT / patch, place, rng)
        written[patch, S1] = radar(root / "BigEarthNet-S1" / RADAR / echo, place, rng)
        codes = np.full((120, 120), code, np.uint16)
        codes[0, 0] = 999
        reference_map(root / "Reference_Maps" / PRODUCT / patch, place, codes)
    return written
