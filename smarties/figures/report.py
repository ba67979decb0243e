"""The page of a run: one HTML file that needs nothing beside itself."""

import html
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from smarties.errors import UserError
from smarties.figures import blocks, curves, gallery, resources, timing
from smarties.figures import run as runs
from smarties.figures.numbers import duration
from smarties.figures.page import document, inline, multiples, table
from smarties.figures.run import BESIDE, Run, Series, last, under

_SHARES = {"knn": "Land cover, accuracy", "retrieve": "Retrieval, recall at 1"}


def write(workdir: str | Path) -> Path:
    """Returns `workdir`/report.html, written from what the run directory holds.

    Raises:
      UserError: `workdir` is no run directory, or the page cannot be written.
    """
    workdir = Path(workdir)
    run = runs.read(workdir)
    pictures = [gallery.growth(run), gallery.scenes(run)]  # first, for their notes
    body = [
        f"<h1>{html.escape(run.name)}</h1>", _summary(run),
        *(f'<p class="note">{html.escape(note)}</p>' for note in run.notes),
        _tables(run), _training(run), _evaluations(run), *pictures,
        resources.section(run), blocks.section(run),
        f"<details><summary>Configuration</summary><pre>{_config(run)}</pre></details>",
    ]  # fmt: skip
    path = workdir / "report.html"
    try:
        path.write_text(document(run.name, body), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _summary(run: Run) -> str:
    total = run.steps or run.step
    steps = f"{total:,} steps" if run.step == total else f"{run.step:,} of {total:,} steps"
    size = run.get("batch_size")
    seconds, (unit, _) = sum(timing.spent(run).values()), timing.speed(run)
    speed = run.clock.get(f"{unit}_per_second")
    facts = [
        f"{steps} of {size:,} {unit or 'examples'}" if size else steps,
        ", ".join(f"{first} with {second}" for first, second in _pairs(run)),
        str(run.get("hardware") or ""),
        duration(seconds) if seconds else "",
        f"{statistics.median(speed.values()):,.0f} {unit}/s" if speed else "",
    ]
    shown = " &middot; ".join(html.escape(fact) for fact in facts if fact)
    return f'<p class="soft wide">{shown}</p>'


def _pairs(run: Run) -> list[tuple[str, str]]:
    """Returns the sensors of each stream of a run that learns from pairs."""
    streams = run.get("data", "streams")
    found = streams.values() if isinstance(streams, dict) else ()
    pairs = [(s.get("first"), s.get("second")) for s in found if isinstance(s, dict)]
    return [(str(first), str(second)) for first, second in pairs if first and second]


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
        parts.append(table("Reconstruction", "Squared error of masked tokens; lower is better.",
                            ("sensor", "model", "band mean", "random weights"), rows))  # fmt: skip
    if knn:
        rows = [
            [_sensor(s, unseen), *_marked([100 * x for x in v], "{:.1f} %", max)] for s, v in knn
        ]
        parts.append(table("Land cover by nearest neighbours", "Accuracy; higher is better.",
                            ("sensor", "model", "random weights"), rows))  # fmt: skip
    text = f'<div class="columns">{"".join(parts)}</div>' if parts else ""
    if found:
        rows = []
        for way, (hit, random, chance, low, high) in found:
            marked = _marked([100 * x for x in (hit, random, chance)], "{:.1f} %", max)
            spread = f"{100 * low:.1f} – {100 * high:.1f} %" if low == low else ""
            rows.append([html.escape(_way(way)), marked[0], spread, *marked[1:]])
        text += table("Retrieval", "Recall at 1: how often the nearest image of the other sensor "
                       "shows the same place; with its 95 % interval.",
                       ("query → archive", "model", "interval", "random weights", "chance"),
                       rows)  # fmt: skip
    if left:
        rows = [[html.escape(k), f"{v:.4g}"] for k, v in sorted(left.items())]
        text += table("Other numbers" if text else "Evaluation", "", ("name", "value"), rows)
    return text or f'<p class="note">no evaluation{"" if run.finished else " yet"}</p>'


def _order(run: Run) -> Any:
    """Returns a sort key: sensors of the streams first, in their order; then by name."""
    known = [sensor for pair in _pairs(run) for sensor in pair]

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


def _training(run: Run) -> str:
    found = under(run.metrics, "train/")
    text = _figure("Loss", "", curves.loss(found.pop("loss"))) if "loss" in found else ""
    moving = {k.replace("_", " "): v for k, v in found.items() if len(set(v.values())) > 1}
    text += multiples(moving)
    return f"<h2>Training</h2>{text}" if text else ""


def _evaluations(run: Run) -> str:
    """Returns the curves of the evaluation where there has been more than one."""
    found = {k: v for k, v in under(run.metrics, "evaluate/").items() if len(v) > 1}
    text = ""
    for kind, title in _SHARES.items():
        of_kind = under(found, f"{kind}/")
        names = sorted((k for k in of_kind if "/" not in k), key=_order(run))
        lines = [curves.Curve(_way(k), of_kind[k], last(of_kind.get(f"{k}/random"))) for k in names]
        chance = next((last(v) for k, v in of_kind.items() if k.endswith("/chance")), None)
        caption = "Dashed: random weights" + ("." if chance is None else "; dotted: chance.")
        text += _figure(title, caption, curves.lines(lines, chance)) if lines else ""
    groups: dict[str, dict[str, Series]] = {}
    for name in sorted(found):
        kind, _, rest = name.rpartition("/")
        if kind.partition("/")[0] not in _SHARES and not (name.endswith(BESIDE) and kind in found):
            groups.setdefault(kind, {})[rest] = found[name]
    for kind, series in groups.items():
        text += (f"<h3>{html.escape(kind.capitalize())}</h3>" if kind else "") + multiples(series)
    return f"<h2>Evaluations</h2>{text}" if text else ""


def _figure(title: str, caption: str, svg: bytes) -> str:
    return (
        f"<figure><h3>{title}</h3><figcaption>{caption}</figcaption>"
        f"{inline(svg, 'svg+xml', f'{title}, over steps', 'curve')}</figure>"
    )


def _config(run: Run) -> str:
    return html.escape(yaml.safe_dump(run.config, sort_keys=False, width=96)) if run.config else "–"
