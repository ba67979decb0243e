"""The page of a run: one HTML file that needs nothing beside itself."""

import base64
import html
import io
import math
import statistics
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib import image

from smarties.errors import UserError
from smarties.figures import curves, reconstructions, timing
from smarties.figures import run as runs
from smarties.figures.run import Run, last

_STYLE = """
:root { color-scheme: light; --ink: #1f2933; --soft: #6b7785; --rule: #e1e6eb; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  color: var(--ink); background: #fff; max-width: 60rem; margin: 0 auto;
  padding: 4rem 1.5rem 5rem; }
h1 { font-size: 2.1rem; line-height: 1.15; letter-spacing: -0.02em; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; letter-spacing: -0.01em; margin: 3.25rem 0 .35rem; }
h3 { font-size: .95rem; font-weight: 600; margin: 1.75rem 0 .5rem; }
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


def write(workdir: str | Path) -> Path:
    """Returns `workdir`/report.html, written from what the run directory holds.

    Raises:
      UserError: `workdir` is no run directory, or the page cannot be written.
    """
    workdir = Path(workdir)
    run = runs.read(workdir)
    name = run.name
    pictures = _reconstructions(run)  # first, for its notes
    body = [
        f"<h1>{html.escape(name)}</h1>", _summary(run),
        *(f'<p class="note">{html.escape(note)}</p>' for note in run.notes),
        _tables(run), _curves(run), pictures,
        f"<details><summary>Configuration</summary><pre>{_config(run)}</pre></details>",
    ]  # fmt: skip
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )
    path = workdir / "report.html"
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _summary(run: Run) -> str:
    total = run.steps or run.step
    steps = f"{total:,} steps" if run.step == total else f"{run.step:,} of {total:,} steps"
    size = run.get("batch_size")
    pairs = [f"{s['first']} with {s['second']}" for s in run.get("data", "streams").values()
             if {"first", "second"} <= set(s)] if run.get("data", "streams") else []  # fmt: skip
    seconds = sum(timing.spent(run).values())
    speed = next((v for k, v in run.clock.items() if k.endswith("_per_second")), None)
    unit = next((k[: -len("_per_second")] for k in run.clock if k.endswith("_per_second")), "")
    facts = [
        f"{steps} of {size:,} {unit or 'examples'}" if size else steps,
        ", ".join(pairs),
        str(run.get("hardware") or ""),
        timing.duration(seconds) if seconds else "",
        f"{statistics.median(speed.values()):,.0f} {unit}/s" if speed else "",
    ]
    shown = " &middot; ".join(html.escape(fact) for fact in facts if fact)
    return f'<p class="soft wide">{shown}</p>'


def _tables(run: Run) -> str:
    left = dict(run.numbers)

    def take(name: str) -> float:
        return float(left.pop(name, math.nan))

    def of(kind: str) -> list[str]:
        names = (k.split("/")[1] for k in run.numbers if k.startswith(f"{kind}/"))
        return sorted(dict.fromkeys(names), key=_order(run))

    unseen = run.get("evaluate", "unseen") or ()
    errors = [(s, [take(f"reconstruct/{s}{e}") for e in ("", "/mean", "/random")])
              for s in of("reconstruct")]  # fmt: skip
    knn = [(s, [take(f"knn/{s}{e}") for e in ("", "/random")]) for s in of("knn")]
    found = [(w, [take(f"retrieve/{w}{e}") for e in ("", "/random", "/chance", "/low", "/high")])
             for w in of("retrieve")]  # fmt: skip
    parts = []
    if errors:
        rows = [[_sensor(s, unseen), *_marked(v, "{:.3f}", min)] for s, v in errors]
        parts.append(_table("Reconstruction", "Squared error of masked tokens; lower is better.",
                            ("sensor", "model", "band mean", "random weights"), rows))  # fmt: skip
    if knn:
        rows = [
            [_sensor(s, unseen), *_marked([100 * x for x in v], "{:.1f} %", max)] for s, v in knn
        ]
        parts.append(_table("Land cover by nearest neighbours", "Accuracy; higher is better.",
                            ("sensor", "model", "random weights"), rows))  # fmt: skip
    text = f'<div class="columns">{"".join(parts)}</div>' if parts else ""
    if found:
        rows = []
        for way, (hit, random, chance, low, high) in found:
            marked = _marked([100 * x for x in (hit, random, chance)], "{:.1f} %", max)
            spread = f"{100 * low:.1f} – {100 * high:.1f} %" if low == low else ""
            rows.append([html.escape(_way(way)), marked[0], spread, *marked[1:]])
        text += _table("Retrieval", "Recall at 1: how often the nearest image of the other sensor "
                       "shows the same place; with its 95 % interval.",
                       ("query → archive", "model", "interval", "random weights", "chance"),
                       rows)  # fmt: skip
    if left:
        rows = [[html.escape(k), f"{v:.4g}"] for k, v in sorted(left.items())]
        text += _table("Other numbers", "", ("name", "value"), rows)
    return text or '<p class="note">no evaluation yet</p>'


def _order(run: Run) -> Any:
    """Returns a sort key: sensors of the streams first, in their order; then by name."""
    streams = run.get("data", "streams") or {}
    known = [s.get(side, "") for s in streams.values() for side in ("first", "second")]

    def key(name: str) -> tuple[int, int, str]:
        first = name.partition("->")[0]
        return (known.index(first) if first in known else len(known), 0, name)

    return key


def _sensor(name: str, unseen: Sequence[str]) -> str:
    mark = ' <span class="soft">not in pretraining</span>' if name in unseen else ""
    return html.escape(name) + mark


def _way(name: str) -> str:
    return name.replace("->", " → ")


def _marked(values: Sequence[float], form: str, best: Any) -> list[str]:
    """Returns the numbers as text, the best in bold; a number that is missing is a dash."""
    known = [v for v in values if not math.isnan(v)]
    text = ["–" if math.isnan(v) else form.format(v) for v in values]
    top = best(known) if len(known) > 1 else None
    return [f"<b>{t}</b>" if v == top else t for t, v in zip(text, values, strict=True)]


def _table(title: str, caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in header)
    lines = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return (f"<section><h2>{title}</h2><figcaption>{caption}</figcaption><table><thead><tr>{head}"
            f"</tr></thead><tbody>{lines}</tbody></table></section>")  # fmt: skip


def _curves(run: Run) -> str:
    figures = []
    if run.metrics.get("train/loss"):
        figures.append(("Loss", "", curves.loss(run.metrics["train/loss"])))
    for kind, title in (("knn", "Land cover, accuracy"), ("retrieve", "Retrieval, recall at 1")):
        start = f"evaluate/{kind}/"
        found = {k.removeprefix(start): v for k, v in run.metrics.items() if k.startswith(start)}
        names = sorted((k for k in found if "/" not in k), key=_order(run))
        lines = [curves.Curve(_way(k), found[k], last(found.get(f"{k}/random"))) for k in names]
        chance = next((last(v) for k, v in found.items() if k.endswith("/chance")), None)
        caption = "Dashed: random weights" + ("." if chance is None else "; dotted: chance.")
        if lines:
            figures.append((title, caption, curves.lines(lines, chance)))
    text = [
        f"<figure><h3>{title}</h3><figcaption>{caption}</figcaption>"
        f"{_inline(svg, 'svg+xml', f'{title}, over steps', 'curve')}</figure>"
        for title, caption, svg in figures
    ]
    return "<h2>Training</h2>" + "".join(text) if text else ""


def _reconstructions(run: Run) -> str:
    path = run.workdir / "figures" / "reconstructions.npz"
    task = run.get("task") or {}
    try:
        streams = reconstructions.read(path, task)
    except FileNotFoundError:
        run.notes.append("no figures/reconstructions.npz: no pictures")
        return ""
    except (OSError, EOFError, ValueError, KeyError, TypeError, StopIteration, UserError,
            zipfile.BadZipFile) as error:  # fmt: skip
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
    for stream, scenes in streams.items():
        blocks = "".join(_scene(rows) for rows in scenes)
        text.append(f'<h3>{html.escape(stream)}</h3><div class="scenes">{blocks}</div>')
    return "".join(text)


def _scene(rows: Sequence[reconstructions.Row]) -> str:
    cells = ["<span></span>", *(f"<span>{name}</span>" for name in reconstructions.PANELS)]
    for row in rows:
        cells.append(f'<span class="side">{html.escape(row.sensor)}</span>')
        for name, panel in zip(reconstructions.PANELS, row.panels, strict=True):
            cells.append(_inline(_png(panel), "png", f"{row.sensor}, {name}"))
    return f'<div class="scene">{"".join(cells)}</div>'


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    image.imsave(buffer, pixels, format="png")
    return buffer.getvalue()


def _inline(content: bytes, kind: str, text: str, css: str = "") -> str:
    data = base64.b64encode(content).decode()
    css = f' class="{css}"' if css else ""
    return f'<img{css} alt="{html.escape(text)}" src="data:image/{kind};base64,{data}">'


def _config(run: Run) -> str:
    return html.escape(yaml.safe_dump(run.config, sort_keys=False, width=96)) if run.config else "–"
