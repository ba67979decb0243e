"""A run that makes no step for long shows where it hangs, and ends."""

import faulthandler
import sys


class Watchdog:
    """Ends the process with code 1, all Python stacks on stderr, `minutes` after the last `feed`.

    The waiting is done by a thread of C, which runs even while the interpreter is blocked.
    """

    def __init__(self, minutes: float):
        self._seconds = 60 * minutes

    def __enter__(self) -> "Watchdog":
        self.feed()
        return self

    def __exit__(self, *_: object) -> None:
        if self._seconds:
            faulthandler.cancel_dump_traceback_later()

    def feed(self) -> None:
        """Says that the run is alive."""
        if self._seconds:
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=sys.__stderr__ or 2)
