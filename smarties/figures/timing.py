"""Where the wall time of a run went, how fast it is, and how long it will take yet."""

import statistics

from smarties.figures.run import Run, last, under

_RECENT = 20  # reports of the clock that say how fast a run is now


def spent(run: Run) -> dict[str, float]:
    """Returns the seconds by what they went to (step, data_wait, evaluation, ...), most first."""
    times = {part: sum(seconds.values()) for part, seconds in under(run.clock, "time/").items()}
    return dict(sorted(times.items(), key=lambda item: -item[1]))


def gaps(run: Run) -> list[float]:
    """Returns the seconds from each report of the clock to the next."""
    times = under(run.clock, "time/").values()
    return [sum(v.get(step, 0.0) for v in times) for step in _reports(run)]


def _reports(run: Run) -> list[int]:
    return sorted(run.clock.get("time/step", ()))


def _recent(run: Run, *parts: str) -> float:
    """Returns seconds of the last reports that went to `parts`."""
    return sum(
        run.clock.get(f"time/{part}", {}).get(step, 0.0)
        for part in parts
        for step in _reports(run)[-_RECENT:]
    )


def pace(run: Run) -> float | None:
    """Returns the seconds a step takes at present, waiting for data included."""
    reports = [0, *_reports(run)][-_RECENT - 1 :]
    made = reports[-1] - reports[0]
    return _recent(run, "step", "data_wait") / made if made else None


def waiting(run: Run) -> float | None:
    """Returns the share of the time of a step, at present, that the device waits for data."""
    working = _recent(run, "step", "data_wait")
    return _recent(run, "data_wait") / working if working else None


def speed(run: Run) -> tuple[str, float | None]:
    """Returns what a batch counts ("pairs"), and how many of them a second."""
    names = [name for name in run.clock if name.endswith("_per_second")]
    return (
        (names[0].removesuffix("_per_second"), last(run.clock[names[0]])) if names else ("", None)
    )


def left(run: Run) -> float | None:
    """Returns the seconds that the steps and evaluations to come will take."""
    second, every = pace(run), run.get("evaluate", "every") or 0
    if run.steps is None or second is None:
        return None
    took = [v for v in run.clock.get("time/evaluation", {}).values() if v]
    to_come = (run.steps - 1) // every - run.step // every + 1 if every else 1
    return (run.steps - run.step) * second + to_come * (statistics.median(took) if took else 0.0)
