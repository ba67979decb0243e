"""The pictures of a run's page: held-out scenes, and how they were rebuilt in time."""

import html
import itertools
import zipfile
from collections.abc import Sequence

import numpy as np

from smarties.errors import UserError
from smarties.figures import page, reconstructions, sheet
from smarties.figures.run import Run

# What a file of pictures that is cut, old or of another kind may raise.
_BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, StopIteration, UserError,
           zipfile.BadZipFile)  # fmt: skip


def growth(run: Run) -> str:
    """Returns the first scene of each stream at some of the evaluated steps."""
    try:
        found = sheet.growth(run.workdir / "figures")
    except _BROKEN as error:
        run.notes.append(f"figures/reconstructions-*.png cannot be shown ({error})")
        return ""
    text = []
    for stream, rows in itertools.groupby(found, key=lambda one: one.stream):
        rows = list(rows)
        steps = sorted({step for one in rows for step in one.steps})
        cells = ["", "original", *(f"step {step:,}" for step in steps)]
        cells = [f"<span>{cell}</span>" for cell in cells]
        for one in rows:
            cells.append(f'<span class="side">{html.escape(one.sensor)}</span>')
            cells.append(_picture(one.original, f"{one.sensor}, original"))
            cells += [_picture(one.steps.get(s), f"{one.sensor}, step {s:,}") for s in steps]
        columns = f"grid-template-columns: 1.1rem repeat({len(steps) + 1}, minmax(0, 8.2rem))"
        text.append(f'<h3>{html.escape(stream)}</h3><div class="scene" style="{columns}">')
        text.append(f"{''.join(cells)}</div>")
    head = (
        "<h2>Reconstructions over training</h2><p class='soft'>A held-out scene of each pair of "
        "sensors, the same tokens masked each time.</p>"
    )
    return head + "".join(text) if text else ""


def scenes(run: Run) -> str:
    """Returns all scenes of the last evaluation."""
    path = run.workdir / "figures" / "reconstructions.npz"
    task = run.get("task") or {}
    try:
        streams = reconstructions.read(path, task)
    except FileNotFoundError:
        if any(name.startswith("reconstruct/") for name in run.numbers):
            run.notes.append("no figures/reconstructions.npz: no pictures")
        return ""
    except _BROKEN as error:
        run.notes.append(f"figures/reconstructions.npz cannot be shown ({error})")
        return ""
    units = (
        " Predictions are in units of their patch; they are shown with the mean and the standard "
        "deviation of the true patch, as is usual for masked auto-encoders."
        if task.get("standardise_targets", True) else ""
    )  # fmt: skip
    text = [
        "<h2>Reconstructions of held-out scenes</h2><p class='soft'>Masked tokens are predicted, "
        "visible ones are as in the image; “mixed” shows each token by the sensor it came from. "
        f"Radar is VV, VH and their difference. All panels of a row share one stretch.{units}</p>"
    ]
    for stream, found in streams.items():
        blocks = "".join(_scene(rows) for rows in found)
        text.append(f'<h3>{html.escape(stream)}</h3><div class="scenes">{blocks}</div>')
    return "".join(text)


def _scene(rows: Sequence[reconstructions.Row]) -> str:
    cells = ["<span></span>", *(f"<span>{name}</span>" for name in reconstructions.PANELS)]
    for row in rows:
        cells.append(f'<span class="side">{html.escape(row.sensor)}</span>')
        for name, panel in zip(reconstructions.PANELS, row.panels, strict=True):
            cells.append(_picture(panel, f"{row.sensor}, {name}"))
    return f'<div class="scene">{"".join(cells)}</div>'


def _picture(pixels: np.ndarray | None, text: str) -> str:
    return "<span></span>" if pixels is None else page.inline(page.png(pixels), "png", text)
