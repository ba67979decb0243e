"""Class maps beside the truth: what a sensor saw, what is there, and what features made of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colors, figure, patches

from smarties.data import part
from smarties.data.planet import world
from smarties.errors import UserError
from smarties.figures import scenes
from smarties.spectrum.bands import Sensor

# (example of a source, truth [H, W], predicted [H, W] by the words for the features)
Shown = tuple[Mapping[str, Any], np.ndarray, Mapping[str, np.ndarray]]
_UNKNOWN = (0.9, 0.9, 0.9)
_COLOURS = dict(zip(world.LAND_COVER, scenes.COVER_COLOURS, strict=True)) | {
    "trees": "#2f7d3b", "crops": "#f0d77a", "built": "#c0392b", "rangeland": "#c9a56b",
    "flooded vegetation": "#6fb3a5", "not water": "#d9d2c0",
}  # fmt: skip


def picture(
    shown: Sequence[Shown], sensor: Sensor, classes: Sequence[str], width: float = 2.1
) -> figure.Figure:
    """Returns a figure with a row per image: its picture, the truth, and each prediction.

    Args:
      shown: class indices; `part.IGNORE` in the truth is grey.
      sensor: whose image is shown.
      classes: their names, for the one legend.
      width: of a picture, inches.
    """
    names = list(shown[0][2])
    count = 2 + len(names)
    size = (count * width, len(shown) * (width + 0.12) + 0.9)
    sheet = figure.Figure(size, dpi=110, layout="constrained")
    axes = sheet.subplots(len(shown), count, squeeze=False)
    colours = np.full((256, 3), _UNKNOWN)
    for i, name in enumerate(classes):
        colours[i] = colors.to_rgb(_COLOURS.get(name, f"C{i % 10}"))
    for line, (example, truth, maps) in zip(axes, shown, strict=True):
        how, seen = scenes.views(example["images"][sensor.name], sensor)[0]
        panels = [(how, seen), ("truth", colours[truth])]
        for name in names:
            right = (maps[name] == truth)[truth != part.IGNORE].mean()
            panels.append((f"{name}\n{100 * right:.0f} % right", colours[maps[name]]))
        for axis, (title, panel) in zip(line, panels, strict=True):
            axis.imshow(panel, interpolation="nearest")
            axis.set_title(title, fontsize=7, pad=2)
            axis.set_axis_off()
        line[0].set_title(f"{example['id']}\n{how}", fontsize=7, pad=2)
    there = sorted({int(c) for _, truth, maps in shown for m in (truth, *maps.values())
                    for c in np.unique(m)})  # fmt: skip
    marks = [
        patches.Patch(color=colours[c], label=classes[c] if c != part.IGNORE else "not judged")
        for c in there
    ]
    sheet.legend(handles=marks, loc="outside lower center", ncols=5, fontsize=7, frameon=False)
    return sheet


def write(shown: Sequence[Shown], path: Path, sensor: Sensor, classes: Sequence[str]) -> Path:
    """Returns the path of the picture it wrote; raises `UserError` where it cannot."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(shown, sensor, classes).savefig(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror})") from error
    return path
