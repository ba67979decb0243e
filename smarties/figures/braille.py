"""Curves in braille, for a terminal: a character is 2 x 4 dots."""

import itertools

import numpy as np
from rich.text import Text

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], np.uint8)


class Canvas:
    """A field of characters on which curves are drawn, in dots or with a mark of their own."""

    def __init__(self, columns: int, rows: int):
        self._dots = np.zeros((rows, columns), np.uint8)
        self._marks = np.full((rows, columns), "", object)
        self._styles = np.full((rows, columns), "", object)

    def draw(self, x: np.ndarray, y: np.ndarray, style: str = "", mark: str = "") -> None:
        """Joins points given in 0..1 of the field, (0, 0) at the lower left."""
        rows, columns = self._dots.shape
        across, down = _joined(x * (2 * columns - 1), (1 - y) * (4 * rows - 1))
        at = down // 4, across // 2
        np.bitwise_or.at(self._dots, at, _DOTS[down % 4, across % 2])
        self._styles[at], self._marks[at] = style, mark

    def lines(self) -> list[Text]:
        """Returns a line of text per row."""
        return [self._line(row) for row in range(len(self._dots))]

    def _line(self, row: int) -> Text:
        text = Text()
        cells = zip(self._styles[row], self._marks[row], self._dots[row], strict=True)
        for style, group in itertools.groupby(cells, key=lambda cell: cell[0]):
            text.append(
                "".join(m or (chr(0x2800 + int(d)) if d else " ") for _, m, d in group), style
            )
        return text


def _joined(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the dots of the lines from each point to the next, as integers."""
    dx, dy = np.diff(x, append=x[-1:]), np.diff(y, append=y[-1:])
    count = np.ceil(np.maximum(abs(dx), abs(dy))).astype(int).clip(1)
    x, y, dx, dy, start, of = (
        np.repeat(v, count) for v in (x, y, dx, dy, np.cumsum(count) - count, count)
    )
    part = (np.arange(len(start)) - start) / of
    return np.rint(x + part * dx).astype(int), np.rint(y + part * dy).astype(int)


def small(values: np.ndarray, columns: int, style: str = "") -> Text:
    """Returns a curve one line high, over its own range."""
    canvas = Canvas(columns, 1)
    if len(values):
        low, span = values.min(), np.ptp(values)
        x = np.linspace(0, 1, len(values)) if len(values) > 1 else np.zeros(1)
        canvas.draw(x, (values - low) / span if span else 0 * values, style)
    return canvas.lines()[0]
