"""Runs followed in a terminal until they have come to their end."""

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from smarties.errors import UserError, unknown
from smarties.figures import frame
from smarties.figures.run import Run, read


def watch(
    workdirs: Sequence[Path],
    *,
    metric: str = "train/loss",
    scale: str = "auto",
    every: float = 2.0,
    wait: bool = False,
    once: bool = False,
) -> None:
    """Draws runs on stdout until all are finished, or only once.

    Where stdout is no terminal a line is printed when a run has written something, and one frame at
    the end.

    Args:
      every: seconds between two looks.
      wait: for runs that have not begun.

    Raises:
      UserError: a directory of no run, an unknown scale, or no interval.
    """
    if scale not in frame.SCALES:
        raise unknown("scale", scale, frame.SCALES)
    if not 0 < every < math.inf:
        raise UserError(f"--every is {every:g} seconds: it must be more than 0")
    for path in workdirs:
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file: give a run directory")
    runs = [Run(path) if wait else read(path) for path in workdirs]
    console = Console(highlight=False)
    view = frame.View(metric=metric, scale=scale, colour=console.color_system is not None)
    if not once:
        (_live if console.is_terminal else _lines)(console, runs, view, every)
    console.print(_frame(console, runs, view))


def _frame(console: Console, runs: Sequence[Run], view: frame.View) -> Text:
    size = dataclasses.replace(view, width=console.width, height=console.height - 1)
    return Text("\n").join(frame.draw(runs, size))


def _look(runs: Sequence[Run], every: float) -> None:
    time.sleep(every)
    for run in runs:
        run.look()


def _live(console: Console, runs: Sequence[Run], view: frame.View, every: float) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(_frame(console, runs, view), refresh=True)
            if all(run.finished for run in runs):
                return
            _look(runs, every)


def _lines(console: Console, runs: Sequence[Run], view: frame.View, every: float) -> None:
    told: dict[Path, tuple[bool, int]] = {}
    while not all(run.finished for run in runs):
        for run in runs:
            news = (bool(run.metrics), run.step)
            if told.get(run.workdir) != news:
                told[run.workdir] = news
                console.print(frame.line(run, console.width))
        _look(runs, every)
