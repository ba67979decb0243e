"""What a search found: a query, the images nearest to it, and where they lie, for people."""

import dataclasses
import html
import io
import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from smarties.figures import curves, page

NOWHERE = (math.nan, math.nan)
_COLUMNS = 5
_STYLE = """<style>
.found { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr));
  gap: 1.6rem 1.2rem; margin-top: 1.2rem; }
.top { display: grid; grid-template-columns: 12rem 1fr; gap: 1rem 2.5rem; align-items: start; }
.card img { width: 100%; aspect-ratio: 1; display: block; object-fit: cover; border-radius: 3px;
  image-rendering: pixelated; }
.card b { display: block; margin-top: .4rem; font-variant-numeric: tabular-nums; }
.card p { font-size: .82rem; line-height: 1.4; color: var(--soft); margin: 0;
  overflow-wrap: anywhere; }
@media (max-width: 40rem) { .top { grid-template-columns: 1fr; } }
</style>"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """One image.

    Attributes:
      picture: a file of it, JPEG.
      title: in bold, e.g. its similarity.
      lines: below.
      place: longitude and latitude, or `NOWHERE`.
    """

    picture: bytes
    title: str
    lines: Sequence[str] = ()
    place: tuple[float, float] = NOWHERE


def document(
    title: str, said: Sequence[str], query: Card, found: Sequence[Card], others: np.ndarray
) -> str:
    """Returns a page that needs nothing beside itself.

    Args:
      title: heading.
      said: sentences below it.
      query: what was asked.
      found: the nearest first.
      others: [n, 2], longitude and latitude of images that were looked at.
    """
    with matplotlib.rc_context(curves.FONT):
        figure = Figure(figsize=(6.4, 3.4), facecolor="none", layout="constrained")
        places(figure.subplots(), query, found, others)
        drawn = page.inline(curves.svg(figure), "svg+xml", "map of the places", "curve")
    cards = "".join(_card(f"{i}. {card.title}", card) for i, card in enumerate(found, 1))
    return page.document(
        title,
        (
            _STYLE,
            f"<h1>{html.escape(title)}</h1>",
            f"<p class='soft'>{'<br>'.join(map(html.escape, said))}</p>",
            f"<div class='top'>{_card(query.title, query)}<figure>{drawn}</figure></div>",
            f"<div class='found'>{cards}</div>",
        ),
    )


def _card(title: str, card: Card) -> str:
    lines = "<br>".join(html.escape(line) for line in card.lines if line)
    picture = page.inline(card.picture, "jpeg", title)
    return f"<div class='card'>{picture}<b>{html.escape(title)}</b><p>{lines}</p></div>"


def gallery(title: str, query: Card, found: Sequence[Card], others: np.ndarray) -> bytes:
    """Returns the PNG of a query and a map above the nearest images; arguments as `document`."""
    rows = -(-len(found) // _COLUMNS)
    figure = Figure(
        figsize=(10, 2.9 + 2.6 * rows), dpi=120, layout="constrained", facecolor="white"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=curves.INK)
    grid = figure.add_gridspec(rows + 1, _COLUMNS)
    _show(figure.add_subplot(grid[0, 0]), query.title, query)
    places(figure.add_subplot(grid[0, 1:]), query, found, others)
    for i, card in enumerate(found):
        axes = figure.add_subplot(grid[1 + i // _COLUMNS, i % _COLUMNS])
        _show(axes, f"{i + 1}. {card.title}", card)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _show(axes: Axes, title: str, card: Card) -> None:
    with Image.open(io.BytesIO(card.picture)) as picture:
        axes.imshow(np.asarray(picture.convert("RGB")), interpolation="nearest")
    axes.set_title(title, fontsize=8.5, loc="left", color=curves.INK, pad=3)
    lines = [line if len(line) < 34 else f"{line[:32]}…" for line in card.lines if line]
    axes.set_xlabel("\n".join(lines), fontsize=6.5, loc="left", color=curves.SOFT, linespacing=1.35)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def places(axes: Axes, query: Card, found: Sequence[Card], others: np.ndarray) -> None:
    """Draws where images lie, in degrees; numbers are those of the nearest."""
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=7.5, colors=curves.SOFT)
    shown = np.array([card.place for card in (query, *found)], float)
    known = np.concatenate([np.asarray(others, float).reshape(-1, 2), shown])
    known = known[np.isfinite(known).all(1)]
    if not len(known):
        axes.set_axis_off()
        axes.text(0, 0.5, "no image tells its place", fontsize=9, color=curves.SOFT)
        return
    axes.grid(color=curves.RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.plot(*others.T, ".", color="#b8c4cf", markersize=3, markeredgewidth=0, label="archive")
    at = shown[1:]
    axes.plot(*at.T, "o", color=curves.COLOURS[0], markersize=5, label="found")
    for (x, y), numbers in _together(at, np.ptp(known, 0).max() / 60):
        text = ", ".join(map(str, numbers[:4])) + (", …" if len(numbers) > 4 else "")
        axes.annotate(
            text, (x, y), (4, 4), textcoords="offset points", fontsize=7.5, color=curves.INK
        )
    if np.isfinite(shown[0]).all():
        axes.plot(*shown[0], "*", color=curves.COLOURS[1], markersize=11, label="query")
    middle = known.mean(0)
    axes.set_aspect(1 / max(math.cos(math.radians(middle[1])), 0.1), adjustable="datalim")
    axes.set_xlabel("longitude, degrees", fontsize=7.5, color=curves.SOFT)
    axes.set_ylabel("latitude", fontsize=7.5, color=curves.SOFT)
    axes.legend(fontsize=7, frameon=False, loc="best", labelcolor=curves.SOFT)


def _together(at: np.ndarray, apart: float) -> list[tuple[np.ndarray, list[int]]]:
    """Returns places with the numbers (from 1) of all that lie about there."""
    groups: list[tuple[np.ndarray, list[int]]] = []
    for number, place in enumerate(at, 1):
        near = [numbers for middle, numbers in groups if np.abs(place - middle).max() <= apart]
        if near:
            near[0].append(number)
        elif np.isfinite(place).all():
            groups.append((place, [number]))
    return groups
