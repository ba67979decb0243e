"""A profile of some steps, for TensorBoard or Perfetto."""

import contextlib
from pathlib import Path
from typing import Any

import jax

from smarties import errors


class Window:
    """Profiles steps `start` to `stop`, the last one left out, into `directory` (xplane)."""

    def __init__(self, steps: tuple[int, int], directory: Path):
        if len(steps) != 2 or not 0 <= steps[0] <= steps[1]:
            raise errors.UserError(
                f"log.profile is {steps}: it must be (first step, one past last)"
            )
        self._start, self._stop = steps
        self._directory = directory
        self._open = False

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def turns(self, step: int) -> bool:
        """Returns whether the profile starts or ends here."""
        return self._start < self._stop and step in (self._start, self._stop)

    def at(self, step: int) -> None:
        """Starts or ends the profile where it must, between two steps."""
        if self.turns(step):
            self._close()
            if step == self._start:
                jax.profiler.start_trace(str(self._directory))
                self._open = True

    def step(self, step: int) -> Any:
        """Returns a context that names a step in the profile."""
        if self._open:
            return jax.profiler.StepTraceAnnotation("step", step_num=step)
        return contextlib.nullcontext()

    def _close(self) -> None:
        if self._open:
            jax.profiler.stop_trace()
            self._open = False
