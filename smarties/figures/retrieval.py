"""The picture of a retrieval: how well each sensor is found by each, beside chance."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from smarties.figures import curves

Row = Mapping[str, Any]


def ways(rows: Sequence[Row]) -> bytes:
    """Returns the SVG of bars with 95 % intervals, a group for each pair of sensors.

    Of features with several poolings the best is shown; what has no bar is not defined there.

    Args:
      rows: of one retrieval, random retrieval among them: the dashed lines.
    """
    metric = rows[0]["select"]
    pairs = list(dict.fromkeys(row["sensor"] for row in rows))
    best: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: row["metrics"][metric][0]):
        best[_name(row), row["sensor"]] = row
    names = list(dict.fromkeys(_name(row) for row in rows if row["probe"] != "chance"))
    chance = {row["sensor"]: row["metrics"][metric][0] for row in rows if row["probe"] == "chance"}
    width = 0.8 / max(len(names), 1)
    with matplotlib.rc_context(curves.FONT):
        size = (1.2 + 1.6 * len(pairs), 3.4)
        figure = Figure(figsize=size, facecolor="none", layout="constrained")
        axes = figure.subplots()
        for i, name in enumerate(names):
            there = [k for k, pair in enumerate(pairs) if (name, pair) in best]
            found = [best[name, pairs[k]]["metrics"][metric] for k in there]
            value, low, high = 100 * np.array(found).T
            at = np.array(there) + (i - (len(names) - 1) / 2) * width
            ends = (value - low, high - value)
            axes.bar(at, value, 0.9 * width, color=curves.COLOURS[i], label=name, yerr=ends,
                     error_kw=dict(lw=0.9, ecolor=curves.INK))  # fmt: skip
        for k, pair in enumerate(pairs):
            if pair in chance:
                label = "_" if k else "random retrieval"
                axes.hlines(100 * chance[pair], k - 0.45, k + 0.45, curves.SOFT, "--", label=label)
        axes.set_xticks(
            range(len(pairs)), [p.replace("->", "\nfinds ") for p in pairs], fontsize=8.5
        )
        axes.set_ylabel(f"{metric.replace('_', ' ')}, %", fontsize=9, color=curves.SOFT)
        axes.grid(axis="y", color=curves.RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8.5, colors=curves.SOFT, length=0)
        figure.legend(loc="outside upper left", frameon=False, fontsize=8.5, ncols=3)
        return curves.svg(figure)


def _name(row: Row) -> str:
    return row["weights"] or row["features"]
