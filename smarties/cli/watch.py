"""`smarties watch`: the curves of runs in the terminal, as they grow."""

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path

from smarties.figures import frame, watching


def main(argv: Sequence[str]) -> None:
    """Draws until the runs are finished; Ctrl-C ends it."""
    with contextlib.suppress(KeyboardInterrupt):
        given = vars(_parser().parse_args(argv))
        watching.watch(given.pop("runs"), **given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties watch",
        description="Draw the curves of runs in the terminal as they grow, until the runs are "
        "finished or Ctrl-C is pressed. Reads the run directories, on any machine that sees them.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run directory")
    parser.add_argument("--metric", default="train/loss", help="to draw (default: train/loss)")
    parser.add_argument(
        "--scale", default="auto", help=f"{', '.join(frame.SCALES)} (default: auto)"
    )
    parser.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="between looks (default: 2)"
    )
    parser.add_argument("--once", action="store_true", help="print one frame and end")
    parser.add_argument("--wait", action="store_true", help="for runs not yet begun")
    return parser
