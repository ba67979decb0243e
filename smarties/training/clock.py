"""Where the wall time of a run goes."""

import collections
import contextlib
import time
from collections.abc import Iterator

PARTS = ("data_wait", "evaluation", "checkpoint", "compile")


class Clock:
    """Seconds by what they were spent on; what nothing claims is `step`, the device at work."""

    def __init__(self):
        self._since = time.perf_counter()
        self._spent: dict[str, float] = collections.defaultdict(float)

    @contextlib.contextmanager
    def spending(self, name: str) -> Iterator[None]:
        """Books the seconds inside under `name`, one of `PARTS`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] += time.perf_counter() - start

    def split(self) -> dict[str, float]:
        """Returns the seconds since the last split, by name, and starts anew."""
        now = time.perf_counter()
        seconds = {name: self._spent.pop(name, 0.0) for name in PARTS}
        seconds["step"] = now - self._since - sum(seconds.values())
        self._since = now
        return seconds
