"""Notices that a run must leave, acted on by all its processes at the same step.

A scheduler says so by SIGTERM. One process remembers it; several agree, through the service that
`jax.distributed` runs, on a step that none of them has passed.
"""

import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils


class Notice:
    """A context in which SIGTERM asks for an orderly end instead of killing."""

    def __init__(self):
        self._told = False
        # Of several processes, each has given SIGTERM to `jax.distributed`.
        self._alone = jax.process_count() == 1
        self._handles = self._alone and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Notice":
        if self._handles:
            self._before = signal.signal(signal.SIGTERM, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGTERM, self._before)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._told = True

    def reached(self, step: int) -> bool:
        """Returns whether to save and leave at this step; every process asks at every step."""
        return self._told if self._alone else multihost_utils.reached_preemption_sync_point(step)
