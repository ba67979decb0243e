"""Tables of places: named columns of a CSV or Parquet file, in the order a model wants.

Needs pyarrow (extra `data`).
"""

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties.errors import UserError, unknown

MISSING = ("", "NA", "NaN", "nan", "NULL", "null", "None")  # entries of a CSV that are no number

NO_LEVELS: Mapping[str, Sequence[str]] = types.MappingProxyType({})


def table(path: str | Path) -> Any:
    """Returns the pyarrow table of a CSV or Parquet file; raises `UserError`: unreadable."""
    import pyarrow
    from pyarrow import csv, parquet

    path = Path(path)
    try:
        if path.suffix == ".parquet":
            return parquet.read_table(path)
        texts = csv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True)
        return csv.read_csv(path, convert_options=texts)
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path} cannot be read as CSV or Parquet ({error})") from error


def numbers(
    found: Any,
    names: Sequence[str],
    where: str | Path,
    missing_ok: bool = False,
    levels: Mapping[str, Sequence[str]] = NO_LEVELS,
) -> np.ndarray:
    """Returns float32 [n, F] of the columns named, NaN where an entry is missing.

    Args:
      found: see `table`; other columns and their order do not matter.
      missing_ok: whether a column that is not there is one of NaN.
      levels: of categorical columns, which become indices; another level is missing.

    Raises:
      UserError: a column that is not there or twice, an entry that is no finite number.
    """
    out = np.full((found.num_rows, len(names)), np.nan, np.float32)
    for i, name in enumerate(names):
        count = found.column_names.count(name)
        if count > 1:
            raise UserError(f"{where}: column {name!r} is there {count} times: one is right")
        if count and name in levels:
            index = {level: k for k, level in enumerate(levels[name])}
            out[:, i] = [index.get(str(v), np.nan) for v in found[name].to_pylist()]
        elif count:
            out[:, i] = _column(found[name], name, where)
        elif not missing_ok:
            raise UserError(f"{where}: {unknown('column', name, found.column_names)}")
    return out


def presences(found: Any, names: Sequence[str], where: str | Path) -> np.ndarray:
    """Returns float32 [n, S] of the species named; raises `UserError`: neither 0 nor 1."""
    out = numbers(found, names, where)
    if not (fine := np.isin(out, (0, 1))).all():
        row, column = np.argwhere(~fine)[0]
        raise UserError(
            f"{where}, row {row + 1}, column {names[column]!r}: {out[row, column]:g} is neither 0 "
            "nor 1"
        )
    return out


def _column(column: Any, name: str, where: str | Path) -> np.ndarray:
    import pyarrow

    try:
        values = column.cast(pyarrow.float64()).to_numpy(zero_copy_only=False)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        values = np.array([_number(v, row, name, where) for row, v in enumerate(column, 1)])
    values = np.asarray(values, np.float64)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0]) + 1
        raise UserError(f"{where}, row {row}, column {name!r}: not a finite number")
    return values


def _number(value: Any, row: int, name: str, where: str | Path) -> float:
    text = value.as_py()
    try:
        return np.nan if text is None else float(text)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}, row {row}, column {name!r}: {text!r} is no number") from error
