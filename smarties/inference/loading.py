"""How fast pairs are read from GeoTIFF and from records of the same tiles, and are simulated."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.data import folder, pipeline, prepare, records, sources
from smarties.data.planet import source as planet
from smarties.spectrum import registry

FIRST, SECOND = "sentinel2-l2a", "sentinel1-grd"
PATTERNS = {FIRST: "S2L2A/*.tif", SECOND: "S1RTC/*.tif"}
TILE, BATCH = 96, 8


def loaders(root: Path, temporary: Path) -> dict[str, Callable[[], float]]:
    """Returns {"GeoTIFF", "ArrayRecord"}: () -> pairs per processor second, in a stable order.

    Args:
      root: of scenes laid out as `PATTERNS`.
      temporary: where the records are written.
    """
    files = folder.Folder(root, PATTERNS, tile=TILE)
    prepare.prepare(files, temporary / "records", "pairs")
    sources_: dict[str, tuple[sources.Source, int]] = {
        "GeoTIFF": (files, 4),
        "ArrayRecord": (records.Records(temporary / "records"), 40),
    }
    return {name: _reader(source, batches) for name, (source, batches) in sources_.items()}


def simulator() -> Callable[[], float]:
    """Returns () -> pairs of 64 pixels of the simulated planet per processor second."""
    return _reader(planet.Planet(sensors=(FIRST, SECOND), count=1024, size=64), 8)


def _reader(source: sources.Source, batches: int) -> Callable[[], float]:
    stream = pipeline.Stream(source=source, first=FIRST, second=SECOND, examples_per_batch=BATCH)

    def run() -> float:
        dataset = pipeline.pair_batches({"pairs": stream}, seed=0, shuffle=False, threads=0)
        iterator = iter(dataset)
        next(iterator)
        start = time.process_time()
        for _ in itertools.islice(iterator, batches):
            pass
        return batches * BATCH / (time.process_time() - start)

    return run


def write_scenes(root: Path, count: int = 4, side: int = 224) -> Path:
    """Returns `root` with `count` compressed scenes of smooth random ground, as `PATTERNS`."""
    try:
        import rasterio
    except ImportError as error:
        raise errors.UserError(
            "bench --parts loader writes GeoTIFF: install rasterio (pip install smarties[geo])"
        ) from error
    rng = np.random.default_rng(0)
    for name, low, high in ((FIRST, 300, 4000), (SECOND, -25, -3)):
        bands = len(registry.sensor(name).bands)
        dtype = np.uint16 if name == FIRST else np.float32
        for i in range(count):
            coarse = rng.uniform(low, high, (bands, side // 8, side // 8))
            pixels = np.kron(coarse, np.ones((8, 8))) + rng.normal(0, 0.01 * (high - low), side)
            file = root / PATTERNS[name].replace("*", f"scene{i}")
            file.parent.mkdir(parents=True, exist_ok=True)
            with rasterio.open(
                file, "w", driver="GTiff", height=side, width=side, count=bands, dtype=dtype,
                crs="EPSG:32632", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
                compress="deflate",
            ) as data:  # fmt: skip
                data.write(pixels.astype(dtype))
    return root
