"""`smarties train`: a configuration file, overrides from the command line, and the loop."""

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
from absl import flags
from jax.experimental.compilation_cache import compilation_cache

from smarties import loading, tasks
from smarties.cli import configuration
from smarties.figures import report, sheet
from smarties.training import dry_run, loop, processes


def main(argv: Sequence[str]) -> None:
    """Trains, or with --dry_run prints what would be trained."""
    arguments, overrides = _parser().parse_known_args(argv)
    config = configuration.load(arguments.config, overrides)
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # grain's worker processes look
    processes.join()
    workdir = Path(arguments.workdir or f"runs/{config.name}")
    task = tasks.make(config, load=loading.load)
    if arguments.dry_run:
        print(dry_run.describe(task, config))
        return
    with _compiled_kept(workdir / "compiled"):
        loop.train(task, config, workdir, sheet.draw)
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


@contextlib.contextmanager
def _compiled_kept(directory: Path) -> Iterator[None]:
    """Has XLA keep what it compiles, unless told where to, so that a resumed run starts sooner."""
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        yield
        return
    compilation_cache.set_cache_dir(str(directory.absolute()))
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()
