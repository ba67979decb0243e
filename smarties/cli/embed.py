"""`smarties embed`: GeoTIFF images to vectors, one a file."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tqdm

from smarties import errors, loading
from smarties.data import geotiff
from smarties.spectrum.bands import Sensor
from smarties.tasks import embedding


def main(argv: Sequence[str]) -> None:
    """Writes [files, D]; raises `UserError` naming the file that cannot be embedded."""
    arguments = _parser().parse_args(argv)
    output = Path(arguments.output)
    if output.suffix != ".npy" or not output.parent.is_dir():
        raise errors.UserError(f"--output {output} must be a .npy file in a folder that exists")
    model = loading.load(arguments.weights, heads=arguments.heads)
    whole = model.sensor(arguments.sensor)
    sensor = whole.select(arguments.bands)
    rows = []
    for file in tqdm.tqdm(arguments.images, unit=" images"):
        pixels, valid = _read(file, whole, sensor)
        try:
            z = model.embed(
                pixels[None], sensor=sensor, bands=sensor.names, valid=valid[None],
                pooling=arguments.pooling, size=arguments.size,
            )  # fmt: skip
        except errors.UserError as error:
            raise errors.UserError(f"{file}: {error}") from error
        rows.append(z[0])
    _write(output, np.stack(rows))
    print(f"{output}: {len(rows)} x {len(rows[0])} {arguments.pooling} features of {sensor.name}")


def _read(file: str, whole: Sensor, sensor: Sensor) -> tuple[np.ndarray, np.ndarray]:
    """Returns (pixels [H, W, c], valid [H, W]) of a file with all bands, or the asked ones."""
    try:
        kind, image = whole, geotiff.inspect((file,), whole)
    except errors.UserError:
        if sensor.names == whole.names:
            raise
        kind, image = sensor, geotiff.inspect((file,), sensor)
    pixels, valid = geotiff.read(image, (0, 0, *image.shape), kind)
    return pixels[..., list(kind.index(sensor.names))], valid


def _write(output: Path, features: np.ndarray) -> None:
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            np.save(file, features, allow_pickle=False)
        os.replace(part, output)
    except OSError as error:
        raise errors.UserError(f"{output} cannot be written ({error.strerror})") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smarties embed", description=__doc__, allow_abbrev=False)
    parser.add_argument("weights", metavar="WEIGHTS", help="run directory or .safetensors file")
    parser.add_argument(
        "images", metavar="IMAGE.tif", nargs="+", help="one image of the sensor each"
    )
    parser.add_argument("--sensor", required=True, help="a registered name, or a YAML file")
    parser.add_argument("--bands", help="names with commas (default: the sensor's selected bands)")
    parser.add_argument("--pooling", default="cls", choices=embedding.POOLINGS)
    parser.add_argument("--size", type=int, help="resample to this many pixels a side")
    parser.add_argument(
        "--heads", type=int, help="of the encoder, where a foreign file does not tell"
    )
    parser.add_argument("--output", required=True, metavar="FILE.npy")
    return parser
