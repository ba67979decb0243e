"""Tables by kind. Adding one = a file, a line here, a test."""

import inspect
from typing import Any

from smarties.data.tables import described, nceas, splotopen
from smarties.data.tables.table import Table
from smarties.errors import UserError, unknown

TABLES = {"described": described.table, "nceas": nceas.table, "splotopen": splotopen.table}


def table(kind: str, **arguments: Any) -> Table:
    """Returns the table of a kind; raises `UserError` for unknown kinds and arguments."""
    if kind not in TABLES:
        raise unknown("kind of table", kind, TABLES)
    known = inspect.signature(TABLES[kind]).parameters
    for key in arguments:
        if key not in known:
            raise unknown(f"argument of table {kind!r}", key, known)
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in arguments:
            raise UserError(f"table {kind!r} needs {key}")
    return TABLES[kind](**arguments)
