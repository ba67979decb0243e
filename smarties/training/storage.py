"""What becomes of a run whose disk is full or gone."""

import contextlib
import sys
from collections.abc import Iterator

from smarties import errors

POLICIES = ("stop", "continue")


class Unwritable(errors.UserError):
    """Something could not be written."""


class Storage:
    """Bears failures of writing: reports each, and goes on or stops as configured."""

    def __init__(self, policy: str):
        if policy not in POLICIES:
            raise errors.unknown("checkpoint.on_failure", policy, POLICIES)
        self._policy = policy

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Raises `Unwritable`, or says on stderr, that `what` was not written inside."""
        try:
            yield
        except (OSError, Unwritable) as error:
            text = f"{what} could not be written ({' '.join(str(error).split())[:300]})"
            if self._policy == "stop":
                raise Unwritable(
                    f"{text}: mend the storage and give the same command to resume, or set "
                    "checkpoint.on_failure='continue'"
                ) from error
            print(f"warning: {text}; going on without", file=sys.stderr, flush=True)
