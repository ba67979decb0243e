"""`smarties import`: checks weights of any kind and writes them with what the model is.

Files in released names, PyTorch's own (weights only, with the extra "torch"), folders that
`smarties export` wrote, run directories, and hf:owner/name[@revision].
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smarties import errors, loading
from smarties.cli import info
from smarties.interchange import agreement, sizes, weights
from smarties.spectrum import mixing


def main(argv: Sequence[str]) -> None:
    """Writes the file and prints the sizes; raises `UserError` for weights that do not fit."""
    arguments = _parser().parse_args(argv)
    params, config = loading.read(
        arguments.weights, heads=arguments.heads, decoder_heads=arguments.decoder_heads,
        download=arguments.download,
    )  # fmt: skip
    if arguments.rule:
        if arguments.rule not in mixing.RULES:
            raise errors.unknown("mixing rule", arguments.rule, mixing.RULES)
        config["rule"] = arguments.rule
    if arguments.classes:
        config["classes"] = _classes(arguments.classes)
        agreement.check_classes(config["classes"], params)
    config["name"] = arguments.name or config["name"]
    source, output = Path(arguments.weights), Path(arguments.output)
    if output.suffix != ".safetensors":
        output = output / f"{config['name']}.safetensors"
    if output.exists() and source.exists() and source.samefile(output):
        raise errors.UserError(f"{output} is the file to read: give another --output")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.UserError(f"{output.parent} cannot be made ({error.strerror})") from error
    weights.write(output, params, config)
    print("\n".join(info.describe(loading.model_of(params, config))))
    print(f"wrote {output}")


def _classes(given: str) -> list[str]:
    """Returns names from a list with commas, or from a text file of one a line."""
    if not given.endswith(".txt"):
        return given.split(",")
    try:
        return [line.strip() for line in Path(given).read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UserError(f"--classes {given} cannot be read: one name a line") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties import", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("weights", metavar="WEIGHTS", help="file, folder, or hf:owner/name")
    parser.add_argument(
        "--output", required=True, metavar="FILE|DIR", help="what to write, or where"
    )
    parser.add_argument("--name", help="of the model (default: the file's)")
    parser.add_argument("--heads", type=int, help="of the encoder, where its width does not tell")
    parser.add_argument("--decoder_heads", type=int, help=f"default {sizes.DECODER_HEADS}")
    parser.add_argument("--rule", help="mixing rule (default released)")
    parser.add_argument(
        "--classes", metavar="A,B,...|FILE.txt", help="names in the order of the head's outputs"
    )
    parser.add_argument("--download", action="store_true", help="hf: may use the network")
    return parser
