"""`smarties results`: the table of what was evaluated, and its pictures."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smarties import errors
from smarties.inference import results


def main(argv: Sequence[str]) -> None:
    """Prints the table; raises `UserError` where there is none."""
    arguments = _parser().parse_args(argv)
    path = Path(arguments.file)
    rows = results.read(path)
    if not rows:
        raise errors.UserError(f"{path} has no rows of results: `smarties evaluate` writes them")
    lines = [results.HEADER, *results.table(rows, arguments.metric)]
    print(results.text(lines, arguments.markdown))
    for table in results.ways(rows, arguments.metric):
        print(f"\n{results.text(table, arguments.markdown)}")
    if arguments.figures:
        from smarties.figures import evaluation

        for file in evaluation.write(results.groups(rows), Path(arguments.figures)):
            print(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties results", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("file", nargs="?", default="runs/results.jsonl", metavar="FILE")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--metric", help="in place of the one that settings were chosen by")
    parser.add_argument("--figures", metavar="DIR", help="also draw the pictures into a folder")
    return parser
