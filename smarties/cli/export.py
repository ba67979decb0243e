"""`smarties export`: weights for other software, as one file or a folder the hub can host.

safetensors: tensors in released names; a folder with config.json and model card, or one file.
stablehlo: the same folder, and the encoder for one sensor as a program that runs without smarties.
orbax: the parameters as Orbax keeps them, with config.json.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smarties import errors, loading
from smarties.interchange import hub, stablehlo, weights
from smarties.typing import Tree

FORMATS = ("safetensors", "stablehlo", "orbax")
OUTPUTS = {
    "cls": "the CLS token after the final norm",
    "mean": "the final norm of the mean patch token",
    "tokens": "patch tokens before the final norm, [b, H/P, W/P, D]",
}


def main(argv: Sequence[str]) -> None:
    """Writes it; raises `UserError` for no checkpoint, or no place to write."""
    arguments = _parser().parse_args(argv)
    output = Path(arguments.output)
    params, config = loading.read(
        arguments.weights, arguments.step, arguments.ema, download=arguments.download
    )
    if arguments.format != "orbax":  # adapters are for further training
        params, config = loading.adapted(params, config)
    if arguments.encoder_only:
        params, config = weights.encoder_only(params, config)
    given = {"name": arguments.name, "licence": arguments.licence}
    config = {**config, **{key: value for key, value in given.items() if value}}
    if (arguments.sensor is not None) != (arguments.format == "stablehlo"):
        raise errors.UserError("--format stablehlo needs --sensor, and nothing else takes it")
    if output.suffix == ".safetensors":
        if arguments.format != "safetensors":
            raise errors.UserError(f"--format {arguments.format} writes a folder: --output DIR")
        weights.write(output, params, config)
    elif arguments.format == "orbax":
        loading.write_orbax(output, params, config)
    elif arguments.format == "stablehlo":
        _write_program(output, params, config, arguments)
    else:
        hub.write(output, params, config)
    files = [output] if output.is_file() else [f for f in output.rglob("*") if f.is_file()]
    size = sum(file.stat().st_size for file in files) / 1e6
    kind = "moving average" if config.get("average") else "parameters"
    part = " of the encoder" if arguments.encoder_only else ""
    when = "" if config["step"] is None else f" after step {config['step']}"
    print(f"{output}: {kind}{part}{when}, {size:.1f} MB")


def _write_program(output: Path, params: Tree, config: Mapping[str, Any], arguments) -> None:
    loaded = loading.model_of(params, config)
    sensor = loaded.sensor(arguments.sensor).select(arguments.bands)
    platforms = tuple(arguments.platforms.split(","))
    for platform in platforms:
        if platform not in stablehlo.PLATFORMS:
            raise errors.unknown("platform", platform, stablehlo.PLATFORMS)
    output_ = arguments.pooling or loaded.pooling
    embed, meaning = loaded.program(sensor, output_), OUTPUTS[output_]
    stablehlo.write(output, params, config, embed, sensor, meaning, platforms)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties export", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "weights", metavar="RUN|WEIGHTS", help="run directory, weights, or hf:owner/name[@revision]"
    )
    parser.add_argument("--output", required=True, metavar="DIR|FILE.safetensors")
    parser.add_argument("--format", default="safetensors", choices=FORMATS)
    parser.add_argument("--step", type=int, help="checkpoint to take (default: the last)")
    parser.add_argument(
        "--ema",
        action=argparse.BooleanOptionalAction,
        help="the moving average of the parameters (default: where the run kept one)",
    )
    parser.add_argument(
        "--encoder_only", action="store_true", help="leave decoder and reconstruction heads out"
    )
    parser.add_argument("--name", help="of the model (default: the run's)")
    parser.add_argument("--licence", metavar="SPDX", help="for the card, e.g. apache-2.0")
    parser.add_argument("--sensor", help="stablehlo: a registered name, or a YAML file")
    parser.add_argument("--bands", help="stablehlo: names with commas (default: the selected ones)")
    parser.add_argument(
        "--pooling", choices=OUTPUTS, help="stablehlo: its output (default: the model's pooling)"
    )
    parser.add_argument(
        "--platforms", default=",".join(stablehlo.PLATFORMS), help="stablehlo (default %(default)s)"
    )
    parser.add_argument("--download", action="store_true", help="hf: may use the network")
    return parser
