"""`smarties watch`: a frame says how a run stands, fits the terminal, and ends when it should."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from smarties.cli import main
from smarties.figures import braille, frame, terminal
from smarties.figures.run import Run


def line(step, name, value):
    return json.dumps({"step": step, "name": name, "value": value}) + "\n"


def report(step, loss):
    """Returns the lines of a step: those of metrics.jsonl, and those of clock.jsonl."""
    clock = {"time/step": 9.0, "time/data_wait": 1.0, "pairs_per_second": 64.0, "mfu": 0.37,
             "memory_gb": 2.25}  # fmt: skip
    train = {"loss": loss, "gradient_norm": loss / 2, "skipped": 0}
    return ("".join(line(step, f"train/{k}", v) for k, v in train.items()),
            "".join(line(step, k, v) for k, v in clock.items()))  # fmt: skip


def extend(workdir, steps, loss=lambda step: 10.0 / step):
    for step in steps:
        for name, text in zip(("metrics", "clock"), report(step, loss(step)), strict=True):
            with (workdir / f"{name}.jsonl").open("a") as file:
                file.write(text)


def make(workdir, steps=range(10, 101, 10), **options):
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps({"name": "a run", "steps": 400}))
    numbers = {"knn/rgb": 0.625, "knn/rgb/random": 0.375, "retrieve/rgb->radar": 0.25,
               "retrieve/rgb->radar/low": 0.125, "retrieve/rgb->radar/chance": 0.0625}  # fmt: skip
    text = "".join(line(50, f"evaluate/{k}", v) for k, v in numbers.items())
    (workdir / "metrics.jsonl").write_text(text)
    extend(workdir, steps, **options)
    return workdir


def shown(*workdirs, **view):
    lines = frame.draw([Run(w) for w in workdirs], frame.View(**view))
    return "\n".join(text.plain for text in lines)


def test_a_frame_says_where_a_run_stands(tmp_path):
    text = shown(make(tmp_path / "x"))
    for part in ("a run ", " 25 %", "step 100 of 400", "5 min 0 s left", "last line 0 s ago",
                 "1 s a step", "64 pairs/s", "data wait 10%", "MFU 37%", "2.2 GB",
                 "gradient norm 0.050 ", "skipped 0", "train/loss (log)  0.100",
                 "evaluation of step 50"):  # fmt: skip
        assert part in text, part
    rows = [row.split() for row in text.splitlines()]
    assert ["knn", "random"] in rows or ["knn", "random", "retrieve", "chance"] in rows
    assert "rgb→radar" in text and "0.250 0.062" in text and "0.625 0.375" in text
    assert "/low" not in text


def test_a_dead_run_is_seen_and_a_finished_one_is_not_dead(tmp_path):
    workdir = make(tmp_path / "x")
    then = time.time() - 725
    for name in ("metrics.jsonl", "clock.jsonl"):
        os.utime(workdir / name, (then, then))
    (_, facts, *_) = frame.draw([Run(workdir)], frame.View(width=120))
    assert "no line for 12 min" in facts.plain and "last line" not in facts.plain
    assert any("red" in str(span.style) for span in facts.spans)
    (workdir / "results.json").write_text('{"step": 100}')
    text = shown(workdir)
    assert "no line" not in text and "finished in 1 min 40 s" in text and " left" not in text


def test_skipped_batches_are_red(tmp_path):
    workdir = make(tmp_path / "x")
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write(line(110, "train/skipped", 3))
    found = [t for t in frame.draw([Run(workdir)], frame.View()) if "skipped 3" in t.plain]
    assert found and any("red" in str(span.style) for span in found[0].spans)


@pytest.mark.parametrize("size", [(20, 3), (40, 12), (60, 16), (80, 24), (160, 50), (250, 20)])
@pytest.mark.parametrize("many", [1, 3])
def test_a_frame_fits(tmp_path, size, many):
    workdirs = [make(tmp_path / f"a-long-name-of-run-{i}") for i in range(many)]
    rows = shown(*workdirs, width=size[0], height=size[1]).splitlines()
    assert len(rows) <= size[1] and max(map(len, rows)) <= size[0]
    assert size[1] < 12 or "train/loss" in "\n".join(rows)
    if size[1] >= 12 and many == 3:
        assert len(rows) == size[1]


def test_the_evaluation_that_does_not_fit_is_counted(tmp_path):
    workdir = make(tmp_path / "x")
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write("".join(line(50, f"evaluate/knn/s{i}", 0.5) for i in range(90)))
    assert " more lines do not fit" in shown(workdir)


def test_runs_have_a_line_and_a_mark_each(tmp_path):
    one = make(tmp_path / "one", loss=lambda step: 4.0)
    two = make(tmp_path / "two", range(10, 51, 10), loss=lambda step: 2.0)
    text = shown(one, two, colour=False, height=14)
    first, second, *rows = text.splitlines()
    assert first.startswith("a one · loss 4 · step 100 of 400")
    assert second.startswith("b two · loss 2 · step 50 of 400")
    high = next(row for row in rows if "aaa" in row)
    low = next(row for row in rows if "bbb" in row)
    assert rows.index(high) < rows.index(low)
    assert high.count("a") > 70 and 30 < low.count("b") < 40  # two went half as far
    coloured = frame.draw([Run(one), Run(two)], frame.View(height=14))
    styles = {str(span.style) for text in coloured for span in text.spans}
    assert {"cyan", "yellow"} <= styles


def test_a_straight_line_is_straight_and_axes_say_where(tmp_path):
    canvas = braille.Canvas(4, 2)
    canvas.draw(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert [text.plain for text in canvas.lines()] == ["  ⡠⠊", "⡠⠊  "]
    steps = np.arange(101.0)
    rows = [t.plain for t in terminal.plot([terminal.Curve(steps, steps)], 46, 13, log=False)]
    assert len(rows) == 13
    at = {float(row.split("┤")[0]): i for i, row in enumerate(rows) if "┤" in row}
    assert at[0] > at[50] > at[100] and at[0] - at[50] == at[50] - at[100]
    assert rows[at[50]].index(rows[at[50]].split("┤")[1].strip()) in range(22, 28)
    assert rows[-1].split() == ["0", "50", "100"]
    ten = terminal.plot([terminal.Curve(steps, 10.0 ** (steps / 50))], 46, 14, log=True)
    at = {t.plain.split("┤")[0].strip(): i for i, t in enumerate(ten) if "┤" in t.plain}
    assert abs((at["1"] - at["10"]) - (at["10"] - at["100"])) <= 1  # decades are equal


def test_scale_is_as_asked(tmp_path):
    workdir = make(tmp_path / "x")
    assert "(log)" in shown(workdir) and "(log)" not in shown(workdir, scale="linear")
    flat = make(tmp_path / "flat", loss=lambda step: 2 - step / 100)
    assert "(log)" not in shown(flat) and "(log)" in shown(flat, scale="log")
    low = make(tmp_path / "low", loss=lambda step: step - 50)
    assert "(log)" not in shown(low) and "train/loss (log)" in shown(low, scale="log")


def test_once_prints_plain_text_into_a_pipe(tmp_path):
    workdir = make(tmp_path / "x")
    command = [sys.executable, "-m", "smarties.cli.main", "watch", str(workdir), "--once"]
    environment = {**os.environ, "COLUMNS": "70", "LINES": "20"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout and "step 100 of 400" in result.stdout
    assert "⠉" in result.stdout and max(map(len, result.stdout.splitlines())) <= 70


def test_a_run_is_followed_to_its_end(tmp_path, monkeypatch, capsys):
    workdir, looks = tmp_path / "later", []

    def pass_time(seconds):
        looks.append(seconds)
        if len(looks) == 1:
            make(workdir, range(10, 51, 10))
        elif len(looks) == 3:
            extend(workdir, range(60, 401, 10))
        elif len(looks) == 4:
            (workdir / "results.json").write_text('{"step": 400}')

    monkeypatch.setattr(time, "sleep", pass_time)
    assert main.main(["watch", str(workdir), "--wait", "--every", "0.5"]) == 0
    text = capsys.readouterr().out
    assert looks == [0.5] * 4
    assert "has not begun" in text and text.count("step 50 of 400") == 1
    assert text.count("step 400 of 400") == 2 and "finished" in text.split("train/loss")[0]


def test_ctrl_c_on_a_terminal_ends_quietly_with_0(tmp_path):
    workdir = make(tmp_path / "x")
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "smarties.cli.main", "watch", str(workdir), "--every", "0.1"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment
    )
    os.close(theirs)
    seen = b""
    while b"train/loss" not in seen:
        seen += os.read(ours, 65536)
    extend(workdir, [390])
    while b"step 390" not in seen:
        seen += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    while b"\x1b[?1049l" not in seen:  # the screen of before is back
        seen += os.read(ours, 65536)
    _, complaint = process.communicate(timeout=20)
    os.close(ours)
    assert (process.returncode, complaint) == (0, b"") and b"\x1b[36m" in seen


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere is no run directory: it needs one of config.json"),
        (["runs"], "runs is no run directory: it holds the runs one"),
        (["file", "--wait"], "file is a file"),
        ([".", "--every", "0"], "--every is 0 seconds"),
        ([".", "--every", "nan"], "--every is nan seconds"),
        ([".", "--scale", "lgo"], "did you mean 'log'"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "metrics.jsonl").touch()
    assert main.main(["watch", *arguments]) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and words in text and text.count("\n") == 1


def test_a_metric_that_is_not_there_is_said(tmp_path):
    text = shown(make(tmp_path / "x"), metric="train/los")
    assert "did you mean 'train/loss'" in text
    assert "evaluate/knn/rgb  0.625" in shown(tmp_path / "x", metric="evaluate/knn/rgb")
    (tmp_path / "empty").mkdir()
    assert "has not begun" in shown(tmp_path / "empty")
