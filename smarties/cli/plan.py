"""`smarties plan`: memory, communication and time of a run on many devices, by compiling alone."""

import argparse
from collections.abc import Sequence
from typing import Any

import jax

from smarties import errors, loading, tasks
from smarties.cli import configuration
from smarties.training import forecast, plan, settings


def main(argv: Sequence[str]) -> None:
    """Prints the plan; raises `UserError` for a mesh, batch or hardware that cannot be."""
    arguments, overrides = _parser().parse_known_args(argv)
    names = [forecast.known(name) for name in arguments.hardware or forecast.HARDWARE]
    if not 0 < arguments.efficiency <= 1:
        raise errors.UserError(f"--efficiency {arguments.efficiency}: a share, above 0 and up to 1")
    devices = _devices(arguments.devices)
    config = settings.resolve(configuration.load(arguments.config, overrides))
    task = tasks.make(config, data=arguments.data, load=loading.load)
    planned = plan.make(task, config, devices)
    counted = arguments.data or not (config.epochs or config.optimizer.warmup_epochs)
    dtype = config.get("model", {}).get("dtype", "float32")
    made = forecast.make(planned, task, dtype, planned.steps if counted else None)
    print(forecast.describe(made, arguments.efficiency, names))
    if not arguments.data:
        size = config.model.image_size
        print(
            f"\nImages of {size} x {size} stand for those of the data; --data reads these, and so "
            "knows the length of epochs."
        )


def _devices(count: int) -> list[Any]:
    """Returns so many fake devices of this machine's processor."""
    if count < 1:
        raise errors.UserError(f"--devices {count}: one or more")
    try:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:
        pass  # this process has its devices already
    if len(jax.devices()) < count:
        raise errors.UserError(
            f"--devices {count}: this process has {len(jax.devices())} devices already: plan in "
            "one of its own, without XLA_FLAGS"
        )
    return jax.devices()[:count]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties plan",
        allow_abbrev=False,
        description="Compiles the sharded step of a configuration for many fake devices and prints "
        "the memory of each, what they send to each other, and the time a step would take.",
        epilog="Any field is set by --config.<field>=<value>, for example --config.mesh.fsdp=64.",
    )
    parser.add_argument("--config", required=True, metavar="FILE[:ARG]")
    parser.add_argument("--devices", required=True, type=int, metavar="N")
    parser.add_argument(
        "--hardware",
        action="append",
        metavar="NAME",
        help=f"repeat it; of {', '.join(forecast.HARDWARE)} (default: all)",
    )
    parser.add_argument(
        "--efficiency",
        type=float,
        default=0.4,
        help="share of the peak rate of products a step reaches, from `smarties bench` (0.4)",
    )
    parser.add_argument("--data", action="store_true", help="read the sizes of the data's images")
    return parser
