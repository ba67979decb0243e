"""The best of a run by a number of its evaluation: parameters to report and to hand on."""

import math
from pathlib import Path
from typing import Any

from smarties import errors
from smarties.training import checkpoint, state, storage

FOLDER = "best"  # of a run directory, beside its checkpoints


class Best:
    """Keeps the parameters of the evaluation that was best, the first of equal ones.

    Attributes:
      numbers: {"step": step, name: value} of that evaluation; empty before the first.
    """

    def __init__(self, directory: Path, metric: str, disk: storage.Storage):
        """Reads what the run has kept before.

        Args:
          directory: where it is kept.
          metric: name of a number, the larger the better; "" keeps nothing.
          disk: bears what cannot be written.
        """
        self._directory, self._metric, self._disk = directory, metric, disk
        self.numbers: dict[str, float] = {}
        if not metric:
            return
        with checkpoint.open(directory, keep=1) as manager:
            step = checkpoint.latest(manager)
        if step is not None:
            self.numbers = checkpoint.read_meta(directory, step)["evaluation"]

    def offer(
        self, step: int, numbers: dict[str, float], run: state.State, meta: dict[str, Any]
    ) -> None:
        """Keeps the parameters where `numbers` are better than all before.

        Nothing is better than NaN, nor is an evaluation that could not be written. Where a run was
        taken up again before the step that is kept, that stays until something is better.

        Raises:
          UserError: the evaluation has no such number.
        """
        if not self._metric or not numbers:
            return
        if self._metric not in numbers:
            raise errors.unknown("checkpoint.best", self._metric, numbers)
        if not numbers[self._metric] > self.numbers.get(self._metric, -math.inf):
            return
        kept = {"params": run.params} | ({} if run.ema is None else {"ema": run.ema})
        found = {"step": step, **numbers}
        with self._disk.writing(f"checkpoint {self._directory}/{step}"):
            with checkpoint.open(self._directory, keep=1) as manager:
                checkpoint.forget(manager, step)
                checkpoint.save(manager, step, kept, {**meta, "evaluation": found})
                checkpoint.wait(manager)
            self.numbers = found
