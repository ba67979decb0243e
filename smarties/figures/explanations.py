"""Pictures of Shapley values: what each predictor adds, overall and at places.

All take the names of the d players and values with the players first.
"""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib import cm, colormaps, colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smarties.figures import curves

UP, DOWN = curves.COLOURS[1], curves.COLOURS[0]  # raises, lowers
DIVERGING = colors.LinearSegmentedColormap.from_list(
    "raises and lowers", (DOWN, "#a9c6db", "#f7f7f5", "#ecb5a8", UP)
)
MOST = 20  # players of a picture; the others are one line


def bar(
    names: Sequence[str],
    values: np.ndarray,
    errors: np.ndarray | None = None,
    said: str = "Shapley value",
) -> Figure:
    """Returns bars of values [d], the largest on top, with two standard errors where known."""
    names, values, errors = _largest(names, values, errors)
    with matplotlib.rc_context(curves.FONT):
        figure, axes = _figure(len(names), said)
        ends = None if errors is None else 2 * errors
        axes.barh(
            range(len(names)), values, 0.7, color=np.where(values < 0, DOWN, UP), xerr=ends,
            error_kw=dict(lw=0.9, ecolor=curves.INK),
        )  # fmt: skip
        reach = np.abs(values) + (0 if ends is None else ends)
        for i, value in enumerate(values):
            side = -1 if value < 0 else 1
            axes.annotate(
                f"{value:+.3g}", (side * reach[i], i), (4 * side, 0), textcoords="offset points",
                ha="left" if side > 0 else "right", va="center", fontsize=8, color=curves.SOFT,
            )  # fmt: skip
        _names(axes, names)
        axes.margins(x=0.12)
        return figure


def beeswarm(
    names: Sequence[str],
    values: np.ndarray,
    data: np.ndarray | None = None,
    said: str = "Shapley value",
) -> Figure:
    """Returns a point for each of n places of values [d, n], the weightiest player on top.

    Args:
      data: [d, n], coloured from each player's low to its high values; NaN is grey.
    """
    order = np.argsort(-np.abs(values).mean(1), kind="stable")[:MOST]
    with matplotlib.rc_context(curves.FONT):
        figure, axes = _figure(len(order), said, row=0.42)
        shades = None
        for i, player in enumerate(order):
            at = i + _spread(values[player])
            shade = np.full((values.shape[1], 4), colors.to_rgba(curves.COLOURS[0], 0.8))
            if data is not None:
                shade = colormaps["viridis"](_ranks(data[player]))
                shade[np.isnan(data[player])] = colors.to_rgba("#c4ccd4")
                shades = True
            axes.scatter(values[player], at, 9, shade, linewidths=0)
        if shades:
            scale = figure.colorbar(cm.ScalarMappable(cmap="viridis"), ax=axes, aspect=40, pad=0.02)
            scale.set_ticks([0, 1], labels=["low", "high"])
            scale.ax.tick_params(length=0, labelsize=8, colors=curves.SOFT)
            scale.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        _names(axes, [str(names[i]) for i in order])
        return figure


def waterfall(
    names: Sequence[str],
    values: np.ndarray,
    empty: float,
    full: float,
    data: Sequence[str] | None = None,
    said: str = "suitability",
) -> Figure:
    """Returns the way of one prediction from `empty` to `full` by values [d], largest last.

    Args:
      data: what each player is there, written beside its name.
    """
    labels = (
        list(names) if data is None else [f"{n} = {x}" for n, x in zip(names, data, strict=True)]
    )
    labels, values, _ = _largest(labels, values, None)
    order = np.arange(len(values))[::-1]  # small steps first, from below
    ends = empty + np.cumsum(values[order])
    with matplotlib.rc_context(curves.FONT):
        figure, axes = _figure(len(labels), said)
        span = max(np.ptp([empty, *ends]), 1e-9)
        for row, (player, end) in enumerate(zip(order, ends, strict=True)):
            value = values[player]
            axes.barh(player, value, 0.62, end - value, color=DOWN if value < 0 else UP)
            axes.plot([end, end], [player - 0.31, player - 1.31] if row < len(order) - 1 else
                      [player, player], color=curves.SOFT, linewidth=0.7)  # fmt: skip
            right = max(end, end - value)
            axes.text(right + 0.012 * span, player, f"{value:+.3g}", va="center", fontsize=8,
                      color=DOWN if value < 0 else UP)  # fmt: skip
        for x, text in ((empty, f"nothing known: {empty:.3g}"), (full, f"all known: {full:.3g}")):
            axes.axvline(x, color=curves.SOFT, linewidth=0.8, dashes=(3, 2.5))
            axes.annotate(
                text, (x, 1), (0, 3 if x == empty else 14), xycoords=("data", "axes fraction"),
                textcoords="offset points", ha="center", fontsize=8, color=curves.SOFT,
            )  # fmt: skip
        _names(axes, labels, zero=False)
        axes.use_sticky_edges = False
        axes.margins(x=0.12)
        return figure


