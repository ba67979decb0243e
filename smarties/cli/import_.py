"""`smarties import`: checks weights in released names and writes them with what the model is."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smarties import errors
from smarties.cli import info
from smarties.inference import model
from smarties.interchange import weights
from smarties.spectrum import mixing


def main(argv: Sequence[str]) -> None:
    """Writes the file and prints the sizes; raises `UserError` for weights that do not fit."""
    arguments = _parser().parse_args(argv)
    source, output = Path(arguments.weights), Path(arguments.output)
    params, config = weights.read(source, arguments.heads, arguments.decoder_heads)
    if arguments.rule:
        if arguments.rule not in mixing.RULES:
            raise errors.unknown("mixing rule", arguments.rule, mixing.RULES)
        config["rule"] = arguments.rule
    config["name"] = arguments.name or config["name"]
    if output.suffix != ".safetensors":
        output = output / f"{config['name']}.safetensors"
    if output.exists() and source.samefile(output):
        raise errors.UserError(f"{output} is the file to read: give another --output")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.UserError(f"{output.parent} cannot be made ({error.strerror})") from error
    weights.write(output, params, config)
    print("\n".join(info.describe(model.Model(config=config, params=params))))
    print(f"wrote {output}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties import", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("weights", metavar="WEIGHTS.safetensors", help="in released names")
    parser.add_argument(
        "--output", required=True, metavar="FILE|DIR", help="what to write, or where"
    )
    parser.add_argument("--name", help="of the model (default: the file's)")
    parser.add_argument("--heads", type=int, help="of the encoder, where its width does not tell")
    parser.add_argument("--decoder_heads", type=int, help=f"default {weights.DECODER_HEADS}")
    parser.add_argument("--rule", help="mixing rule (default released)")
    return parser
