"""How fast pairs of BigEarthNet v2 are prepared, and read from its files, an LMDB and records.

The archive is written first, in the published layout: its bytes do not matter, TIFF files there are
not compressed.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.data import prepare, records, sources

PAIRS = 590_326  # of BigEarthNet v1 and BEN-MM
JOBS = 128
_PRODUCT, _RADAR = (
    "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP",
    "S1A_IW_GRDH_1SDV_20170613T165043",
)
_SIDES = {
    **dict.fromkeys(("B02", "B03", "B04", "B08", "VV", "VH"), 120),
    **dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 60),
    **dict.fromkeys(("B01", "B09"), 20),
}
_OPTICAL = [name for name in _SIDES if name.startswith("B")]


def write(root: Path, count: int) -> tuple[Path, Path]:
    """Returns the folders of `count` random pairs as TIFF files and as an LMDB of safetensors.

    Raises:
      UserError: the extra `data` is not installed.
    """
    try:
        import lmdb
        import pyarrow
        from pyarrow import parquet
        from safetensors import numpy as safetensors
    except ImportError as error:
        raise errors.UserError(
            "bench data writes TIFF, LMDB and Parquet: pip install 'smarties[data]'"
        ) from error
    rng, rows = np.random.default_rng(0), []
    files, converted = root / "files", root / "lmdb"
    converted.mkdir(parents=True)
    with lmdb.open(str(converted), map_size=2**20 * (count + 10)) as environment:
        for k in range(count):
            column, row = divmod(k, 40)
            patch, echo = f"{_PRODUCT}_{column:02d}_{row:02d}", f"{_RADAR}_33UUP_{column}_{row}"
            for kind, product, name, bands in (
                ("S2", _PRODUCT, patch, _OPTICAL),
                ("S1", _RADAR, echo, ["VV", "VH"]),
            ):
                folder = files / f"BigEarthNet-{kind}" / product / name
                folder.mkdir(parents=True)
                images = {band: _image(rng, band) for band in bands}
                for band, pixels in images.items():
                    _tiff(folder / f"{name}_{band}.tif", pixels, column, row)
                with environment.begin(write=True) as transaction:
                    transaction.put(name.encode(), safetensors.save(images))
            rows.append({
                "patch_id": patch, "labels": ["Pastures"], "split": "train", "country": "Austria",
                "s1_name": echo, "s2v1_name": patch, "contains_seasonal_snow": False,
                "contains_cloud_or_shadow": False,
            })  # fmt: skip
    for folder in (files, converted):
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "metadata.parquet")
    return files, converted


def _image(rng: np.random.Generator, band: str) -> np.ndarray:
    side = _SIDES[band]
    if band.startswith("V"):
        return rng.normal(-15, 4, (side, side)).astype(np.float32)
    return rng.integers(200, 4000, (side, side)).astype(np.uint16)


def _tiff(file: Path, pixels: np.ndarray, column: int, row: int) -> None:
    import rasterio

    size = 1200 / len(pixels)
    corner = (300_000 + 1200 * column, 5_400_000 - 1200 * row)
    with rasterio.open(
        file, "w", driver="GTiff", height=len(pixels), width=len(pixels), count=1,
        dtype=pixels.dtype, crs="EPSG:32633",
        transform=rasterio.Affine(size, 0, corner[0], 0, -size, corner[1]),
    ) as data:  # fmt: skip
        data.write(pixels, 1)


def rounds(root: Path, count: int, repeats: int, workers: int) -> dict[str, list[float]]:
    """Returns per quantity a value of each round, things that are compared in turns.

    Quantities: "prepare, 1 process" and "prepare, N processes" in pairs a second, and for each
    store "STORE, cold" and "STORE, warm" in pairs a second on one core, and "STORE, size" in bytes
    a pair.
    """
    files, converted = write(root, count)
    archive = sources.source("bigearthnet-v2", root=str(files))
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        for k in sorted({1, workers}):
            seconds = _prepare(archive, root / "records", k)
            found.setdefault(f"prepare, {k} process{'es' * (k > 1)}", []).append(count / seconds)
    stores: dict[str, tuple[Path, sources.Source]] = {
        "GeoTIFF": (files, archive),
        "LMDB": (converted, sources.source("bigearthnet-v2-lmdb", root=str(converted))),
        "ArrayRecord": (root / "records", records.Records(root / "records")),
    }
    for name, (folder, source) in stores.items():
        paths = [file for file in folder.rglob("*") if file.is_file()]
        size = sum(file.stat().st_blocks * 512 for file in paths)
        found[f"{name}, size"] = [size / len(source)]
    for _ in range(repeats):
        for name, (folder, source) in stores.items():
            _forget(folder)
            for state in ("cold", "warm"):
                found.setdefault(f"{name}, {state}", []).append(_read(source))
    return found


def _prepare(archive: sources.Source, out: Path, workers: int) -> float:
    """Returns the seconds from the first finished example to the end: not those of the start."""
    shutil.rmtree(out, ignore_errors=True)
    watch = _Watch()
    prepare.prepare(archive, out, "pairs", workers=workers, progress=watch)
    return watch.seconds


class _Watch:
    """A progress bar that is a stop-watch over all but the first examples it is told of."""

    def __call__(self, total: int) -> "_Watch":
        self._total = total
        return self

    def update(self, count: int) -> None:
        now = time.perf_counter()
        if not hasattr(self, "_start") and count:
            self._start, self._first = now, count
        self._last = now

    def close(self) -> None: ...

    @property
    def seconds(self) -> float:
        """For the whole set at the rate of all but the first."""
        return (self._last - self._start) * self._total / (self._total - self._first)


def _read(source: sources.Source) -> float:
    """Returns pairs a second, read in a random order and touched."""
    order = np.random.default_rng(0).permutation(len(source))
    start = time.perf_counter()
    for index in order:
        for image in source[int(index)]["images"].values():
            image.max()
    return len(source) / (time.perf_counter() - start)


def _forget(folder: Path) -> None:
    """Asks the system to drop its copies of all files of a folder."""
    os.sync()
    for file in _files(folder):
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())


def forecast(rate: float, size: float) -> dict[str, float]:
    """Returns hours of `JOBS` jobs of one core, and GB, for `PAIRS` pairs at a measured rate."""
    return {"hours": PAIRS / rate / JOBS / 3600, "GB": PAIRS * size / 1e9}
