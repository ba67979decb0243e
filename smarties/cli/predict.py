"""`smarties predict`: a scene to a map of classes, and their probabilities."""

import argparse
from collections.abc import Sequence

from smarties import errors
from smarties.cli import scene
from smarties.inference import maps, predictor, products, scenes
from smarties.spectrum import registry


def main(argv: Sequence[str]) -> None:
    """Writes a class map on the scene's own pixels; raises `UserError`."""
    arguments = _parser().parse_args(argv)
    output = scene.output(arguments.out, products.RASTER)
    shares = arguments.probabilities
    shares = scene.output(shares, products.RASTER, "--probabilities") if shares else None
    if shares == output:
        raise errors.UserError(f"--out and --probabilities are both {output}: give two names")
    options = scene.options(arguments)
    sensor = registry.sensor(arguments.sensor)
    head = predictor.load(arguments.weights, download=arguments.download).on(sensor.name)
    opened = scenes.open_scene(arguments.files, sensor, ",".join(sensor.names))
    with scene.progress() as report:
        maps.predict(head, opened, output, options, probabilities=shares, progress=report)
    also = f"; probabilities: {shares}" if shares else ""
    print(f"{output}: {len(head.classes)} classes of {opened.image.where}{also}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties predict", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "files", metavar="SCENE.tif", nargs="+", help="one file with all bands, or one per band"
    )
    parser.add_argument(
        "--weights", required=True, help="a run of segmentation, or what was exported of one"
    )
    parser.add_argument("--download", action="store_true", help="hf: may use the network")
    parser.add_argument("--sensor", required=True, help="a registered name, or a YAML file")
    parser.add_argument("--out", "--output", required=True, metavar="MAP.tif")
    parser.add_argument("--probabilities", metavar="FILE.tif", help="a band per class, float32")
    scene.add_arguments(parser)
    return parser
