"""What a terminal shows of runs: where they stand, their curves, and the last evaluation."""

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.text import Text

from smarties.errors import unknown
from smarties.figures import braille, terminal, timing
from smarties.figures.numbers import duration, short
from smarties.figures.run import BESIDE, Run, evaluated, finite, last, smooth, under

SCALES = ("auto", "log", "linear")
_STYLES = ("cyan", "yellow", "green", "magenta", "red", "blue")
_LONG = 60  # points from which on a curve is smoothed
_CELL = 39  # columns of a number of the evaluation: two fit a terminal of 80
_SILENCE = 120.0  # seconds without a line that are never worth a word


@dataclasses.dataclass(frozen=True)
class View:
    """How a frame is drawn: of which metric, on which of `SCALES`, how large, with colours."""

    metric: str = "train/loss"
    scale: str = "auto"
    width: int = 80
    height: int = 24
    colour: bool = True


def draw(runs: Sequence[Run], view: View) -> list[Text]:
    """Returns at most `view.height` lines of at most `view.width` characters."""
    if len(runs) == 1:
        (run,) = runs
        lines = _head(run, view.width) + _wrapped(_numbers(run), view.width, 1 + view.height // 40)
        room = view.height - len(lines)
        table = _evaluation(run, view.width, room - max(room // 2, 9))
    else:
        lines = [line(run, view.width, _mark(i), _style(i)) for i, run in enumerate(runs)]
        table = []
    lines += [*_picture(runs, view, view.height - len(lines) - len(table)), *table]
    for text in lines:
        text.truncate(view.width, overflow="ellipsis")
    return lines[: view.height]


def line(run: Run, width: int, mark: str = "", style: str = "bold") -> Text:
    """Returns where a run stands in one line, the weightiest first."""
    loss = last(run.metrics.get("train/loss"))
    name = Text(f"{mark} {run.workdir.absolute().name}".strip(), style)
    known = [Text(f"loss {short(loss)}")] if loss is not None else []
    (text,) = _wrapped([name, *known, *_facts(run)], width, 1)
    return text


def _mark(number: int) -> str:
    return chr(ord("a") + number % 26)


def _style(number: int) -> str:
    return _STYLES[number % len(_STYLES)]


def _head(run: Run, width: int) -> list[Text]:
    name = Text(run.name, "bold")
    if run.steps:
        share = min(run.step / run.steps, 1.0)
        room = width - len(name) - 9
        full = round(share * room)
        name.append("  ").append("━" * full, "cyan").append("━" * (room - full), "dim")
        name.append(f" {math.floor(100 * share):3} %")
    return [name, *_wrapped(_facts(run), width, 2)]


def _facts(run: Run) -> list[Text]:
    """Returns what is known of the state of a run, the weightiest first."""
    silence = _silence(run)
    if not run.metrics:
        said = "no number yet" if run.config else "has not begun"
        return [Text(said, "yellow"), *silence]
    steps = f"step {run.step:,} of {run.steps:,}" if run.steps else f"step {run.step:,}"
    took, left = duration(sum(timing.spent(run).values())), timing.left(run)
    known = f"finished in {took}" if run.finished else left and f"{duration(left)} left"
    pace, wait, (unit, speed) = timing.pace(run), timing.waiting(run), timing.speed(run)
    mfu, memory = (last(run.clock.get(name)) for name in ("mfu", "memory_gb"))
    facts = [
        pace and (f"{1 / pace:.3g} steps/s" if pace < 1 else f"{pace:.3g} s a step"),
        speed and f"{speed:,.0f} {unit}/s",
        None if wait is None else f"data wait {wait:.0%}",
        mfu and f"MFU {mfu:.0%}",
        memory and f"{memory:.1f} GB",
    ]
    first, rest = ([Text(fact) for fact in some if fact] for some in ([steps, known], facts))
    return first + silence + rest


def _silence(run: Run) -> list[Text]:
    """Returns how long ago the last line was written: a run that has died shows by it."""
    if run.finished or run.written is None:
        return []
    seconds = max(time.time() - run.written, 0.0)
    told = duration(seconds)
    if seconds > max(_SILENCE, 3 * max(timing.gaps(run), default=0.0)):
        return [Text(f"no line for {told}", "bold red")]
    return [Text(f"{'last line' if run.metrics else 'begun'} {told} ago")]


def _found(run: Run, start: str) -> dict[str, np.ndarray]:
    """Returns the values of the metrics whose names begin so, by the rest of the name."""
    series = {name: finite(values)[1] for name, values in under(run.metrics, start).items()}
    return {name: values for name, values in series.items() if len(values)}


def _numbers(run: Run) -> list[Text]:
    """Returns the numbers of training beside the loss, each with a small curve if it moves."""
    found = _found(run, "train/")
    found.pop("loss", None)
    texts = []
    for name in sorted(found, key=lambda name: (name not in ("gradient_norm", "skipped"), name)):
        values = found[name]
        alarm = "bold red" if name == "skipped" and values[-1] else ""
        text = Text(f"{name.replace('_', ' ')} {short(values[-1])}", alarm)
        if np.ptp(values):
            curve = smooth(values) if len(values) > _LONG else values
            text.append(" ").append_text(braille.small(curve, 8, "cyan"))
        texts.append(text)
    return texts


def _wrapped(parts: Sequence[Text], width: int, rows: int) -> list[Text]:
    """Returns the parts with dots between them, on at most `rows` lines; the rest is left out."""
    lines: list[Text] = []
    for part in parts:
        if lines and len(lines[-1]) + 3 + len(part) <= width:
            lines[-1].append(" · ", "dim").append_text(part)
        elif len(lines) < rows:
            lines.append(part.copy())
        else:
            break
    return lines


def _picture(runs: Sequence[Run], view: View, rows: int) -> list[Text]:
    """Returns the curves of all runs under a title, `rows` lines in all."""
    if rows < 5:
        return []
    series = [finite(run.metrics.get(view.metric, {})) for run in runs]
    heights = np.concatenate([values for _, values in series])
    log = view.scale == "log" or (view.scale == "auto" and _spans_much(heights))
    if log:
        series = [(steps[values > 0], values[values > 0]) for steps, values in series]
    curves = []
    for i, (steps, values) in enumerate(series):
        if view.colour and len(steps) > _LONG:
            curves.append(terminal.Curve(steps, values, f"dim {_style(i)}"))
            values = smooth(values)
        mark = "" if view.colour or len(runs) == 1 else _mark(i)
        curves.append(terminal.Curve(steps, values, _style(i), mark))
    if not any(len(curve.steps) for curve in curves):
        known = {name for run in runs for name in run.metrics if name.startswith("train/")}
        missing = unknown("metric", view.metric, known) if known else f"no {view.metric} yet"
        return [Text(str(missing), "yellow")]
    title = Text.assemble((view.metric, "bold"), (" (log)" if log else "", "dim"))
    if len(runs) == 1:
        title.append(f"  {short(series[0][1][-1])}")
    return [title, *terminal.plot(curves, view.width, rows - 1, log)]


def _spans_much(values: np.ndarray) -> bool:
    return bool(len(values) and 0 < 4 * values.min() < values.max())


def _evaluation(run: Run, width: int, rows: int) -> list[Text]:
    """Returns the numbers of the last evaluation in columns, at most `rows` lines."""
    found = _found(run, "evaluate/")
    names = [k for k in found if not (k.endswith(BESIDE) and k.rpartition("/")[0] in found)]
    if not names or rows < 4:
        return []
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(name.rpartition("/")[0], []).append(name)
    count = len(names) + len([group for group in groups if group])
    most = max((width + 2) // (_CELL + 2), 1)
    columns = min(max(math.ceil(count / (rows - 1)), math.ceil(most / 2)), most)
    cell = (width + 2) // columns - 2
    cells = [text for group in groups for text in _group(group, groups[group], found, cell)]
    high = min(math.ceil(count / columns), rows - 1)
    lines = [Text(f"evaluation of step {evaluated(run):,}", "bold")]
    if count > high * columns:
        lines[0].append(f", {count - high * columns} more lines do not fit", "not bold dim")
    for row in range(high):
        line = Text()
        for text in cells[row : high * columns : high]:
            line.append(" " * (-len(line) % (cell + 2))).append_text(text)
        lines.append(line)
    return lines


def _group(
    group: str, names: Sequence[str], found: Mapping[str, np.ndarray], width: int
) -> Iterator[Text]:
    """Yields a heading and a line per number: its name, curve, value and baseline."""
    beside = next((b for b in BESIDE if f"{names[0]}{b}" in found), "")
    if group:
        yield Text(f"{group:<{width - 6}}{beside[1:]:>6}", "dim")
    for name in names:
        baseline = found.get(f"{name}{beside}" if beside else "")
        numbers = Text(f"{short(found[name][-1]):>6}")
        numbers.append(f"{short(baseline[-1]) if baseline is not None else '':>6}", "dim")
        room = width - len(numbers)
        curve = min(max(room - 30, 0), 24)
        text = Text(name[len(group) + 1 if group else 0 :].replace("->", "→"))
        text.truncate(room - curve, overflow="ellipsis", pad=True)
        if curve:
            text.append_text(braille.small(found[name], curve, "cyan"))
        yield text.append_text(numbers)
