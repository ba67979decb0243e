"""Columns of CSV (also .gz) and Parquet files; whatever is wrong names file, row and column."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from smarties.errors import UserError, unknown

MISSING = ("", "NA", "NaN", "nan", "NULL", "null", "None", "-")


def read(file: Path, delimiter: str = ",") -> Any:
    """Returns a `pyarrow.Table` of a file; all columns of text files are strings.

    Raises:
      UserError: a missing or unreadable file, columns of one name, or no pyarrow.
    """
    try:
        import pyarrow as pa
        from pyarrow import csv, parquet
    except ImportError as error:
        raise UserError(f"{file}: tables need pyarrow: pip install 'smarties[data]'") from error
    try:
        if file.suffix == ".parquet":
            table = parquet.read_table(file)
        else:
            options = csv.ParseOptions(delimiter=delimiter)
            with pa.input_stream(file, compression="detect") as stream:
                names = csv.open_csv(stream, parse_options=options).schema.names
            strings = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
            table = csv.read_csv(file, parse_options=options, convert_options=strings)
    except (OSError, pa.ArrowException) as error:
        said = str(error).splitlines()[0][:200]
        raise UserError(f"{file}: not a CSV or Parquet table that can be read ({said})") from error
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{file}: column {twice[0]!r} is there twice: names must differ")
    return table


def column(table: Any, name: str, file: Path) -> Any:
    """Returns a column; raises `UserError` with the nearest name where there is none."""
    if name not in table.column_names:
        raise unknown(f"column of {file}", name, table.column_names)
    return table.column(name)


def texts(table: Any, name: str, file: Path) -> np.ndarray:
    """Returns a column as strings [n]; "" where missing."""
    values = column(table, name, file).to_pylist()
    return np.array(["" if v is None else str(v) for v in values], dtype=np.str_)


def numbers(table: Any, names: Iterable[str], file: Path) -> np.ndarray:
    """Returns columns as [n, F] float32, NaN where missing.

    Raises:
      UserError: an entry that is no number, or not finite, with its row and column.
    """
    found = [_numbers(column(table, name, file), name, file) for name in names]
    return np.stack(found, 1) if found else np.zeros((table.num_rows, 0), np.float32)


def _numbers(values: Any, name: str, file: Path) -> np.ndarray:
    import pyarrow as pa
    from pyarrow import compute

    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        missing = compute.is_in(compute.utf8_trim_whitespace(values), pa.array(MISSING))  # type: ignore
        values = compute.if_else(missing, pa.scalar(None, pa.string()), values)  # type: ignore
        try:
            values = values.cast(pa.float64())
        except pa.ArrowInvalid:
            for row, value in enumerate(values.to_pylist()):
                if value is not None and not _is_number(value):
                    raise _refused(file, row, name, value, "no number") from None
            values = pa.array([None if v is None else float(v) for v in values.to_pylist()])
    elif not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        if not pa.types.is_boolean(values.type):
            raise UserError(f"{file}: column {name!r} is {values.type}: numbers would be right")
    found = np.asarray(values.cast(pa.float64()).to_numpy(), np.float32)
    if (infinite := np.isinf(found)).any():
        row = int(infinite.argmax())
        raise _refused(file, row, name, found[row], "not finite")
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
        return True
    except ValueError:
        return False


def _refused(file: Path, row: int, name: str, value: Any, what: str) -> UserError:
    return UserError(
        f"{file}: row {row + 1}, column {name!r} is {str(value)!r}, {what}: mend it, leave it "
        "empty where it is missing, or declare the column categorical"
    )


def levels(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns (indices [n] float32, NaN where missing, the levels in order) of strings [n].

    Levels that are whole numbers are in the order of these.
    """
    there = ~np.isin(values, MISSING)
    found = sorted(set(values[there].tolist()), key=_natural)
    where = {level: i for i, level in enumerate(found)}
    return np.array([where.get(v, np.nan) for v in values.tolist()], np.float32), tuple(found)


def _natural(level: str) -> tuple[int, float, str]:
    return (0, float(level), level) if _is_number(level) else (1, 0.0, level)


def unique(names: np.ndarray, file: Path, what: str) -> dict[str, int]:
    """Returns {name: row}; raises `UserError` for one that is there twice."""
    rows: dict[str, int] = {}
    for row, name in enumerate(names.tolist()):
        if name in rows:
            raise UserError(
                f"{file}: {what} {name!r} is in rows {rows[name] + 1} and {row + 1}: one row each "
                "would be right"
            )
        rows[name] = row
    return rows
