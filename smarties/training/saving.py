"""Saving a run as it goes: which steps are kept, and what happens when one cannot be."""

import contextlib
from pathlib import Path
from typing import Any

from smarties import errors
from smarties.training import checkpoint, settings, state, storage


class Saver:
    """The checkpoints of a run; a context that ends when the last of them is on disk.

    A save that fails is borne as `disk` says. The steps saved before it stay restorable.
    """

    def __init__(self, directory: Path, config: settings.Config, disk: storage.Storage):
        if config.keep < 0 or config.keep_every < 0:
            raise errors.UserError(
                f"checkpoint.keep {config.keep} and checkpoint.keep_every {config.keep_every} must "
                "be positive, or 0 to keep all and none"
            )
        self._directory, self._config, self._disk = directory, config, disk
        self._manager = self._open()
        self._saving: int | None = None

    def _open(self) -> checkpoint.Manager:
        keep, keep_every = self._config.keep or None, self._config.keep_every or None
        return checkpoint.open(self._directory, keep, keep_every)

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.finish()
        else:  # the error under way says more than one of closing could
            with contextlib.suppress(storage.Unwritable):
                checkpoint.wait(self._manager)
        self._manager.close()

    def latest(self) -> int | None:
        """Returns the last whole checkpoint's step, or None."""
        return checkpoint.latest(self._manager)

    def restore(self, step: int, shapes: state.State, identity: dict[str, Any]) -> state.State:
        """Returns a saved state; see `checkpoint.restore_state`."""
        return checkpoint.restore_state(self._manager, step, shapes, identity)

    def save(self, step: int, run: state.State, meta: dict[str, Any]) -> None:
        """Saves in the background, once the save before is on disk."""
        self.finish()
        with self._bearing(step):
            checkpoint.save(self._manager, step, run, meta)
            self._saving = step

    def finish(self) -> None:
        """Returns when everything saved is on disk."""
        if self._saving is not None:
            step, self._saving = self._saving, None
            with self._bearing(step):
                checkpoint.wait(self._manager)

    @contextlib.contextmanager
    def _bearing(self, step: int):
        with self._disk.writing(f"checkpoint {self._directory}/{step}"):
            try:
                yield
            except storage.Unwritable:
                # What is left of a failed save is in the way of the next.
                with contextlib.suppress(Exception):
                    self._manager.close()
                self._manager = self._open()
                raise
