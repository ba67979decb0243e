"""`smarties embed`: images to vectors, one a file; or a scene to a map, a cube or rows of chips.

What the output's suffix says: .npy a vector for each image; .tif a cloud-optimised GeoTIFF with a
pixel for each token; .zarr the same as a cube; .parquet GeoParquet with a row for each chip.
"""

import argparse
import datetime
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tqdm

from smarties import errors, loading
from smarties.cli import scene
from smarties.figures import scenes as pictures
from smarties.figures import tokens
from smarties.inference import model, products, scenes
from smarties.spectrum.bands import Sensor
from smarties.tasks import embedding

VECTORS = ".npy"
SHOWN = 1024  # half the side of the largest picture, pixels


def main(argv: Sequence[str]) -> None:
    """Writes the output; raises `UserError` naming the file that cannot be embedded."""
    arguments = _parser().parse_args(argv)
    output, files = Path(arguments.output), arguments.files
    known = (VECTORS, *products.SUFFIXES)
    if output.suffix not in known or not output.parent.is_dir():
        raise errors.UserError(
            f"--output {output} must be a .npy file in a folder that exists, or for a scene one of "
            f"{', '.join(products.SUFFIXES)}"
        )
    weights = arguments.weights or files.pop(0)
    if not files:
        raise errors.UserError("no image to embed: give --weights WEIGHTS and IMAGE.tif")
    options, time = scene.options(arguments), _time(arguments.time)
    loaded = loading.load(weights, heads=arguments.heads, download=arguments.download)
    arguments.pooling = arguments.pooling or loaded.pooling
    if output.suffix == VECTORS:
        _images(loaded, files, output, arguments)
    else:
        _scene(loaded, files, output, arguments, options, time)


def _images(
    loaded: model.Model, files: Sequence[str], output: Path, arguments: argparse.Namespace
) -> None:
    whole = loaded.sensor(arguments.sensor)
    sensor = whole.select(arguments.bands)
    rows = []
    for file in tqdm.tqdm(files, unit=" images"):
        opened = scenes.open_scene((file,), whole, arguments.bands)
        pixels, valid = opened.read(0, 0, *opened.shape)
        try:
            z = loaded.embed(
                pixels[None], sensor=sensor, bands=sensor.names, valid=valid[None],
                pooling=arguments.pooling, size=arguments.size,
            )  # fmt: skip
        except errors.UserError as error:
            raise errors.UserError(f"{file}: {error}") from error
        rows.append(z[0])
    _write(output, np.stack(rows))
    print(f"{output}: {len(rows)} x {len(rows[0])} {arguments.pooling} features of {sensor.name}")


def _write(output: Path, features: np.ndarray) -> None:
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            np.save(file, features, allow_pickle=False)
        os.replace(part, output)
    except OSError as error:
        raise errors.UserError(f"{output} cannot be written ({error.strerror})") from error


def _scene(
    loaded: model.Model,
    files: Sequence[str],
    output: Path,
    arguments: argparse.Namespace,
    options: products.Options,
    time: datetime.datetime | None,
) -> None:
    if arguments.picture and output.suffix not in products.RASTER:
        raise errors.UserError(f"--picture {arguments.picture} is of a .tif, not of {output}")
    if arguments.size is not None:
        raise errors.UserError("--size is for .npy: the windows of a scene keep its pixels")
    opened = scenes.open_scene(files, loaded.sensor(arguments.sensor), arguments.bands)
    chosen = opened.sensor.select([opened.sensor.names[i] for i in opened.take])
    if arguments.picture and all(band.domain == "thermal" for band in chosen.bands):
        raise errors.UserError(f"--picture: {chosen.name} has no optical or radar band to show")
    with scene.progress() as report:
        plan = products.embed(
            loaded, opened, output, options, dtype=arguments.dtype, pooling=arguments.pooling,
            final_norm=arguments.final_norm, time=time, progress=report,
        )  # fmt: skip
    if arguments.picture:
        _picture(opened, chosen, output, Path(arguments.picture), plan.cell)
    rows, columns = plan.grid
    print(f"{output}: {rows} x {columns} places of {plan.cell} pixels, {opened.sensor.name}")


def _picture(opened: scenes.Scene, chosen: Sensor, output: Path, picture: Path, cell: int) -> None:
    """Draws the tokens beside the scene, of a large one its first rows and columns."""
    import rasterio
    from rasterio import windows

    rows, columns = (min(n // cell, 2 * SHOWN // cell) for n in opened.shape)
    with rasterio.open(output) as data:
        found = data.read(window=windows.Window(0, 0, columns, rows), masked=True)  # type: ignore
        scales = np.array(data.scales)[:, None, None]
    values = np.moveaxis(found.astype(np.float32).filled(np.nan) * scales, 0, -1)
    pixels, _ = opened.read(0, 0, rows * cell, columns * cell)
    (_, seen), *_ = pictures.views(pixels, chosen)
    tokens.write(seen, [("tokens", values)], picture)


def _time(text: str | None) -> datetime.datetime | None:
    """Returns a moment; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise errors.UserError(f"--time {text}: give ISO 8601, as 2020-02-23T03:27:39Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smarties embed", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "files", metavar="IMAGE.tif", nargs="+",
        help="images of the sensor, or the bands of one scene; the weights come first unless "
        "--weights is given",
    )  # fmt: skip
    parser.add_argument("--weights", help="run directory or .safetensors file")
    parser.add_argument("--sensor", required=True, help="a registered name, or a YAML file")
    parser.add_argument("--bands", help="names with commas (default: the sensor's selected bands)")
    parser.add_argument(
        "--pooling",
        choices=embedding.POOLINGS,
        help="of images and chips (default: the model's own, cls for SMARTIES)",
    )
    parser.add_argument("--size", type=int, help="of images: resample to so many pixels a side")
    parser.add_argument(
        "--heads", type=int, help="of the encoder, where a foreign file does not tell"
    )
    parser.add_argument("--download", action="store_true", help="hf: may use the network")
    parser.add_argument("--out", "--output", dest="output", required=True, metavar="FILE")
    scene.add_arguments(parser)
    parser.add_argument("--dtype", default="float32", choices=products.DTYPES, help="of a .tif")
    parser.add_argument("--final_norm", action="store_true", help="tokens after the final norm")
    parser.add_argument("--picture", metavar="FILE.png", help="of a .tif's tokens as colours")
    parser.add_argument("--time", help="of the scene, for the rows of a .parquet")
    return parser