def interactions(names: Sequence[str], values: np.ndarray, said: str = "") -> Figure:
    """Returns the matrix of interactions [d, d]; on its diagonal what each is worth alone."""
    side = 1.9 + 0.52 * len(names)
    limit = max(float(np.abs(values).max()), 1e-12)
    with matplotlib.rc_context(curves.FONT):
        figure = Figure(figsize=(side + 0.5, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(values, cmap=DIVERGING, vmin=-limit, vmax=limit)
        for i, j in np.ndindex(values.shape):
            axes.text(j, i, f"{values[i, j]:.2g}", ha="center", va="center", fontsize=7.5,
                      color="white" if abs(values[i, j]) > 0.7 * limit else curves.INK)  # fmt: skip
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8.5)
        axes.set_yticks(range(len(names)), names, fontsize=8.5)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, colors=curves.INK)
        axes.set_title(said or "half an interaction each; alone on the diagonal", fontsize=8.5,
                       color=curves.SOFT)  # fmt: skip
        return figure


def _figure(rows: int, said: str, row: float = 0.31) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 1.1 + row * rows), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(said, fontsize=9, color=curves.SOFT)
    axes.spines[:].set_visible(False)
    axes.grid(axis="x", color=curves.RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, colors=curves.SOFT, length=0)
    return figure, axes


def _names(axes: Axes, names: Sequence[str], zero: bool = True) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=9, color=curves.INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    if zero:
        axes.axvline(0, color="#c4ccd4", linewidth=0.9)


def _largest(
    names: Sequence[str], values: np.ndarray, errors: np.ndarray | None
) -> tuple[list[str], np.ndarray, np.ndarray | None]:
    """Returns the players by size; beyond `MOST` they become one, whose value is their sum."""
    order = np.argsort(-np.abs(values), kind="stable")
    top, rest = (order, order[:0]) if len(order) <= MOST else (order[: MOST - 1], order[MOST - 1 :])
    labels, kept = [str(names[i]) for i in top], values[top]
    ends = None if errors is None else errors[top]
    if len(rest):
        labels.append(f"{len(rest)} others")
        kept = np.append(kept, values[rest].sum())
        if ends is not None and errors is not None:
            ends = np.append(ends, np.sqrt(np.square(errors[rest]).sum()))
    return labels, kept, ends


def _ranks(values: np.ndarray) -> np.ndarray:
    """Returns places of values among each other, 0..1: a colour for each quantile."""
    known = np.sort(values[np.isfinite(values)])
    return np.searchsorted(known, values, "left") / max(len(known) - 1, 1)


def _spread(values: np.ndarray, height: float = 0.38, bins: int = 60) -> np.ndarray:
    """Returns offsets across the line, so that points of like values lie beside each other."""
    span = max(float(np.ptp(values)), 1e-12)
    bin_ = ((values - values.min()) / span * (bins - 1)).round().astype(int)
    order = np.lexsort((values, bin_))
    counts = np.bincount(bin_, minlength=bins)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = np.empty(len(values), int)
    place[order] = np.arange(len(values)) - first[bin_[order]]
    side = np.where(place % 2, 1, -1) * ((place + 1) // 2)
    return height * side / max(counts.max() / 2, 6)
