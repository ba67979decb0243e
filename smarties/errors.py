"""The one error a user can mend, and the end of a run that is to be started again."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """What is wrong, where, and what would be right: the command prints one line and exits 2."""


class Unreadable(UserError):
    """An example that cannot be read; a run may go on without some of them."""


REQUEUE = 75  # exit code: "give the same command again" (EX_TEMPFAIL of sysexits.h)


class Preempted(Exception):
    """A run was asked to leave and has saved: the command exits with `REQUEUE`."""


def unknown(what: str, name: object, known: Iterable[str]) -> UserError:
    """Returns a `UserError` for an unknown name, with the nearest known one as a suggestion."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    return UserError(f"unknown {what} {name!r}: {hint}")
