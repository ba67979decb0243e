"""Moments written as text."""

import datetime
import re

from smarties import errors


def seconds(text: str | None, where: str) -> float:
    """Returns seconds since 1970-01-01 UTC of an ISO 8601 text; NaN for None or "".

    Both "2017-07-29T15:21:11Z" and "20170729T152111" are read; without a time zone it is UTC.

    Raises:
      Unreadable: no such text; `where` names its file.
    """
    if not text:
        return float("nan")
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise errors.Unreadable(f"{where}: {text!r} is no ISO 8601 time") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()


def found(text: str) -> float:
    """Returns the first "YYYYMMDDThhmmss" in a name, or ISO time, in seconds since 1970 UTC.

    NaN where there is none.
    """
    parts = re.search(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)T(\d\d):?(\d\d):?(\d\d)", text)
    if not parts:
        return float("nan")
    try:
        whole = datetime.datetime(*map(int, parts.groups()), tzinfo=datetime.UTC)  # type: ignore
    except ValueError:
        return float("nan")
    return whole.timestamp()
