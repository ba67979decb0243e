"""Lists and tables that come with archives, as text; whatever is wrong names the file."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from smarties import errors


def lines(file: Path) -> list[str]:
    """Returns the lines of a text file that are not empty, stripped.

    Raises:
      UserError: a missing file, or no text.
    """
    return [line.strip() for line in _text(file).splitlines() if line.strip()]


def rows(file: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the number of the line and the named columns of each row of a CSV with a header.

    Fields that a short row lacks are "".

    Raises:
      UserError: a missing file, no text, or a missing column.
    """
    table = csv.DictReader(_text(file).splitlines())
    if lost := sorted(set(columns) - set(table.fieldnames or ())):
        raise errors.UserError(f"{file}: no column {', '.join(lost)}")
    for row in table:
        yield table.line_num, {name: row[name] or "" for name in columns}


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UserError(f"{file}: missing, or no text ({type(error).__name__})") from error
