"""`smarties info`: what a run directory or a weights file holds."""

import argparse
import json
from collections.abc import Iterator, Sequence

import jax

from smarties import loading
from smarties.inference import model
from smarties.interchange import sizes as told
from smarties.spectrum import registry
from smarties.spectrum.bands import Sensor


def main(argv: Sequence[str]) -> None:
    """Prints it; raises `UserError` for what cannot be loaded."""
    arguments = _parser().parse_args(argv)
    sizes = {"heads": arguments.heads, "decoder_heads": arguments.decoder_heads}
    loaded = loading.load(arguments.path, **sizes, download=arguments.download)
    if arguments.json:
        print(json.dumps({**loaded.config, "parameters": _count(loaded.params)}, indent=2))
    else:
        print("\n".join(describe(loaded)))


def describe(loaded: model.Model) -> Iterator[str]:
    """Yields lines: name, sizes, parameters, spectrum, rule, step, and the sensors trained on."""
    config, sizes = loaded.config, loaded.config["model"]
    step = "" if config["step"] is None else f", after step {config['step']}"
    yield f"{config['name']}{step}"
    for half in ("encoder", "decoder"):
        if half in sizes:
            one = sizes[half]
            parts = f"width {one['width']}, {told.depth(one)}, heads {one['heads']}"
            yield f"  {half:<11} {parts}, {_count(loaded.params.get(half, {})):,} parameters"
    yield f"  {'all':<11} {_count(loaded.params):,} parameters"
    yield f"  {'images':<11} {sizes['image_size']} pixels, patches of {sizes['patch']}"
    spectrum = registry.spectrum(config["spectrum"])
    yield f"  {'spectrum':<11} {spectrum.name}, {len(spectrum)} ranges; rule {config['rule']}"
    if config.get("classes"):
        yield f"  {'classes':<11} {', '.join(config['classes'])}"
    if not config["sensors"]:
        yield f"  {'sensors':<11} not said in the file"
    for name in config["sensors"]:
        yield f"  {'trained on':<11} {name}: {_bands(loaded.sensor(name))}"


def _bands(sensor: Sensor) -> str:
    chosen = sensor.select()
    units = ", ".join(dict.fromkeys(_unit(band) for band in chosen.bands))
    return f"{', '.join(chosen.names)} ({units})"


def _unit(band) -> str:
    if (band.scale, band.offset) == (1, 0):
        return band.unit
    return f"{band.unit} = {band.scale:g} x" + (f" {band.offset:+g}" if band.offset else "")


def _count(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smarties info", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "path", metavar="RUN|WEIGHTS", help="run directory, weights, or hf:owner/name[@revision]"
    )
    parser.add_argument("--download", action="store_true", help="hf: may use the network")
    parser.add_argument("--json", action="store_true", help="print JSON, sensors in full")
    parser.add_argument(
        "--heads", type=int, help="of the encoder, where a foreign file does not tell"
    )
    parser.add_argument("--decoder_heads", type=int, help="the same for the decoder")
    return parser
