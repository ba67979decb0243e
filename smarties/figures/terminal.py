"""A plot of curves in a terminal, with its axes and numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.text import Text

from smarties.figures import braille


class Curve(NamedTuple):
    """Values over steps, drawn in braille, or with `mark` where there is one."""

    steps: np.ndarray
    values: np.ndarray
    style: str = ""
    mark: str = ""


def plot(curves: Sequence[Curve], columns: int, rows: int, log: bool) -> list[Text]:
    """Returns `rows` lines that show the curves between two axes; `log` is of the values."""
    curves = [curve for curve in curves if len(curve.steps)]
    height = rows - 2
    if not curves or height < 1:
        return [Text()] * rows
    heights = [np.log10(c.values) if log else c.values for c in curves]
    low, high = _span(np.concatenate(heights))
    labels = {}
    for tick in (log_ticks if log else ticks)(low, high, max(height // 2, 2)):
        place = (high - (math.log10(tick) if log else tick)) / (high - low)
        labels[round(place * (4 * height - 1)) // 4] = f"{tick:,g}"
    margin = max(map(len, labels.values()), default=0) + 1
    wide = max(columns - margin - 1, 1)
    canvas = braille.Canvas(wide, height)
    start, stop = (float(edge([edge(c.steps) for c in curves])) for edge in (min, max))
    for curve, y in zip(curves, heights, strict=True):
        x = (curve.steps - start) / ((stop - start) or 1)
        canvas.draw(x, (y - low) / (high - low), curve.style, curve.mark)
    lines = [
        Text().append(f"{labels.get(i, ''):>{margin}}{'┤' if i in labels else '│'}", "dim")
        .append_text(line) for i, line in enumerate(canvas.lines())
    ]  # fmt: skip
    at = {tick: round((tick - start) / ((stop - start) or 1) * (wide - 1))
          for tick in ticks(start, stop, max(wide // 16, 2))}  # fmt: skip
    return lines + [Text(" " * margin + line, "dim") for line in _floor(at, wide)]


def _span(values: np.ndarray) -> tuple[float, float]:
    """Returns the least and the most, some room added."""
    low, high = float(values.min()), float(values.max())
    room = 0.03 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def _floor(at: Mapping[float, int], columns: int) -> list[str]:
    """Returns the lower axis and the numbers under it, which stand at columns `at`."""
    axis = "".join("┬" if i in at.values() else "─" for i in range(columns))
    numbers = ""
    for tick, column in at.items():
        text = f"{tick:,.0f}"
        begin = max(min(column + 1 - len(text) // 2, columns + 1 - len(text)), 0)
        if not numbers or begin > len(numbers):
            numbers = f"{numbers:<{begin}}{text}"
    return [f"└{axis}", numbers]


def ticks(low: float, high: float, count: int) -> list[float]:
    """Returns at most `count` + 1 round numbers between two."""
    rough = (high - low) / count
    if not rough > 0:
        return [low]
    size = 10 ** math.floor(math.log10(rough))
    size *= next(m for m in (1, 2, 5, 10) if m * size >= rough)
    whole = range(math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9) + 1)
    return [float(f"{i * size:.9g}") for i in whole]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns round numbers between 10**low and 10**high, at most about `count`."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**d for d in decades for m in digits if low <= math.log10(m) + d <= high]
        if len(found) <= count:
            return found if len(found) > 1 else ticks(10**low, 10**high, count)
    return found[:: math.ceil(len(found) / count)]
