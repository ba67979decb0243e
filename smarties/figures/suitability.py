"""Maps of where a species may live, and of what each predictor adds to that."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from smarties.figures import curves, explanations


def maps(
    names: Sequence[str],
    values: np.ndarray,
    suitability: np.ndarray,
    extent: Sequence[float] | None = None,
    points: np.ndarray | None = None,
    columns: int = 3,
    said: str = "suitability",
) -> Figure:
    """Returns maps of suitability [H, W] and of what each player adds to it there, [d, H, W].

    All players share one scale; NaN, where nothing is known, stays blank.

    Args:
      extent: left, right, bottom, top in the units of the CRS; pixels by default.
      points: [n, 2] x and y in the same, where the species was found.
    """
    high, wide = suitability.shape
    ratio = high / wide
    if extent is not None:
        ratio = abs(extent[3] - extent[2]) / max(abs(extent[1] - extent[0]), 1e-12)
    columns = min(columns, len(names) + 1)
    rows = -(-(len(names) + 1) // columns)
    limit = max(float(np.nanmax(np.abs(values), initial=0)), 1e-6)
    with matplotlib.rc_context(curves.FONT):
        size = (2.6 * columns + 1.0, (2.6 * min(ratio, 3) + 0.4) * rows + 0.2)
        figure = Figure(figsize=size, layout="constrained")
        panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
        for axes, name, layer in zip(panels, [said, *names], [suitability, *values], strict=False):
            first = axes is panels[0]
            cmap, low, top = ("YlGn", 0, 1) if first else (explanations.DIVERGING, -limit, limit)
            picture = axes.imshow(
                layer, cmap=cmap, vmin=low, vmax=top, extent=extent, interpolation="nearest"
            )
            axes.set_title(name, fontsize=9, color=curves.INK)
            if first and points is not None:
                axes.plot(*points.T, ".", color=curves.INK, markersize=2.5, alpha=0.7)
                axes.set_xlim(*picture.get_extent()[:2])
                axes.set_ylim(*picture.get_extent()[2:])
            if first or axes is panels[min(len(names), columns)]:
                where = axes if first else list(panels[1:])
                bar = figure.colorbar(picture, ax=where, shrink=0.8, aspect=24, pad=0.02)
                bar.ax.tick_params(length=0, labelsize=8, colors=curves.SOFT)
                bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        for axes in panels:
            axes.set_axis_off()
        return figure
