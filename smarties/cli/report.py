"""`smarties report`: the page of a run."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smarties.figures import report


def main(argv: Sequence[str]) -> None:
    """Writes RUN/report.html and prints its path."""
    parser = argparse.ArgumentParser(
        prog="smarties report",
        description="Write one self-contained page of a run's numbers, curves and pictures.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory")
    print(report.write(parser.parse_args(argv).run))
