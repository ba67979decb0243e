"""Curves of a run as SVG, labelled at their ends."""

import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from smarties.figures.run import Series, finite, smooth

COLOURS = ("#1f5f8b", "#c8553d", "#3d8b5f", "#8a63ad", "#b3862b", "#4a5568", "#c2578f", "#2a9d9d")
INK, SOFT, RULE = "#1f2933", "#6b7785", "#e6eaee"
# To draw with, `matplotlib.rc_context(FONT)`.
FONT: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "svg.hashsalt": "smarties",
}
_PAGEFONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line with its label; `baseline`, a number it is judged by, is dashed in the same colour."""

    label: str
    values: Series
    baseline: float | None = None


def loss(values: Series, size: tuple[float, float] = (9.6, 2.6)) -> bytes:
    """Returns the SVG of a loss over steps: log where it spans much, smoothed where it is long."""
    steps, heights = finite(values)
    with matplotlib.rc_context(FONT):
        figure, axes = _axes(size, right=0.985)
        if len(heights) and heights.min() > 0 and heights.max() > 4 * heights.min():
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        _draw(axes, steps, heights)
        return svg(figure)


def small(values: Series, percent: bool = False, size: tuple[float, float] = (2.4, 1.3)) -> bytes:
    """Returns the SVG of a small curve over steps, in its own unit or as shares in percent."""
    steps, heights = finite(values)
    with matplotlib.rc_context(FONT):
        figure, axes = _axes(size, right=0.92)
        axes.set_xlabel("")
        axes.xaxis.set_major_locator(MaxNLocator(3, steps=(1, 2, 5, 10), integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        unit = (lambda y, _: f"{100 * y:.3g} %") if percent else (lambda y, _: f"{y:.4g}")
        axes.yaxis.set_major_formatter(FuncFormatter(unit))
        _draw(axes, steps, heights)
        if len(heights) and heights.min() >= 0 and heights.min() < 0.7 * heights.max():
            axes.set_ylim(bottom=0)
        return svg(figure)


def _draw(axes: Axes, steps: np.ndarray, heights: np.ndarray) -> None:
    """Draws a line, and where it has many points its running mean over it."""
    long = len(steps) > 60
    axes.plot(steps, heights, color=COLOURS[0], linewidth=0.8 if long else 1.7,
              alpha=0.35 if long else 1, marker="o" if len(steps) < 3 else "", ms=3)  # fmt: skip
    if long:
        axes.plot(steps, smooth(heights), color=COLOURS[0], linewidth=1.8)


def lines(
    curves: Sequence[Curve], chance: float | None = None, size: tuple[float, float] = (9.6, 2.7)
) -> bytes:
    """Returns the SVG of shares 0..1 over steps, each beside its baseline; `chance` is dotted."""
    with matplotlib.rc_context(FONT):
        longest = max((len(curve.label) for curve in curves), default=0)
        figure, axes = _axes(size, right=max(0.5, 0.96 - 0.07 * longest / size[0]))
        ends = []
        for i, curve in enumerate(curves):
            steps, heights = finite(curve.values)
            if not len(steps):
                continue
            shade = COLOURS[i % len(COLOURS)]
            axes.plot(steps, heights, color=shade, linewidth=1.8, solid_capstyle="round",
                      marker="o", markersize=3.2 if len(steps) < 20 else 0)  # fmt: skip
            if curve.baseline is not None:
                axes.axhline(curve.baseline, color=shade, linewidth=0.9, dashes=(3, 2.5), alpha=0.7)
            ends.append((float(heights[-1]), curve.label, shade))
        if chance is not None:
            axes.axhline(chance, color=SOFT, linewidth=1.0, dashes=(1, 2))
        top = max([h for h, *_ in ends] + [c.baseline or 0 for c in curves], default=1.0)
        axes.set_ylim(0, 1 if top > 0.6 else 1.15 * max(top, 0.05))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.0f} %"))
        _label(axes, ends, gap=13 / (72 * size[1]))
        return svg(figure)


def _axes(size: tuple[float, float], right: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, facecolor="none")
    axes = figure.add_axes(
        (0.52 / size[0], 0.46 / size[1], right - 0.52 / size[0], 1 - 0.58 / size[1])
    )
    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    axes.spines["bottom"].set(visible=True, color="#c4ccd4")
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, labelsize=9, colors=SOFT, pad=5)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10), integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("steps", fontsize=9, color=SOFT)
    axes.margins(x=0.01)
    return figure, axes


def _label(axes: Axes, ends: Sequence[tuple[float, str, str]], gap: float) -> None:
    """Writes labels right of the axes at the heights of their lines, `gap` apart at least."""
    low, high = axes.get_ylim()
    scale = axes.get_position().height
    wanted = sorted(((h - low) / (high - low), label, shade) for h, label, shade in ends)
    at = [place for place, *_ in wanted]
    for i in range(1, len(at)):
        at[i] = max(at[i], at[i - 1] + gap / scale)
    for i in reversed(range(len(at))):
        roof = 1.0 if i == len(at) - 1 else at[i + 1] - gap / scale
        at[i] = min(at[i], roof)
    for y, (_, label, shade) in zip(at, wanted, strict=True):
        axes.text(1.012, y, label, transform=axes.transAxes, va="center", fontsize=9, color=shade)


def svg(figure: Figure) -> bytes:
    """Returns the file of a figure, its text in the fonts of the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().decode()
    return (
        text.replace("'DejaVu Sans', sans-serif", _PAGEFONT)
        .replace("'DejaVu Sans'", _PAGEFONT)
        .encode()
    )
