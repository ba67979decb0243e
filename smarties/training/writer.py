"""Where numbers go: metrics.jsonl always, TensorBoard and wandb on request, and the terminal."""

import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tqdm
from PIL import Image

from smarties import errors


class Lines:
    """A file of {"step", "name", "value"} lines, cut back to the step a run resumes from."""

    def __init__(self, path: Path, start: int):
        """Opens `path` as it was when step `start` had been made and not yet evaluated."""
        kept = [line for line in _whole_lines(path) if _is_before(json.loads(line), start)]
        part = path.with_suffix(".part")
        part.write_text("".join(f"{line}\n" for line in kept))
        os.replace(part, path)  # a kill leaves the old file or the new one
        self._file = path.open("ab", buffering=0)
        self._unwritten = b""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a line per value; what a full disk refuses is kept for the next call."""
        for name, value in values.items():
            line = json.dumps({"step": step, "name": name, "value": float(value)})
            self._unwritten += f"{line}\n".encode()
        while self._unwritten:
            self._unwritten = self._unwritten[self._file.write(self._unwritten) :]

    def close(self) -> None:
        self._file.close()


def _whole_lines(path: Path) -> list[str]:
    """Returns the lines that were written to their end."""
    if not path.exists():
        return []
    return [line for line in path.read_text().split("\n")[:-1] if line.endswith("}")]


def _is_before(line: dict[str, Any], start: int) -> bool:
    # A checkpoint is made before the evaluation of its step, which a resumed run does again.
    return line["step"] < start or (
        line["step"] == start and not line["name"].startswith("evaluate/")
    )


class Writer:
    """All sinks of a run; a process other than the first writes nothing."""

    def __init__(self, workdir: Path, start: int, config: dict[str, Any], quiet: bool):
        self._metrics = self._clock = self._board = self._wandb = None
        if quiet:
            return
        _forget_pictures(workdir / "figures", start)
        log = config["log"]
        board = _needed("tensorboardX", "log.tensorboard") if log["tensorboard"] else None
        wandb = _needed("wandb", "log.wandb") if log["wandb"] else None
        self._metrics = Lines(workdir / "metrics.jsonl", start)
        self._clock = Lines(workdir / "clock.jsonl", start)
        if board:
            self._board = board.SummaryWriter(str(workdir / "tensorboard"), purge_step=start + 1)
        if wandb:
            self._image = wandb.Image
            self._wandb = wandb.init(
                name=config["name"],
                dir=str(workdir),
                config=config,
                id=_run_id(workdir),
                resume="allow",
            )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers that are a function of the configuration alone."""
        self._write(self._metrics, step, values)

    def write_clock(self, step: int, values: Mapping[str, float]) -> None:
        """Writes readings of the clock, which no two runs share."""
        self._write(self._clock, step, values)

    def _write(self, lines: Lines | None, step: int, values: Mapping[str, float]) -> None:
        if lines is not None:
            lines.write(step, values)
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, float(value), step)
        if self._wandb is not None:
            self._wandb.log(dict(values), step=step)

    def picture(self, step: int, path: Path) -> None:
        """Shows a picture, NAME-STEP.png, where pictures can be shown beside numbers."""
        name = f"evaluate/{path.stem.rpartition('-')[0]}"
        if self._board is not None:
            with Image.open(path) as opened:
                pixels = np.asarray(opened.convert("RGB"))
            self._board.add_image(name, pixels, step, dataformats="HWC")
        if self._wandb is not None:
            self._wandb.log({name: self._image(str(path))}, step=step)

    def close(self) -> None:
        for sink in (self._metrics, self._clock, self._board):
            if sink is not None:
                sink.close()
        if self._wandb is not None:
            self._wandb.finish()


def _forget_pictures(directory: Path, start: int) -> None:
    """Deletes the pictures NAME-STEP.png of evaluations that a run resumed at `start` repeats."""
    for path in directory.glob("*-*.png"):
        step = path.stem.rpartition("-")[2]
        if len(step) >= 8 and step.isdigit() and int(step) >= start:
            path.unlink()


def _needed(module: str, key: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise errors.UserError(
            f"configuration key {key} needs {module}: pip install smarties[log], or unset it"
        ) from error


def _run_id(workdir: Path) -> str:
    """Returns what wandb knows this run by, kept in a file so that a resume finds it."""
    path = workdir / "wandb_id"
    if not path.exists():
        path.write_text(os.urandom(8).hex())
    return path.read_text()


class Progress:
    """A bar on a terminal; elsewhere one line every log interval, so that logs stay readable."""

    def __init__(self, name: str, start: int, steps: int, quiet: bool):
        self._steps, self._quiet = steps, quiet
        self._bar = None
        if sys.stderr.isatty() and not quiet:
            self._bar = tqdm.tqdm(
                initial=start, total=steps, desc=name, unit="step", dynamic_ncols=True, leave=True
            )

    def advance(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def show(self, step: int, text: str) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        elif not self._quiet:
            print(f"step {step}/{self._steps}  {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
