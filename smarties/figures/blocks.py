"""Norms of the parts of a model over training, as heat maps of steps and parts."""

import re
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from smarties.figures import curves
from smarties.figures.page import inline
from smarties.figures.run import Run, Series, under

_ROW = 0.17  # inches
_COLUMNS = 240  # steps that are shown at most, evenly chosen

Norms = Mapping[str, Series]  # by part


def section(run: Run) -> str:
    """Returns heat maps of gradients, of updates beside their parameters, and of parameters."""
    gradient, update, parameter = (
        under(run.metrics, f"norms/{kind}/") for kind in ("gradient", "update", "parameter")
    )
    change = {
        part: {step: v / parameter[part][step] for step, v in values.items()
               if parameter.get(part, {}).get(step)}
        for part, values in update.items()
    }  # fmt: skip
    maps = {"gradient": gradient, "update ÷ parameter": change, "parameter": parameter}
    maps = {title: norms for title, norms in maps.items() if any(norms.values())}
    if not maps:
        return ""
    return (
        "<h2>Norms by block</h2><figcaption>Over steps; light is small, dark is large, each map on "
        "a logarithmic scale of its own.</figcaption><figure>"
        f"{inline(_picture(maps), 'svg+xml', 'norms by block over steps', 'curve')}</figure>"
    )


def _picture(maps: Mapping[str, Norms]) -> bytes:
    parts = sorted({part for norms in maps.values() for part in norms}, key=_place)
    height = _ROW * len(parts) + 1.15
    with matplotlib.rc_context(curves.FONT):
        figure = Figure(figsize=(9.6, height), facecolor="none")
        axes = figure.subplots(1, len(maps), squeeze=False, sharey=True)[0]
        figure.subplots_adjust(0.17, 0.8 / height, 0.99, 1 - 0.3 / height, wspace=0.06)
        for i, (title, norms) in enumerate(maps.items()):
            _heat(figure, axes[i], norms, parts)
            axes[i].set_title(title, fontsize=9.5, color=curves.INK, loc="left")
        axes[0].set_yticks(range(len(parts)), [_label(part) for part in parts], fontsize=8.5)
        return curves.svg(figure)


def _heat(figure: Figure, axes: Axes, norms: Norms, parts: Sequence[str]) -> None:
    steps = sorted({step for values in norms.values() for step in values})
    steps = [steps[i] for i in np.unique(np.linspace(0, len(steps) - 1, _COLUMNS).astype(int))]
    values = np.array([[norms.get(p, {}).get(s, np.nan) for s in steps] for p in parts], float)
    values[~(values > 0)] = np.nan  # a part at rest has no logarithm: it stays white
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (1.0, 1.0)
    high = max(high, 1.01 * low)
    drawn = axes.imshow(
        values, norm=LogNorm(low, high), cmap="YlGnBu", aspect="auto", interpolation="none"
    )
    at = sorted({0, (len(steps) - 1) // 2, len(steps) - 1})
    axes.set_xticks(at, [f"{steps[i]:,}" for i in at])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8.5, colors=curves.SOFT)
    box = axes.get_position()
    below = figure.add_axes((box.x0, 0.28 / figure.get_figheight(), box.width, 0.02))
    bar = figure.colorbar(drawn, cax=below, orientation="horizontal")
    marks = np.geomspace(low, high, 3).tolist()
    bar.set_ticks(marks, labels=[f"{mark:.2g}" for mark in marks])
    for label, side in zip(bar.ax.get_xticklabels(), ("left", "center", "right"), strict=True):
        label.set_horizontalalignment(side)
    bar.minorticks_off()
    bar.outline.set_visible(False)
    bar.ax.tick_params(which="both", length=0, labelsize=8.5, colors=curves.SOFT)


def _place(part: str) -> tuple:
    """Returns a sort key: the encoder first, blocks by number."""
    pieces = re.split(r"(\d+)", part)
    return (
        not part.startswith("encoder"),
        [(int(p), "") if p.isdigit() else (-1, p) for p in pieces],
    )


def _label(part: str) -> str:
    """Returns "encoder block 3" of "encoder/transformer/blocks/3"."""
    return re.sub(r"(/transformer)?/blocks/", " block ", part).replace("/", " ")
