"""What a run cost, for its page: where the wall time went, speed and memory."""

import html

from smarties.figures import curves, timing
from smarties.figures.numbers import duration
from smarties.figures.page import multiples
from smarties.figures.run import Run

_SAID = {"step": "steps", "data_wait": "waiting for data", "compile": "compiling"}


def section(run: Run) -> str:
    """Returns a bar of the wall time by what it went to, and curves of speed and memory."""
    spent = {name: seconds for name, seconds in timing.spent(run).items() if seconds > 0}
    total = sum(spent.values())
    if not total:
        return ""
    bar, key = [], []
    for (name, seconds), colour in zip(spent.items(), curves.COLOURS, strict=False):
        said, share = html.escape(_SAID.get(name, name)), 100 * seconds / total
        number = f"{share:.0f}" if share >= 1 else f"{share:.1f}"
        bar.append(f'<i style="width: {share:.2f}%; background: {colour}"></i>')
        key.append(f'<span><i style="background: {colour}"></i>{said} <b>{number} %</b> '
                   f"{duration(seconds)}</span>")  # fmt: skip
    return (
        f"<h2>Where the time went</h2><figcaption>{duration(total)} of wall time.</figcaption>"
        f'<div class="bar">{"".join(bar)}</div><p class="key">{"".join(key)}</p>{_speed(run)}'
    )


def _speed(run: Run) -> str:
    clock, (unit, _) = run.clock, timing.speed(run)
    step, wait = (clock.get(f"time/{name}", {}) for name in ("step", "data_wait"))
    waiting = {s: wait[s] / (v + wait[s]) for s, v in step.items() if s in wait and v + wait[s] > 0}
    series = {
        "MFU": clock.get("mfu", {}),
        f"{unit}/s": clock.get(f"{unit}_per_second", {}),
        "waiting for data": waiting,
        "memory, GB": clock.get("memory_gb", {}),
    }
    return multiples(series, shares=("MFU", "waiting for data"))
