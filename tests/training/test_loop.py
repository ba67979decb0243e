"""The loop: what it leaves on disk, what it computes once, and what stops it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import toy

from smarties import errors
from smarties.training import checkpoint, loop, plan, settings, trees

_DEVICES = jax.devices()[:1]


@pytest.fixture(autouse=True)
def _one_device(monkeypatch):
    """These tests ask about the loop; a mesh of one device compiles faster."""
    monkeypatch.setattr(jax, "devices", lambda: _DEVICES)


def _lines(workdir, name=None):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if name in (None, line["name"])]


def test_a_run_leaves_a_run_directory(tmp_path):
    task = toy.Linear()
    numbers = loop.train(task, toy.config(steps=11, evaluate__every=4), tmp_path)
    assert task.evaluated == [0, 4, 8, 11]
    logged = [line["step"] for line in _lines(tmp_path, "train/loss")]
    assert logged == [2, 4, 6, 8, 10, 11]  # one step late, and the last step is not lost
    losses = [line["value"] for line in _lines(tmp_path, "train/loss")]
    assert losses[-1] < losses[0]
    assert json.loads((tmp_path / "results.json").read_text()) == {"step": 11, **numbers}
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["seed"], config["optimizer"]["beta2"]) == (3, 0.95)
    assert json.loads((tmp_path / "plan.json").read_text()) == {"steps": 11}
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {"10", "11"}
    clock = {
        json.loads(line)["name"] for line in (tmp_path / "clock.jsonl").read_text().splitlines()
    }
    parts = {"step", "data_wait", "evaluation", "checkpoint", "compile"}
    assert clock == {f"time/{part}" for part in parts} | {
        "rows_per_second",
        "memory_gb",
        "unreadable",
    }


def test_the_clock_holds_the_last_evaluation_too(tmp_path):
    class Thorough(toy.Linear):
        def evaluate(self, params, step, directory):
            time.sleep(0.1)
            return super().evaluate(params, step, directory)

    begun = time.perf_counter()
    loop.train(Thorough(), toy.config(steps=4, evaluate__every=2), tmp_path)
    wall = time.perf_counter() - begun
    lines = [json.loads(line) for line in (tmp_path / "clock.jsonl").read_text().splitlines()]
    times = [line for line in lines if line["name"].startswith("time/")]
    evaluations = [line["value"] for line in times if line["name"] == "time/evaluation"]
    assert sum(evaluations) > 0.3 and evaluations[-1] > 0.1
    assert sum(line["value"] for line in times) < wall


def test_numbers_are_those_of_the_bare_step(tmp_path):
    loop.train(toy.Linear(noise=0.1), toy.config(steps=5, log__every=1), tmp_path)
    task = toy.Linear(noise=0.1)
    planned = plan.make(task, settings.resolve(toy.config(steps=5)))
    run, step, want = planned.init(), planned.compile(), []
    for batch, _ in zip(task.batches("train", 0, 1, 0), range(5), strict=False):
        run, metrics = step(run, planned.put(batch))
        want.append(float(metrics["loss"]))
    assert [line["value"] for line in _lines(tmp_path, "train/loss")] == want


def test_the_step_compiles_once(tmp_path, caplog):
    with jax.log_compiles():
        loop.train(toy.Linear(), toy.config(checkpoint__every=3, optimizer__ema=0.5), tmp_path)
    compiled = [
        r.getMessage() for r in caplog.records if "Finished XLA compilation" in r.getMessage()
    ]
    assert sum("jit(step)" in message for message in compiled) == 1
    assert sum("jit(init)" in message for message in compiled) == 1


def test_a_batch_of_another_shape_is_refused_not_compiled(tmp_path):
    class Ragged(toy.Linear):
        def batches(self, *where):
            for step, batch in enumerate(super().batches(*where)):
                batch["few"]["x"] = batch["few"]["x"][: 8 - 8 * (step == 3) // 2]
                yield batch

    with pytest.raises(errors.UserError, match="few/x"):
        loop.train(Ragged(), toy.config(), tmp_path)


def _train(workdir):
    # A bare process: one device, no flags of the tests.
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    command = [sys.executable, str(Path(toy.__file__)), str(workdir)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_resume_after_kill_is_bitwise_as_if_never_stopped(tmp_path):
    whole, killed = _train(tmp_path / "whole"), tmp_path / "killed"
    aim = random.Random().randrange(1, 58)  # any step must do
    victim, log = _train(killed), killed / "metrics.jsonl"
    while victim.poll() is None:
        if log.exists() and f'"step": {aim},' in log.read_text():
            victim.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    victim.communicate()
    again = _train(killed)
    for process in (whole, again):
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
    assert aim <= 14 or "resuming from step" in stderr  # the save of 14 waits for that of 7
    for name in ("metrics.jsonl", "results.json", "config.json"):
        text = (tmp_path / "whole" / name).read_text()
        assert (killed / name).read_text() == text, f"{name}, killed at step {aim}"
    old, new = (_params(tmp_path / name) for name in ("whole", "killed"))
    for path, leaf in old.items():
        np.testing.assert_array_equal(new[path], leaf, err_msg=f"{path}, killed at step {aim}")


def _params(workdir):
    shapes = plan.make(toy.Linear(), settings.resolve(toy.long())).shapes
    found = {}
    for average in (False, True):
        tree, _ = checkpoint.restore_params(workdir / "checkpoints", shapes.params, average=average)
        found |= {f"{average}/{path}": leaf for path, leaf in trees.leaves(tree).items()}
    return found


def test_lines_beyond_the_restored_step_are_dropped(tmp_path):
    config = toy.config(steps=6, checkpoint__every=3, log__every=1, evaluate__every=3)
    loop.train(toy.Linear(), config, tmp_path)
    text = (tmp_path / "metrics.jsonl").read_text()
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"step": 7, "name": "train/loss", "value": 1.0}\n{"step": 8, "na')
    task = toy.Linear()
    loop.train(task, config, tmp_path)  # finished before: only evaluated again
    assert (tmp_path / "metrics.jsonl").read_text() == text
    assert task.evaluated == [6]


def test_a_loss_that_is_not_finite_stops_with_evidence(tmp_path):
    config = toy.config(checkpoint__every=1, optimizer__skip_limit=0)
    with pytest.raises(
        errors.UserError, match=r"step 7 .*nonfinite-7\.npz.*6/0/0, 6/0/1, "
    ) as caught:
        loop.train(toy.Linear(bad_step=6), config, tmp_path)
    assert "\n" not in str(caught.value)
    with np.load(tmp_path / "nonfinite-7.npz") as batch:
        assert np.isnan(batch["few/y"][1]) and batch["many/id"][2] == "6/1/2"
    # The poisoned state is not kept.
    assert "7" not in {path.name for path in (tmp_path / "checkpoints").iterdir()}


def test_data_that_end_early_are_named(tmp_path):
    class Short(toy.Linear):
        def batches(self, *where):
            yield from (batch for batch, _ in zip(super().batches(*where), range(4), strict=False))

    with pytest.raises(errors.UserError, match="ended after 4 steps"):
        loop.train(Short(), toy.config(), tmp_path)


def test_a_workdir_of_another_run_is_refused_and_left_alone(tmp_path):
    loop.train(toy.Linear(), toy.config(steps=2), tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(errors.UserError, match="optimizer.beta1 was 0.9 and is now 0.8"):
        loop.train(toy.Linear(), toy.config(steps=2, optimizer__beta1=0.8), tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_an_unwritable_workdir_is_refused(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(errors.UserError, match="cannot be written"):
        loop.train(toy.Linear(), toy.config(), tmp_path / "file" / "run")
    assert (tmp_path / "file").read_text() == "kept"


def test_tensorboard_is_written_on_request_and_wandb_asked_for_by_name(tmp_path, monkeypatch):
    loop.train(toy.Linear(), toy.config(steps=2, log__tensorboard=True), tmp_path / "a")
    assert list((tmp_path / "a" / "tensorboard").glob("events*"))
    monkeypatch.setitem(sys.modules, "wandb", None)  # as where it is not installed
    with pytest.raises(errors.UserError, match=r"log.wandb needs wandb: pip install"):
        loop.train(toy.Linear(), toy.config(steps=2, log__wandb=True), tmp_path / "b")


def test_prefetch_keeps_one_batch_ahead_and_loses_none():
    put = []
    feed = loop.prefetch(range(4), lambda host: put.append(host) or -host)
    assert next(feed) == (0, 0) and put == [0, 1]
    assert list(feed) == [(1, -1), (2, -2), (3, -3)]
