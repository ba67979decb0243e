"""Pictures of results: confusion matrix, average precision by class, and curves over conditions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smarties.errors import UserError
from smarties.figures import curves, retrieval

Row = Mapping[str, Any]
Point = tuple[float, float, float, float]  # place, value, and the ends of its interval


def confusion(counts: np.ndarray, classes: Sequence[str]) -> bytes:
    """Returns the SVG of a confusion matrix [L, L], each row as shares of its class."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 1.6 + 0.34 * len(classes)
    with matplotlib.rc_context(curves.FONT):
        figure = Figure(figsize=(side + 0.6, side), facecolor="none", layout="constrained")
        axes = figure.subplots()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.argwhere(share >= 0.005):
            axes.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", fontsize=7.5,
                      color="white" if share[i, j] > 0.55 else curves.INK)  # fmt: skip
        _names(axes, classes)
        axes.set_yticks(range(len(classes)), classes, fontsize=8.5)
        axes.set_ylabel("class, %", fontsize=9, color=curves.SOFT)
        axes.set_xlabel("called", fontsize=9, color=curves.SOFT)
        return curves.svg(figure)


def bars(
    values: Mapping[str, Sequence[float | None]],
    classes: Sequence[str],
    said: str = "average precision",
) -> bytes:
    """Returns the SVG of a metric by class, a bar for each features' name; None has none."""
    width = 0.8 / max(len(values), 1)
    with matplotlib.rc_context(curves.FONT):
        size = (1.5 + (0.3 + 0.12 * len(values)) * len(classes), 3.2)
        figure = Figure(figsize=size, facecolor="none", layout="constrained")
        axes = figure.subplots()
        for k, (name, heights) in enumerate(values.items()):
            at = np.arange(len(classes)) + (k - (len(values) - 1) / 2) * width
            axes.bar(at, np.array(heights, float), 0.9 * width, color=curves.COLOURS[k], label=name)
        _names(axes, classes)
        axes.set_ylim(0, 1)
        axes.set_ylabel(said, fontsize=9, color=curves.SOFT)
        axes.grid(axis="y", color=curves.RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper left", frameon=False, fontsize=8.5, ncols=2)
        return curves.svg(figure)


def lines(
    points: Mapping[str, Sequence[Point]], said: str, metric: str, ratio: bool = True
) -> bytes:
    """Returns the SVG of values and intervals over places, logarithmic where `ratio`."""
    with matplotlib.rc_context(curves.FONT):
        figure = Figure(figsize=(5.6, 3.4), facecolor="none", layout="constrained")
        axes = figure.subplots()
        for k, (name, found) in enumerate(points.items()):
            x, y, low, high = np.array(sorted(found)).T
            axes.plot(x, y, color=curves.COLOURS[k], marker="o", markersize=3.5, label=name)
            axes.fill_between(x, low, high, color=curves.COLOURS[k], alpha=0.13, linewidth=0)
        if ratio:
            axes.set_xscale("log")
            places = sorted({p[0] for found in points.values() for p in found})
            axes.set_xticks(places, [f"{x:g}" for x in places])
            axes.minorticks_off()
        axes.set_xlabel(said, fontsize=9, color=curves.SOFT)
        axes.set_ylabel(metric.replace("_", " "), fontsize=9, color=curves.SOFT)
        axes.grid(axis="y", color=curves.RULE, linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8.5, colors=curves.SOFT)
        figure.legend(loc="outside upper left", frameon=False, fontsize=8.5, ncols=2)
        return curves.svg(figure)


def _names(axes: Axes, classes: Sequence[str]) -> None:
    axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right", fontsize=8.5)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def write(groups: Sequence[Sequence[Row]], directory: Path) -> list[Path]:
    """Returns the files of the pictures of rows, grouped by condition, in a folder.

    Of the images as they are and the most labels: confusion and bars of the best probe of each
    features. Over regimes, and over tracks with numbers: a curve of each features. Of retrievals
    one picture of all pairs of sensors.

    Raises:
      UserError: the folder cannot be written.
    """
    tasks: dict[tuple, list[Row]] = {}
    for row in (row for group in groups for row in group):
        kind = tuple(row[k] for k in ("name", "data", "protocol", "bands", "seed", "select"))
        tasks.setdefault((*kind, "" if "query" in row else row["sensor"]), []).append(row)
    pictures: dict[str, bytes] = {}
    for number, (kind, rows) in enumerate(tasks.items()):
        stem = "-".join(filter(None, (kind[0], kind[-1], str(number) if number else "")))
        made = _pictures(rows) if kind[-1] else {"ways": retrieval.ways(rows)}
        pictures |= {f"{stem}-{name}.svg": content for name, content in made.items()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in pictures.items():
            (directory / name).write_bytes(content)
    except OSError as error:
        raise UserError(f"{directory} cannot be written ({error.strerror})") from error
    return [directory / name for name in pictures]


def _pictures(rows: Sequence[Row]) -> dict[str, bytes]:
    made, metric = {}, rows[0]["select"]
    plain = [row for row in rows if not row["track"]]
    if plain:
        most = max(row["examples"]["train"] for row in plain)
        best = _best([row for row in plain if row["examples"]["train"] == most], metric)
        classes = plain[0]["classes"]
        said = "intersection over union" if metric == "miou" else "average precision"
        values = {name: row["per_class"] for name, row in best.items()}
        made["classes"] = bars(values, classes, said)
        shown = best.get("model") or max(best.values(), key=lambda row: row["metrics"][metric][0])
        if "confusion" in shown:
            made["confusion"] = confusion(np.array(shown["confusion"]), classes)
        regimes = _curves(plain, metric, lambda row: row["examples"]["train"])
        made["labels"] = lines(regimes, "labelled examples", metric)
    for track in ("resolution", "noise"):
        chosen = [row for row in rows if row["track"] == track]
        if chosen:
            there = [r for r in plain if r["labelled"] == chosen[0]["labelled"]]
            whole = 1.0 if track == "resolution" else 0.0
            found = _curves(
                [*there, *chosen], metric, lambda row, w=whole: float(row["level"] or w)
            )
            made[track] = lines(found, track, metric, ratio=track == "resolution")
    return made


def _curves(rows: Sequence[Row], metric: str, place) -> dict[str, list[Point]]:
    """Returns the best probe's points of each features."""
    found: dict[str, list[Point]] = {}
    for at in sorted({place(row) for row in rows}):
        for name, row in _best([row for row in rows if place(row) == at], metric).items():
            value, low, high = row["metrics"][metric]
            found.setdefault(name, []).append((at, value, low, high))
    return found


def _best(rows: Sequence[Row], metric: str) -> dict[str, Row]:
    """Returns the best row of each features."""
    ordered = sorted(rows, key=lambda row: row["metrics"][metric][0])
    best = {row["features"]: row for row in ordered}
    return {name: best[name] for name in sorted(best, key=lambda n: (n != "model", n))}
