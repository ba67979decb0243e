"""The picture an evaluation leaves: a few scenes, as they were and as the model rebuilds them."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from smarties.figures import reconstructions
from smarties.figures.reconstructions import PANELS, Row

_SCENES = 2  # of each stream
_SIDE, _GAP = 128, 4  # pixels of a panel, and between two
_LINE = 20  # pixels of a line of text
_INK, _SOFT = "#1f2933", "#6b7785"
_TEXT = "smarties.panels"  # in the PNG: what stands where

Streams = Mapping[str, Sequence[Sequence[Row]]]


class Panel(NamedTuple):
    """What one picture of the sheet shows."""

    stream: str
    scene: int
    row: int  # of the scene, one for each sensor
    sensor: str
    kind: str  # of `reconstructions.PANELS`


def draw(workdir: Path, step: int) -> Path | None:
    """Returns figures/reconstructions-STEP.png, or None where this evaluation left no scenes."""
    figures = workdir / "figures"
    source, path = figures / "reconstructions.npz", figures / f"reconstructions-{step:08d}.png"
    if not source.exists():
        return None
    with np.load(source, allow_pickle=False) as arrays:
        if int(arrays["step"]) != step:
            return None  # an evaluation before has left it
    config = json.loads((workdir / "config.json").read_text())
    streams = reconstructions.read(source, config.get("task") or {})
    part = path.with_suffix(".part")
    write(part, f"{config.get('name', workdir.name)}, step {step:,}", streams)
    os.replace(part, path)  # whoever opens it while the run goes on sees all of it
    return path


def write(path: Path, title: str, streams: Streams) -> None:
    """Writes a PNG of scenes, which says in its text where each panel is."""
    font, heading = (ImageFont.load_default(size) for size in (13, 15))
    names = [*streams, *(row.sensor for scenes in streams.values() for row in scenes[0])]
    placed = list(_placed(streams, 3 * _GAP + round(max(map(font.getlength, names)))))
    right, bottom = (max(at[i] for _, at, _ in placed) + _SIDE + 2 * _GAP for i in (0, 1))
    sheet = Image.new("RGB", (right, bottom), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _GAP), title, _INK, heading)
    for panel, (left, top), pixels in placed:
        sheet.paste(_sized(pixels), (left, top))
        if panel.row == 0:
            pen.text((left, top - _LINE), panel.kind, _SOFT, font)
        if panel.scene == 0 and panel.kind == PANELS[0]:
            pen.text((_GAP, top - _LINE), panel.stream if panel.row == 0 else "", _INK, font)
            pen.text((_GAP, top + _SIDE / 2), panel.sensor, _SOFT, font, anchor="lm")
    text = PngImagePlugin.PngInfo()
    text.add_text(_TEXT, json.dumps([(panel, at) for panel, at, _ in placed]))
    sheet.save(path, "PNG", pnginfo=text)


def _placed(streams: Streams, margin: int) -> Iterator[tuple[Panel, tuple[int, int], np.ndarray]]:
    """Yields each panel, its left upper corner, and its pixels."""
    top = 2 * _LINE
    for stream, scenes in streams.items():
        top += _LINE
        for row in range(len(scenes[0])):
            for scene, views in enumerate(scenes[:_SCENES]):
                left = margin + scene * (len(PANELS) * (_SIDE + _GAP) + 3 * _GAP)
                for kind, pixels in zip(PANELS, views[row].panels, strict=True):
                    yield Panel(stream, scene, row, views[row].sensor, kind), (left, top), pixels
                    left += _SIDE + _GAP
            top += _SIDE + _GAP


def _sized(pixels: np.ndarray) -> Image.Image:
    """Returns a panel in its size: pixels stay pixels where there is room for them."""
    small = pixels.shape[0] <= _SIDE
    way = Image.Resampling.NEAREST if small else Image.Resampling.BOX
    return Image.fromarray(pixels).resize((_SIDE, _SIDE), way)


class Growth(NamedTuple):
    """How the reconstruction of a scene by one sensor changed: pictures [H, W, 3] by step."""

    stream: str
    sensor: str
    original: np.ndarray
    steps: dict[int, np.ndarray]


def growth(directory: Path, most: int = 6) -> list[Growth]:
    """Returns the first scene of every stream by each of its sensors, at up to `most` steps.

    Early steps stand closer, as most changes there. What shows another scene than the last step is
    left out.
    """
    found = ((re.fullmatch(r"reconstructions-(\d+)\.png", p.name), p) for p in directory.glob("*"))
    paths = {int(match[1]): path for match, path in found if match}
    sheets = {step: _read(paths[step]) for step in _spread(sorted(paths), most)}
    kept = []
    for panel, original in sheets[max(sheets)].items() if sheets else ():
        if panel.kind == "original" and panel.scene == 0:
            made = panel._replace(kind="reconstructed")
            same = {
                step: sheet[made]
                for step, sheet in sheets.items()
                if made in sheet and np.array_equal(sheet.get(panel, ()), original)
            }
            kept.append(Growth(panel.stream, panel.sensor, original, same))
    return kept


def _spread(steps: Sequence[int], most: int) -> list[int]:
    """Returns at most so many of the steps, first and last included, denser at the beginning."""
    if len(steps) <= most:
        return list(steps)
    at = np.geomspace(1, len(steps), most) - 1
    return [steps[i] for i in dict.fromkeys(np.rint(at).astype(int))]


def _read(path: Path) -> dict[Panel, np.ndarray]:
    with Image.open(path) as sheet:
        placed = json.loads(sheet.info[_TEXT])
        whole = np.asarray(sheet.convert("RGB"))
    return {Panel(*p): whole[top : top + _SIDE, left : left + _SIDE] for p, (left, top) in placed}
