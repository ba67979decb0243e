"""`smarties export`: the weights of a run as one safetensors file, in released names."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smarties import loading
from smarties.interchange import weights


def main(argv: Sequence[str]) -> None:
    """Writes the file; raises `UserError` for no checkpoint, or no place to write."""
    arguments = _parser().parse_args(argv)
    model = loading.load(arguments.run, step=arguments.step, average=arguments.ema)
    params, config = model.params, dict(model.config)
    if arguments.encoder_only:
        params, config = weights.encoder_only(params, config)
    output = Path(arguments.output)
    weights.write(output, params, config)
    size = output.stat().st_size / 1e6
    kind = "moving average" if config["average"] else "parameters"
    part = " of the encoder" if arguments.encoder_only else ""
    print(f"{output}: {kind}{part} after step {config['step']}, {size:.1f} MB")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties export", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("--output", required=True, metavar="FILE.safetensors")
    parser.add_argument("--step", type=int, help="checkpoint to take (default: the last)")
    parser.add_argument(
        "--ema",
        action=argparse.BooleanOptionalAction,
        help="the moving average of the parameters (default: where the run kept one)",
    )
    parser.add_argument(
        "--encoder_only", action="store_true", help="leave decoder and reconstruction heads out"
    )
    return parser
