"""What a scene becomes under an encoder: a token map, a cube, or rows of chips."""

import dataclasses
import datetime
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.inference import chips, cubes, jobs, model, mosaic, rasters, scenes, store, windows
from smarties.tasks import embedding

RASTER, CHIPS, CUBE = (".tif", ".tiff"), ".parquet", ".zarr"
SUFFIXES = (*RASTER, CHIPS, CUBE)
DTYPES = ("float32", "int8")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a scene is cut.

    Attributes:
      side, overlap: of windows, pixels; by default the size the model was trained on, and for
        maps a quarter of it.
      batch: windows at a time.
      every: seconds between checkpoints of the unfinished product.
      swath: see `windows.Plan`.
    """

    side: int | None = None
    overlap: int | None = None
    batch: int = 16
    every: float = 30.0
    swath: int = 4096

    def plan(self, scene: scenes.Scene, trained: int, patch: int, cell: int) -> windows.Plan:
        side = trained if self.side is None else self.side
        overlap = side // 4 // patch * patch if self.overlap is None else self.overlap
        windows.Plan(shape=scene.shape, side=side, overlap=overlap, cell=patch)  # checks
        return windows.Plan(
            shape=scene.shape, side=side, overlap=overlap, cell=cell, swath=self.swath
        )


def embed(
    encoder: model.Model,
    scene: scenes.Scene,
    output: Path,
    options: Options,
    *,
    dtype: str = "float32",
    pooling: embedding.Pooling = "cls",
    final_norm: bool = False,
    time: datetime.datetime | None = None,
    progress: mosaic.Progress = mosaic.silent,
) -> windows.Plan:
    """Returns the plan after which it wrote the features of a scene, by the output's suffix.

    .tif: a COG with one pixel per token; .zarr: the same as a cube; .parquet: a row per chip.

    Args:
      dtype: of a COG: "float32", or "int8" with a scale for each feature.
      pooling: of chips, see `Model.embed`.
      final_norm: of tokens, see `Model.tokens`.
      time: when the scene was taken, for the rows of chips.

    Raises:
      UserError: see `mosaic.run`; ground without longitude and latitude for chips; no room.
    """
    rows = output.suffix == CHIPS
    _check(output, dtype)
    if rows and not scene.image.crs:
        raise errors.UserError(f"{scene.image.where} has no CRS: chips need a place on the ground")
    patch, width = encoder.patch, encoder.config["model"]["encoder"]["width"]
    trained = encoder.config["model"]["image_size"]
    side = trained if options.side is None else options.side
    cut = dataclasses.replace(options, overlap=0) if rows else options
    plan = cut.plan(scene, trained, patch, side if rows else patch)
    sensor = scene.sensor.select(tuple(scene.sensor.names[i] for i in scene.take))
    known: dict[str, Any] = dict(sensor=sensor, bands=sensor.names)

    def function(images: np.ndarray, valid: np.ndarray) -> np.ndarray:
        if not rows:
            return encoder.tokens(
                images, valid=valid, final_norm=final_norm, batch_size=len(images), **known
            )
        z = encoder.embed(images, valid=valid, pooling=pooling, batch_size=len(images), **known)
        return z[:, None, None]

    said = f"{pooling} of chips" if rows else "final tokens" if final_norm else "tokens"
    about = described(encoder, scene, plan, said)
    kind = {
        **about, "dtype": dtype, "time": str(time), "batch": options.batch, "swath": options.swath,
        "config": json.dumps(encoder.config, sort_keys=True, default=str),
    }  # fmt: skip
    layers = {"values": mosaic.Layer(width, "float32", mosaic.known)}
    with jobs.unfinished(output, scene, encoder.params, kind) as folder:
        values = mosaic.run(
            scene, plan, function, layers, folder, depth=width, batch=options.batch,
            every=options.every, progress=progress,
        )["values"]  # fmt: skip
        if rows:
            chips.write(
                folder / "done", values, crs=scene.image.crs, transform=scene.transform,
                shape=scene.shape, cell=plan.cell, model=about["MODEL"], scene=scene.image.where,
                time=time,
            )  # fmt: skip
        elif output.suffix == CUBE:
            cubes.write(
                folder / "done", values, crs=scene.image.crs, transform=cells(scene, plan.cell),
                about=about,
            )  # fmt: skip
        else:
            _raster(folder / "done", values, scene, plan, about, dtype)
        jobs.rename(folder / "done", output)
    return plan


def _check(output: Path, dtype: str) -> None:
    if dtype != DTYPES[0] and output.suffix not in RASTER:
        raise errors.UserError(f"{output}: {dtype} is for {RASTER[0]}; others are {DTYPES[0]}")
    for suffix, package in ((CHIPS, "pyarrow"), (CUBE, "zarr")):
        if output.suffix == suffix:
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise errors.UserError(
                    f"{output}: writing {suffix} needs {package}: pip install 'smarties[data]'"
                ) from error


def described(encoder: Any, scene: scenes.Scene, plan: windows.Plan, what: str) -> dict[str, str]:
    """Returns the tags of a product: what made it, of which scene, cut how."""
    config = getattr(encoder, "config", {})
    step = config.get("step")
    rows, columns = plan.window
    name = config.get("name", "head") + ("" if step is None else f"@{step}")
    return {
        "MODEL": f"{name}#{jobs.fingerprint(encoder.params)[:12]}",
        "CONTENT": what,
        "SCENE": scene.image.where,
        "SENSOR": scene.sensor.name,
        "BANDS": ",".join(scene.sensor.names[i] for i in scene.take),
        "WINDOW": f"{rows * plan.cell}x{columns * plan.cell} pixels, {plan.overlap} overlap",
    }


def cells(scene: scenes.Scene, cell: int) -> tuple[float, ...]:
    """Returns the transform of cells of so many pixels."""
    a, b, c, d, e, f = scene.transform
    return a * cell, b, c, d, e * cell, f


def _raster(
    path: Path,
    values: store.Store,
    scene: scenes.Scene,
    plan: windows.Plan,
    about: Mapping[str, str],
    dtype: str,
) -> None:
    said = rasters.Description(
        crs=scene.image.crs, transform=cells(scene, plan.cell), nodata=np.nan, tags=about
    )
    if dtype == "float32":
        rasters.write(path, values, said)
        return
    scales, encode = rasters.quantised(values)
    tags = {**about, **rasters.dequantisation(scales)}
    said = dataclasses.replace(said, nodata=rasters.INT8_NODATA, tags=tags)
    rasters.write(path, values, said, dtype="int8", encode=encode, scales=scales.tolist())
