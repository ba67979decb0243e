"""A run directory is read as it grows: each line once, whole lines only, a resumed run anew."""

import json

import pytest

from smarties.figures import run as runs
from smarties.figures import timing
from smarties.figures.numbers import duration


def line(step, value, name="train/loss"):
    return json.dumps({"step": step, "name": name, "value": value}) + "\n"


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def test_only_what_was_appended_is_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(1, 1.5) + line(2, 2.5))
    lines = runs.Lines(path)
    lines.look()
    with path.open("r+") as file:
        file.write(line(1, 9.5))  # in place: whoever reads it again would see it
    append(path, line(3, 3.5))
    lines.look()
    assert lines.series == {"train/loss": {1: 1.5, 2: 2.5, 3: 3.5}}


def test_a_line_is_taken_once_it_has_its_end(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = runs.Lines(path)
    lines.look()
    assert lines.written is None and not lines.broken
    whole = line(1, 0.25)
    for text, known, broken in ((whole[:20], {}, 1), (whole[20:], {1: 0.25}, 0)):
        append(path, text)
        lines.look()
        assert (lines.series.get("train/loss", {}), lines.broken) == (known, broken)
    append(path, 'no json\n{"step": 2}\n[1]\n' + line(2, 0.5))
    lines.look()
    assert lines.series["train/loss"] == {1: 0.25, 2: 0.5} and lines.broken == 3


def test_a_resumed_run_that_drops_steps_drops_them_here(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(line(step, 1.0) for step in range(1, 6)))
    lines = runs.Lines(path)
    lines.look()
    part = path.with_suffix(".part")
    part.write_text("".join(line(step, 2.0) for step in range(1, 8)))  # longer than before
    part.replace(path)
    lines.look()
    assert lines.series["train/loss"] == dict.fromkeys(range(1, 8), 2.0)


def test_the_length_of_a_run_is_planned_where_the_configuration_gives_epochs(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"name": "x", "steps": None, "epochs": 2.0}))
    assert runs.Run(tmp_path).steps is None
    (tmp_path / "plan.json").write_text('{"steps": 120}')
    assert runs.Run(tmp_path).steps == 120


def test_results_end_a_run_also_without_an_evaluation(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(line(3, 1.0) + line(2, 0.5, "evaluate/bias"))
    run = runs.read(tmp_path)
    assert (run.step, run.finished, run.numbers) == (3, False, {"bias": 0.5})
    (tmp_path / "results.json").write_text('{"step": 4}')
    run.look()
    assert (run.step, run.finished) == (4, True)


def clocked(tmp_path, reports, evaluations=(), every=0):
    """A run whose clock says {step: seconds} of steps and of evaluations."""
    text = "".join(line(s, v, "time/step") for s, v in reports.items())
    text += "".join(line(s, v / 10, "time/data_wait") for s, v in reports.items())
    text += "".join(line(s, v, "time/evaluation") for s, v in evaluations)
    (tmp_path / "clock.jsonl").write_text(text)
    (tmp_path / "metrics.jsonl").write_text(line(max(reports), 1.0))
    (tmp_path / "config.json").write_text(json.dumps({"steps": 1000, "evaluate": {"every": every}}))
    return runs.Run(tmp_path)


def test_time_left_is_that_of_the_steps_and_evaluations_to_come(tmp_path):
    run = clocked(tmp_path, {100: 50.0, 200: 50.0})
    assert timing.pace(run) == pytest.approx(0.55)
    assert timing.waiting(run) == pytest.approx(1 / 11)
    assert timing.left(run) == pytest.approx(800 * 0.55)
    run = clocked(tmp_path, {100: 50.0, 200: 50.0}, [(100, 30.0), (200, 10.0)], every=300)
    assert timing.left(run) == pytest.approx(800 * 0.55 + 4 * 20.0)  # at 300, 600, 900 and 1000


def test_pace_follows_a_run_that_became_slower(tmp_path):
    run = clocked(tmp_path, {s: 1.0 if s <= 300 else 4.0 for s in range(10, 510, 10)})
    assert timing.pace(run) == pytest.approx(0.44)


def test_seconds_of_one_step_add_up(tmp_path):
    run = clocked(tmp_path, {100: 50.0}, [(100, 30.0), (100, 5.0)])
    assert timing.spent(run) == pytest.approx({"step": 50.0, "evaluation": 35.0, "data_wait": 5.0})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (3725, "1 h 2 min"), (200_000, "2 d 7 h")],
)
def test_durations_are_in_two_units(seconds, words):
    assert duration(seconds) == words
