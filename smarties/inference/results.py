"""Rows of results: appended to a file of JSON lines, read back, and laid out as a table.

A row says all that a number depends on, and `key` is the hash of that. A later row of the same key
takes the place of an earlier one.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors

Row = dict[str, Any]

MODEL = "model"
_CONDITION = ("name", "data", "protocol", "sensor", "bands", "labelled", "track", "level", "seed")
_DEFINED = ("denominator", "ideal", "depth")  # in the `settings` of a retrieval: what is measured
_NEEDED = (*_CONDITION, "key", "features", "probe", "checkpoint", "select", "metrics")


def append(path: Path, row: Row) -> None:
    """Adds a row in one write at the end of the file, so that several runs may share it.

    Raises:
      UserError: it cannot be written.
    """
    line = json.dumps(row, allow_nan=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise errors.UserError(f"{path} cannot be written ({error.strerror})") from error
    if written != len(line):
        raise errors.UserError(f"{path}: the disk is full: delete its last line, which is cut off")


def read(path: Path) -> list[Row]:
    """Returns the rows of a file, the last of each key; [] where there is no file.

    Raises:
      UserError: a line that is no row, with its number.
    """
    if not path.is_file():
        return []
    rows: dict[str, Row] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            row = json.loads(line)
            lacking = [name for name in _NEEDED if name not in row]
        except (ValueError, TypeError) as error:
            raise errors.UserError(f"{path}:{number} is no row of results: delete it") from error
        if lacking:
            raise errors.UserError(f"{path}:{number} is a row without {lacking[0]!r}: delete it")
        rows.pop(row["key"], None)
        rows[row["key"]] = row
    return list(rows.values())


def groups(rows: Iterable[Row]) -> list[list[Row]]:
    """Returns the rows by condition: what differs in a group is features and probe only."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_kind(row, _CONDITION), []).append(row)
    return list(found.values())


def main_metric(row: Row) -> str:
    """Returns the metric that settings were chosen by."""
    return row["select"]


def best_baseline(group: Sequence[Row], metric: str) -> Row | None:
    """Returns the row of the best features that were not pretrained, by any probe."""
    known = [row for row in group if row["features"] != MODEL and metric in row["metrics"]]
    return max(known, key=lambda row: row["metrics"][metric][0], default=None)


def gap(row: Row, other: Row, metric: str) -> tuple[float, float | None, float | None]:
    """Returns by how much a row is above another, and the ends of the 95 % interval.

    The replicates of rows of one condition drew the same examples, so that their differences are
    paired. Of other metrics than the main one no replicates are kept, and the ends are None.
    """
    difference = row["metrics"][metric][0] - other["metrics"][metric][0]
    ours, theirs = (np.array(r.get("replicates", [])) for r in (row, other))
    if metric != main_metric(row) or not len(ours) or len(ours) != len(theirs):
        return difference, None, None
    low, high = np.quantile(ours - theirs, (0.025, 0.975))
    return difference, float(low), float(high)


HEADER = ("task", "condition", "features", "probe", "metric", "value", "95 %", "over best baseline")


def table(rows: Iterable[Row], metric: str | None = None) -> list[tuple[str, ...]]:
    """Returns the lines of cells below `HEADER`, best first in each condition.

    Args:
      rows: of a file.
      metric: in place of each row's main one.

    Raises:
      UserError: no row has the metric.
    """
    lines = []
    rows = list(rows)
    for group in groups(rows):
        wanted = metric or main_metric(group[0])
        having = [row for row in group if wanted in row["metrics"]]
        for row in sorted(having, key=lambda r: -r["metrics"][wanted][0]):
            value, low, high = (100 * x for x in row["metrics"][wanted])
            lines.append((
                row["name"], condition(row), said(row), row["probe"], wanted,
                f"{value:.1f}", f"{low:.1f} to {high:.1f}", _lead(row, group, wanted),
            ))  # fmt: skip
    if rows and not lines:
        known = sorted({name for row in rows for name in row["metrics"]})
        raise errors.unknown("metric of these results", metric, known)
    return lines


def ways(rows: Iterable[Row], metric: str | None = None) -> list[list[tuple[str, ...]]]:
    """Returns a table, its first line the header, of each retrieval: a column for each sensor pair.

    Args:
      rows: of a file; others than of retrieval do not count.
      metric: in place of each row's main one.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        if "query" in row and (metric or main_metric(row)) in row["metrics"]:
            kind = _kind(row, ("name", "data", "protocol", "seed", "select"))
            found.setdefault(kind, []).append(row)
    tables = []
    for group in found.values():
        pairs = list(dict.fromkeys(row["sensor"] for row in group))
        lines: dict[tuple[Any, ...], dict[str, str]] = {}
        for row in group:
            value, low, high = (100 * x for x in row["metrics"][metric or main_metric(row)])
            given = row.get("settings", {})
            which = row["checkpoint"], given.get("size"), given.get("centred")
            cells = lines.setdefault((said(row), row["probe"], *which), {})
            cells[row["sensor"]] = f"{value:.1f} ({low:.1f} to {high:.1f})"
        head = (f"{group[0]['name']}: {metric or main_metric(group[0])}, %", "probe", *pairs)
        body = [(*name[:2], *(cells.get(p, "") for p in pairs)) for name, cells in lines.items()]
        tables.append([head, *body])
    return tables


def _kind(row: Row, names: Sequence[str]) -> str:
    """Returns what rows that are compared have in common: some fields, and what is measured."""
    given = row.get("settings", {})
    return json.dumps([*(row[name] for name in names), *(given.get(name) for name in _DEFINED)])


def condition(row: Row) -> str:
    """Returns what of a row is not the features, in words."""
    bands = f" ({row['bands']})" if row["bands"] else ""
    track = f", {row['track']} {row['level']}" if row["track"] else ""
    seed = f", seed {row['seed']}" if row["seed"] else ""
    labelled = f", {row['labelled']} labels" if row["labelled"] else ""
    return f"{row['protocol']}, {row['sensor']}{bands}{labelled}{track}{seed}"


def said(row: Row) -> str:
    """Returns the features, and of a model which."""
    if row["features"] != MODEL:
        return row["features"]
    return f"{row.get('weights') or MODEL} [{row['checkpoint'][:6]}]"


def _lead(row: Row, group: Sequence[Row], metric: str) -> str:
    best = best_baseline(group, metric)
    if row["features"] != MODEL or best is None:
        return ""
    value, low, high = gap(row, best, metric)
    ends = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * value:+.1f}{ends}"


def text(lines: Sequence[Sequence[str]], markdown: bool = False) -> str:
    """Returns a table of cells, its first line the header, in columns or as Markdown."""
    if markdown:
        rule = ["---"] * len(lines[0])
        return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
