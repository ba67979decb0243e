"""What commands about whole scenes share: their options, the output's name, progress."""

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import tqdm

from smarties import errors
from smarties.inference import mosaic, products


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds how a scene is cut."""
    parser.add_argument("--window", type=int, help="pixels a side (default: as trained)")
    parser.add_argument("--overlap", type=int, help="pixels (default: a quarter of the window)")
    parser.add_argument("--batch", type=int, default=16, help="windows at a time")


def options(arguments: argparse.Namespace) -> products.Options:
    """Returns how a scene is cut; raises `UserError` for what is no number of windows."""
    if arguments.batch < 1:
        raise errors.UserError(f"--batch {arguments.batch}: at least 1 window at a time")
    return products.Options(side=arguments.window, overlap=arguments.overlap, batch=arguments.batch)


def output(name: str, suffixes: Sequence[str], option: str = "--out") -> Path:
    """Returns the path of an output; raises `UserError` unless it can be written."""
    path = Path(name)
    if path.suffix not in suffixes or not path.parent.is_dir():
        raise errors.UserError(
            f"{option} {name} must end in {' or '.join(suffixes)} and lie in a folder that exists"
        )
    return path


@contextlib.contextmanager
def progress() -> Iterator[mosaic.Progress]:
    """Yields a function that shows how many windows are done."""
    with tqdm.tqdm(unit=" windows", smoothing=0.05) as bar:

        def report(done: int, total: int) -> None:
            if bar.total is None:
                bar.initial = done  # of an earlier call: not of this one's speed
            bar.total = total
            bar.update(done - bar.n)

        yield report
