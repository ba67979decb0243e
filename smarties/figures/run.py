"""What a run directory holds: its configuration and its numbers, as far as they are written."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smarties.errors import UserError

Series = Mapping[int, float]  # by step

# Ends of the names of what stands beside an evaluated number; the first there is, is its baseline.
BESIDE = ("/random", "/chance", "/mean", "/low", "/high")
_FILES = ("config.json", "metrics.jsonl", "results.json")


class Lines:
    """The numbers in a file of {"step", "name", "value"} lines.

    Attributes:
      series: {name: {step: value}}; seconds ("time/...") of one step are added up.
      broken: how many lines are no such object, one that has no end yet included.
      written: when the file was changed, seconds since the epoch; None where there is none.
    """

    def __init__(self, path: Path):
        self._path, self._inode = path, -1
        self.written: float | None = None
        self._forget()

    def _forget(self) -> None:
        self.series: dict[str, dict[int, float]] = {}
        self._read = self._broken = 0
        self._torn = False

    @property
    def broken(self) -> int:
        return self._broken + self._torn

    def look(self) -> None:
        """Reads what was appended since the last look."""
        try:
            file = self._path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return
        with file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._read:
                self._forget()  # a resumed run writes it anew, without the steps it makes again
            self._inode, self.written = status.st_ino, status.st_mtime
            file.seek(self._read)
            whole, end, rest = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        self._torn = bool(rest)
        for line in whole.splitlines():
            self._add(line)

    def _add(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            name, step, value = entry["name"], int(entry["step"]), float(entry["value"])
            series = self.series.setdefault(name, {})
        except (ValueError, KeyError, TypeError):
            self._broken += 1
            return
        series[step] = value + (series.get(step, 0.0) if name.startswith("time/") else 0.0)


class Run:
    """A run directory as of the last `look`, whatever of it is there.

    Attributes:
      config: the resolved configuration.
      metrics, clock: {name: {step: value}} of metrics.jsonl and clock.jsonl.
      step: the last one that was logged.
      steps: how many the run will have, or None where nothing says so.
      numbers: of the last evaluation, {name: value}.
      finished: whether the run came to its end.
      notes: what is missing or broken.
    """

    def __init__(self, workdir: str | Path):
        self.workdir = Path(workdir)
        self._files = {
            name: Lines(self.workdir / name) for name in ("metrics.jsonl", "clock.jsonl")
        }
        self.look()

    def look(self) -> None:
        """Reads what is new."""
        self.notes: list[str] = []
        self.config = self._json("config.json") or {}
        for name, lines in self._files.items():
            lines.look()
            if lines.written is None:
                self.notes.append(f"no {name}")
            elif lines.broken:
                many = "s" * (lines.broken > 1)
                self.notes.append(f"{name}: {lines.broken} line{many} could not be read")
        self.metrics, self.clock = (lines.series for lines in self._files.values())
        results = self._json("results.json")
        self.finished, self.numbers = results is not None, dict(results or {})
        self.step: int = self.numbers.pop("step", None) or _end(self.metrics)
        planned = self._json("plan.json") if (self.workdir / "plan.json").exists() else None
        self.steps: int | None = (planned or self.config).get("steps")
        if not self.numbers:
            self._last_evaluation()

    def _last_evaluation(self) -> None:
        at = evaluated(self)
        found = under(self.metrics, "evaluate/")
        self.numbers = {k: v[at] for k, v in found.items() if at in v}
        if self.numbers:
            self.notes.append(f"the numbers are those of step {at:,}")

    def _json(self, name: str) -> dict[str, Any] | None:
        try:
            content = json.loads((self.workdir / name).read_text())
        except (FileNotFoundError, NotADirectoryError):
            end = ": the run has not come to its end" if name == "results.json" else ""
            self.notes.append(f"no {name}{end}")
        except (OSError, ValueError) as error:
            self.notes.append(f"{name} cannot be read ({error})")
        else:
            return content if isinstance(content, dict) else None

    @property
    def name(self) -> str:
        """The name of the configuration, else of the directory."""
        return str(self.config.get("name") or self.workdir.absolute().name)

    @property
    def written(self) -> float | None:
        """When the last line was written, seconds since the epoch; None before the first."""
        times = [lines.written for lines in self._files.values() if lines.written is not None]
        return max(times, default=None)

    def get(self, *keys: str) -> Any:
        """Returns a value of the configuration by its keys, or {} where there is none."""
        value: Any = self.config
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return {} if value is None else value


def read(workdir: str | Path) -> Run:
    """Returns the run in a directory; raises `UserError` where there is none."""
    workdir = Path(workdir)
    if not begun(workdir):
        inside = ", ".join(sorted(path.name for path in workdir.glob("*") if begun(path)))
        hint = f"it holds the runs {inside}" if inside else f"it needs one of {', '.join(_FILES)}"
        raise UserError(f"{workdir} is no run directory: {hint}")
    return Run(workdir)


def begun(workdir: Path) -> bool:
    """Returns whether a directory is one of a run."""
    return any((workdir / name).is_file() for name in _FILES)


def evaluated(run: Run) -> int:
    """Returns the step of the last evaluation, or 0."""
    return _end(under(run.metrics, "evaluate/"))


def under(series: Mapping[str, Series], start: str) -> dict[str, Series]:
    """Returns those whose names begin with `start`, by the rest of their names."""
    return {name[len(start) :]: v for name, v in series.items() if name.startswith(start)}


def _end(series: Mapping[str, Series]) -> int:
    return max((max(values) for values in series.values() if values), default=0)


def last(values: Series | None) -> float | None:
    """Returns the value of the last step."""
    return values[max(values)] if values else None


def finite(values: Series) -> tuple[np.ndarray, np.ndarray]:
    """Returns (steps, values) in order, those left out that are no number."""
    pairs = np.array(sorted(values.items()), float).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(1)]
    return pairs[:, 0], pairs[:, 1]


def smooth(heights: np.ndarray) -> np.ndarray:
    """Returns the running mean over a 25th of the line, of fewer values at its ends."""
    window = np.ones(max(3, len(heights) // 25) | 1)
    return np.convolve(heights, window, "same") / np.convolve(heights * 0 + 1, window, "same")
