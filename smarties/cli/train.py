"""`smarties train`: a configuration file, overrides from the command line, and the loop."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags, logging

from smarties import tasks
from smarties.cli import configuration
from smarties.figures import report
from smarties.training import dry_run, loop


def main(argv: Sequence[str]) -> None:
    """Trains, or with --dry_run prints what would be trained."""
    arguments, overrides = _parser().parse_known_args(argv)
    config = configuration.load(arguments.config, overrides)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # grain's worker processes look
    logging.set_verbosity(logging.FATAL)  # libraries tell at length what is reported as one line
    _join_other_processes()
    workdir = Path(arguments.workdir or f"runs/{config.name}")
    _keep_compiled(workdir / "compiled")
    task = tasks.make(config)
    if arguments.dry_run:
        print(dry_run.describe(task, config))
        return
    loop.train(task, config, workdir)
    if jax.process_index() == 0:
        report.write(workdir)
        print(f"{config.name} is in {workdir}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties train",
        allow_abbrev=False,
        description="Trains by a configuration file; resumes where the run directory left off.",
        epilog="Any field of the configuration is set by --config.<field>=<value>, for example "
        "--config.optimizer.learning_rate=3e-4.",
    )
    parser.add_argument(
        "--config", required=True, metavar="FILE[:ARG]", help="Python file with get_config(arg)"
    )
    parser.add_argument("--workdir", metavar="DIR", help="run directory (default: runs/<name>)")
    parser.add_argument(
        "--dry_run",
        action="store_true",
        help="print configuration, parameters, batch, memory and FLOPs, and train nothing",
    )
    return parser


def _keep_compiled(directory: Path) -> None:
    """Has XLA keep what it compiles, unless told where to, so that a resumed run starts sooner."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(directory))


def _join_other_processes() -> None:
    """Connects to the processes of a run on several hosts, where the environment names them.

    JAX_COORDINATOR_ADDRESS asks for it; JAX_NUM_PROCESSES and JAX_PROCESS_ID say who is who, and
    without them JAX asks the scheduler.
    """
    if "JAX_COORDINATOR_ADDRESS" in os.environ and not jax.distributed.is_initialized():
        count, index = os.environ.get("JAX_NUM_PROCESSES"), os.environ.get("JAX_PROCESS_ID")
        jax.distributed.initialize(
            num_processes=int(count) if count else None, process_id=int(index) if index else None
        )
