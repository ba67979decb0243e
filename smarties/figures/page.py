"""The pieces of a page that needs nothing beside itself: its style, tables and pictures."""

import base64
import html
import io
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from matplotlib import image

from smarties.figures import curves
from smarties.figures.numbers import short
from smarties.figures.run import Series, finite

_STYLE = """
:root { color-scheme: light; --ink: #1f2933; --soft: #6b7785; --rule: #e1e6eb; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  color: var(--ink); background: #fff; max-width: 60rem; margin: 0 auto;
  padding: 4rem 1.5rem 5rem; }
h1 { font-size: 2.1rem; line-height: 1.15; letter-spacing: -0.02em; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; letter-spacing: -0.01em; margin: 3.25rem 0 .35rem; }
h3 { font-size: .95rem; font-weight: 600; margin: 1.75rem 0 .5rem; }
h4 { white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
   font-size: .85rem; font-weight: 500; margin: .9rem 0 .1rem; }
h4 span { color: var(--soft); font-weight: 400; margin-left: .35rem; }
p { margin: 0 0 .9rem; max-width: 46rem; }
.soft, figcaption, th { color: var(--soft); }
.note { font-size: .88rem; color: #7a5b16; background: #fdf7e6; padding: .45rem .75rem;
  border-radius: .3rem; max-width: none; margin: .6rem 0; }
.wide { max-width: none; }
table { border-collapse: collapse; width: 100%; font-size: .92rem;
  font-variant-numeric: tabular-nums lining-nums; }
th { font-weight: 500; font-size: .82rem; text-align: right; padding: .3rem 0 .3rem 1rem;
  border-bottom: 1.5px solid var(--ink); }
td { text-align: right; padding: .34rem 0 .34rem 1rem; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td b { font-weight: 700; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(25rem, 1fr));
  gap: 0 3rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .85rem; margin: 0 0 .4rem; max-width: 46rem; }
img.curve { width: 100%; height: auto; display: block; }
.multiples { display: grid; grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr));
  gap: .2rem 1.2rem; }
.bar { display: flex; height: 1.1rem; border-radius: .2rem; overflow: hidden; margin: .6rem 0; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.6rem; font-size: .88rem; max-width: none; }
.key i { display: inline-block; width: .7rem; height: .7rem; border-radius: .15rem;
  margin-right: .4rem; }
.scenes { display: grid; grid-template-columns: repeat(auto-fit, minmax(25rem, 1fr));
  gap: 1.6rem 2rem; margin-top: .9rem; }
.scene { display: grid; grid-template-columns: 1.1rem repeat(4, 1fr); gap: 4px;
  align-items: center; }
.scene span { font-size: .74rem; color: var(--soft); line-height: 1.2; }
.scene .side { writing-mode: vertical-rl; transform: rotate(180deg); text-align: center;
  white-space: nowrap; }
.scene img { width: 100%; aspect-ratio: 1; display: block; image-rendering: pixelated;
  border-radius: 2px; }
details { margin-top: 3.25rem; border-top: 1px solid var(--rule); padding-top: 1rem; }
summary { cursor: pointer; font-weight: 600; }
pre { font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-x: auto; }
@media (max-width: 32rem) { body { padding: 2rem 1rem; }
  .columns, .scenes { grid-template-columns: 1fr; } }
"""


def document(title: str, body: Iterable[str]) -> str:
    """Returns the page; empty parts are left out."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def table(title: str, caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a section with a table; its cells are HTML."""
    head = "".join(f"<th>{cell}</th>" for cell in header)
    lines = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return (f"<section><h2>{title}</h2><figcaption>{caption}</figcaption><table><thead><tr>{head}"
            f"</tr></thead><tbody>{lines}</tbody></table></section>")  # fmt: skip


def multiples(series: Mapping[str, Series], shares: Collection[str] = ()) -> str:
    """Returns small curves with their names and last values; those in `shares` are in percent."""
    figures = []
    for name, values in series.items():
        (_, heights), said, percent = finite(values), html.escape(name), name in shares
        if not len(heights):
            continue
        now = f"{100 * heights[-1]:.3g} %" if percent else short(heights[-1])
        curve = inline(curves.small(values, percent), "svg+xml", f"{name} over steps", "curve")
        figures.append(f"<figure><h4>{said} <span>{now}</span></h4>{curve}</figure>")
    return f'<div class="multiples">{"".join(figures)}</div>' if figures else ""


def png(pixels: np.ndarray) -> bytes:
    """Returns the file of a picture [H, W, 3] uint8."""
    buffer = io.BytesIO()
    image.imsave(buffer, pixels, format="png")
    return buffer.getvalue()


def inline(content: bytes, kind: str, text: str, css: str = "") -> str:
    """Returns an image of a file's content; `text` is said where it cannot be seen."""
    data = base64.b64encode(content).decode()
    css = f' class="{css}"' if css else ""
    return f'<img{css} alt="{html.escape(text)}" src="data:image/{kind};base64,{data}">'
