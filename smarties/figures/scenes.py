"""A contact sheet of scenes: what sensors saw, side by side, for people."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps, colors, figure, patches

from smarties.data import sources
from smarties.data.planet import world
from smarties.spectrum import bands, registry

COVER_COLOURS = ("#2f5d9b", "#3f8f3f", "#1f5a33", "#b39a5c", "#a9c964", "#f0d77a", "#c0392b",
                  "#b8aea3", "#f4f8fb", "#6fb3a5")  # fmt: skip
# A class has one colour wherever it is; 255 means that none is known.
_MAP_COLOURS = np.resize(colormaps["tab20"](range(20))[:, :3], (2**16, 3))
_MAP_COLOURS[255] = 0.85
_TRUE, _INFRARED = (660, 560, 480), (850, 660, 560)


def composite(image: np.ndarray, sensor: bands.Sensor, wavelengths: Sequence[float]) -> np.ndarray:
    """Returns a picture [H, W, 3] in 0..1 of the bands nearest to three wavelengths (nm).

    Stretched like a photograph: a common exposure from the 98th percentile, then gamma.
    """
    optical = [i for i, band in enumerate(sensor.bands) if band.domain == "optical"]
    at = [min(optical, key=lambda i: abs((sensor.bands[i].center or 0) - w)) for w in wavelengths]
    scale = np.array([sensor.bands[i].scale for i in at])
    offset = np.array([sensor.bands[i].offset for i in at])
    value = image[..., at] * scale + offset
    if sensor.bands[at[0]].unit == "digital number":
        return np.clip(value / 255, 0, 1)
    low = np.minimum(np.percentile(value, 1, axis=(0, 1)), 0.05) * 0.7
    top = max(float(np.percentile(value - low, 98)), 0.12)
    return np.clip((value - low) / top, 0, 1) ** (1 / 1.5)


def radar(image: np.ndarray, sensor: bands.Sensor) -> np.ndarray:
    """Returns a picture [H, W, 3] in 0..1: co-polarised, cross-polarised, and their difference."""
    names = [band.polarization for band in sensor.bands]
    crossed = [i for i, name in enumerate(names) if name in ("VH", "HV")]
    co = image[..., next(i for i, name in enumerate(names) if name in ("VV", "HH"))]
    if not crossed:
        return np.clip((co + 22) / 22, 0, 1)[..., None].repeat(3, -1)
    cross = image[..., crossed[0]]
    return np.clip(np.stack([(co + 22) / 22, (cross + 28) / 22, (co - cross) / 16], -1), 0, 1)


def contact_sheet(
    examples: Sequence[sources.Example],
    definitions: Mapping[str, bands.Sensor] | None = None,
    classes: Sequence[str] = (),
    width: float = 1.9,
) -> figure.Figure:
    """Returns a figure with one row per example: true colour, infrared and radar views, maps.

    Args:
      examples: to show.
      definitions: of sensors that are not registered.
      classes: label names; those of an example stand over its pictures.
      width: of one picture, inches.
    """
    rows = [_pictures(example, definitions or {}) for example in examples]
    count = max(len(row) for row in rows)
    sheet = figure.Figure(
        (count * width, len(rows) * (width + 0.16)), dpi=110, layout="constrained"
    )
    present = {int(c) for e in examples if "map" in e for c in np.unique(e["map"])}
    if marks := [
        patches.Patch(color=_MAP_COLOURS[c], label=classes[c] if c < len(classes) else f"{c}")
        for c in sorted(present)
    ]:
        sheet.legend(handles=marks, loc="outside lower right", ncols=5, fontsize=5)
    axes = sheet.subplots(len(rows), count, squeeze=False)
    for line, row, example in zip(axes, rows, examples, strict=True):
        for axis, (title, picture) in zip(line, row, strict=False):
            axis.imshow(picture, interpolation="nearest")
            axis.set_title(title, fontsize=6, pad=2)
        for axis in line:
            axis.set_axis_off()
        about = (textwrap.fill(t, 48) for t in (example["id"], _labels(example, classes)) if t)
        line[0].set_title("\n".join((*about, line[0].get_title())), fontsize=4.5, pad=2)
    return sheet


def _labels(example: sources.Example, classes: Sequence[str]) -> str:
    if not classes or "labels" not in example:
        return ""
    given = np.asarray(example["labels"])
    present = np.flatnonzero(given).tolist() if given.ndim else [int(given)]
    return ", ".join(classes[i] for i in present)


def _pictures(
    example: sources.Example, definitions: Mapping[str, bands.Sensor]
) -> list[tuple[str, np.ndarray]]:
    pictures = []
    for name, image in example["images"].items():
        sensor = definitions.get(name) or registry.sensor(name)
        pictures += [(f"{name}, {how}", seen) for how, seen in views(image, sensor)]
    if "land_cover" in example:
        colour = np.array([colors.to_rgb(c) for c in COVER_COLOURS])
        main = world.LAND_COVER[np.bincount(example["land_cover"].ravel()).argmax()]
        when = f", day {float(example['time']):.0f}" if "time" in example else ""
        pictures.append((main + when, colour[example["land_cover"]]))
    if "map" in example:
        pictures.append(("map", _MAP_COLOURS[example["map"]]))
    return pictures


def views(image: np.ndarray, sensor: bands.Sensor) -> list[tuple[str, np.ndarray]]:
    """Returns (what it shows, picture [H, W, 3] in 0..1) for each way to look at an image.

    There is none for an image of thermal bands alone.
    """
    domains = {band.domain for band in sensor.bands}
    found = []
    if "optical" in domains:
        found.append(("true colour", composite(image, sensor, _TRUE)))
        if max(band.center or 0 for band in sensor.bands) > 780:
            found.append(("infrared", composite(image, sensor, _INFRARED)))
    if "microwave" in domains:
        found.append(("VV VH VV/VH", radar(image, sensor)))
    return found


def write(
    examples: Sequence[sources.Example],
    path: str | Path,
    definitions: Mapping[str, bands.Sensor] | None = None,
    classes: Sequence[str] = (),
) -> Path:
    """Returns the path of the contact sheet it wrote."""
    contact_sheet(examples, definitions, classes).savefig(path)
    return Path(path)
