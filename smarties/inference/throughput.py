"""How fast whole scenes are embedded, and in how much memory, against the plain loop."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from smarties import errors, machine
from smarties.data import geotiff
from smarties.inference import benchmark, model, products, scenes
from smarties.spectrum import registry

SENSOR = "sentinel2-l2a"
TILE = 256
KINDS = ("ours", "plain")


def encoder(section: Mapping[str, Any], seed: int = 0) -> model.Model:
    """Returns an encoder of a `model` section with random weights: as fast as a trained one."""
    ranges = len(registry.spectrum("smarties-v1"))
    config = dict(name="bench", step=None, rule="log", spectrum="smarties-v1", model=dict(section))
    whole = model.Model(config=config, params={}).encoder
    sensor = registry.sensor(SENSOR).select()
    side = section["image_size"] // section["patch"]
    patches = np.zeros((1, side**2, len(sensor.bands), section["patch"] ** 2), np.float32)
    matrix = np.full((len(sensor.bands), ranges), 1 / ranges, np.float32)
    init = jax.jit(lambda key: whole.init(key, patches, matrix, (side, side))["params"])
    return model.Model(config=config, params={"encoder": init(jax.random.key(seed))})


def measure(kind: str, section: Mapping[str, Any], side: int, batch: int) -> dict[str, float]:
    """Returns seconds, Mpx/s and peak bytes of this process for a scene of so many pixels a side.

    The program is compiled before the clock starts; writing the COG counts.

    Args:
      kind: "ours", or "plain": a window at a time, one after the other, all of the scene's tokens
        held and written at once.
    """
    known = encoder(section)
    with tempfile.TemporaryDirectory() as folder:
        scene = scenes.open_scene([write_scene(Path(folder), side)], registry.sensor(SENSOR))
        options = products.Options(batch=batch if kind == "ours" else 1)
        size = known.config["model"]["image_size"]
        images = np.stack([scene.read(0, 0, size, size)[0]] * options.batch)
        known.tokens(images, sensor=SENSOR, batch_size=options.batch)
        start = time.perf_counter()
        output = Path(folder) / "embedding.tif"
        (products.embed if kind == "ours" else plain)(known, scene, output, options)
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds, "mpx": side**2 / 1e6 / seconds, "peak": machine.peak_memory()
    }  # fmt: skip


def compare(argv: Mapping[str, Sequence[str]], sides: Sequence[int]) -> list[benchmark.Row]:
    """Returns speed and peak memory of scenes, each in a process of its own, the kinds by turns.

    Args:
      argv: of `smarties bench` for each of `KINDS`, without --sides.
      sides: of the scenes, pixels.
    """
    lines, peaks = [], []
    for side in sides:
        found = {kind: benchmark.child([*argv[kind], "--sides", str(side)]) for kind in KINDS}
        for kind, one in found.items():
            name = f"{side} x {side} pixels, {kind}"
            lines.append(benchmark.row("scene", name, "Mpx/s", one["mpx"]))
            lines.append(benchmark.row("scene", f"{name}, peak memory", "GB", one["peak"] / 1e9))
        ratio = found["plain"]["seconds"] / found["ours"]["seconds"]
        lines.append(benchmark.row("scene", f"{side} x {side} pixels, plain / ours", "x", ratio))
        peaks.append(found["ours"]["peak"])
    most = max(peaks) / min(peaks)
    return [*lines, benchmark.row("scene", "ours, most peak memory / least", "x", most)]


def plain(known: model.Model, scene: scenes.Scene, output: Path, options: products.Options) -> None:
    """Writes the tokens of a scene as a loop over images does: read, embed, add, next."""
    import rasterio

    patch = known.patch
    plan = options.plan(scene, known.config["model"]["image_size"], patch, patch)
    rows, columns = plan.window
    total = np.zeros((*plan.grid, known.config["model"]["encoder"]["width"]), np.float32)
    for window in plan.windows():
        top, left = window.row * patch, window.column * patch
        area = (top, left, rows * patch, columns * patch)
        pixels, valid = geotiff.read(scene.image, area, scene.sensor)
        found = known.tokens(pixels[None], sensor=scene.sensor, valid=valid[None])[0]
        at = (slice(window.row, window.row + rows), slice(window.column, window.column + columns))
        total[at] += plan.weight(window)[..., None] * found
    a, b, c, d, e, f = scene.transform
    with rasterio.open(
        output, "w", driver="COG", height=plan.grid[0], width=plan.grid[1], count=total.shape[2],
        dtype="float32", crs=scene.image.crs, blocksize=128, compress="DEFLATE", predictor="YES",
        transform=rasterio.Affine(a * patch, b, c, d, e * patch, f),
    ) as data:  # fmt: skip
        data.write(np.moveaxis(total, -1, 0))


def write_scene(folder: Path, side: int) -> Path:
    """Returns a tiled Sentinel-2 scene of noise, written in constant memory."""
    try:
        import rasterio
        from rasterio import windows
    except ImportError as error:
        raise errors.UserError(
            "bench of scenes writes GeoTIFF: pip install 'smarties[geo]'"
        ) from error
    bands = len(registry.sensor(SENSOR).bands)
    tile = np.random.default_rng(0).integers(300, 4000, (bands, TILE, TILE)).astype(np.uint16)
    with rasterio.Env(GDAL_CACHEMAX=16_000_000), rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", height=side, width=side, count=bands,
        dtype="uint16", crs="EPSG:32632", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6),
        tiled=True, blockxsize=TILE, blockysize=TILE, compress="deflate", interleave="pixel",
    ) as data:  # fmt: skip
        for row in range(0, side, TILE):
            for column in range(0, side, TILE):
                high, wide = min(TILE, side - row), min(TILE, side - column)
                data.write(
                    tile[:, :high, :wide],
                    window=windows.Window(column, row, wide, high),  # type: ignore
                )
    return folder / "scene.tif"
