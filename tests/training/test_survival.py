"""What a run survives: notices to leave, batches that are not finite, full disks, hangs."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import toy

from smarties import errors
from smarties.training import checkpoint, loop, plan, settings, storage, trees

_DEVICES = jax.devices()[:1]


@pytest.fixture(autouse=True)
def _one_device(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: _DEVICES)


def _values(workdir, name):
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["value"] for line in lines if line["name"] == name}


def _steps(workdir):
    names = [path.name for path in (workdir / "checkpoints").iterdir()]
    return {int(name) for name in names if name.isdigit()}  # the rest was not finished


class Told(toy.Linear):
    """The linear task that receives SIGTERM while it draws batch 6."""

    def batches(self, split, rank, world, start_step):
        for step, batch in enumerate(super().batches(split, rank, world, start_step), start_step):
            if step == 6:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch


def test_sigterm_saves_at_a_step_boundary_and_the_rest_is_as_if_never_told(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(errors.Preempted, match=r"saved at step \d+ of 12"):
        loop.train(Told(), toy.config(log__every=1), tmp_path / "told")
    assert signal.getsignal(signal.SIGTERM) is before
    (left,) = _steps(tmp_path / "told") - {5}
    assert left in (5, 6, 7)  # batch 6 is drawn ahead of its step
    loop.train(toy.Linear(), toy.config(log__every=1), tmp_path / "told")
    loop.train(toy.Linear(), toy.config(log__every=1), tmp_path / "whole")
    for name in ("metrics.jsonl", "results.json"):
        assert (tmp_path / "told" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_the_command_ends_with_the_code_that_asks_for_another_go(monkeypatch, capsys):
    from smarties.cli import main

    def told(argv):
        raise errors.Preempted("saved at step 5 of 9 in x")

    monkeypatch.setattr(main, "_run", told)
    assert main.main(["train"]) == errors.REQUEUE == 75
    assert capsys.readouterr().err == "preempted: saved at step 5 of 9 in x\n"


def test_batches_that_are_not_finite_are_skipped_up_to_a_limit(tmp_path, capsys):
    config = toy.config(log__every=1, optimizer__skip_limit=1)
    loop.train(toy.Linear(bad_step=6), config, tmp_path / "a")
    assert "step 7 is not finite" in capsys.readouterr().err
    losses, skipped = (_values(tmp_path / "a", f"train/{name}") for name in ("loss", "skipped"))
    assert (
        set(losses) == set(range(1, 13)) - {7}
        and "NaN" not in (tmp_path / "a" / "metrics.jsonl").read_text()
    )
    assert [skipped[step] for step in (6, 7, 12)] == [0, 1, 1]

    class Worse(toy.Linear):
        def batches(self, *where):
            for batch in super().batches(*where):
                batch["few"]["y"][0] = np.inf
                yield batch

    with pytest.raises(errors.UserError, match=r"step 2 .* 2 are more than optimizer.skip_limit 1"):
        loop.train(Worse(), config, tmp_path / "b")
    assert (tmp_path / "b" / "nonfinite-2.npz").exists()


def test_the_last_checkpoints_and_every_so_many_are_kept(tmp_path):
    config = toy.config(checkpoint__every=2, checkpoint__keep=1, checkpoint__keep_every=6)
    loop.train(toy.Linear(), config, tmp_path)
    assert _steps(tmp_path) == {6, 12}


@pytest.fixture
def small_disk():
    """Returns a function after which files may not grow beyond some bytes (a full disk)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


class Filling(toy.Linear):
    """A wide linear task whose disk is full from batch `full` until batch `free`."""

    def __init__(self, limit, full, free):
        super().__init__(width=30_000, batch=2)
        self.limit, self.full, self.free = limit, full, free

    def batches(self, split, rank, world, start_step):
        for step, batch in enumerate(super().batches(split, rank, world, start_step), start_step):
            if step == self.full:
                self.limit(20_000)
            if step == self.free:
                self.limit(-1)
            yield batch


_WIDE = dict(steps=16, batch_size=2, checkpoint__every=2, checkpoint__keep=0)


# Orbax leaves writes in flight when one of them fails, and their event loop is gone by then.
_in_flight = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@_in_flight
def test_a_full_disk_stops_the_run_and_the_last_good_step_stays(tmp_path, small_disk):
    with pytest.raises(storage.Unwritable, match=r"checkpoints/\d+ could not be written .*resume"):
        loop.train(Filling(small_disk, 7, 99), toy.config(**_WIDE), tmp_path)
    small_disk(-1)
    assert 2 in _steps(tmp_path) and max(_steps(tmp_path)) < 8
    loop.train(Filling(small_disk, 99, 99), toy.config(**_WIDE), tmp_path)
    assert max(_steps(tmp_path)) == 16


@_in_flight
def test_a_full_disk_may_be_borne_until_there_is_room(tmp_path, small_disk, capsys):
    config = toy.config(**_WIDE, checkpoint__on_failure="continue", log__every=1)
    loop.train(Filling(small_disk, 7, 11), config, tmp_path)
    assert "8 could not be written" in capsys.readouterr().err
    assert {2, 12, 14, 16} <= _steps(tmp_path) and 8 not in _steps(tmp_path)
    assert set(_values(tmp_path, "train/loss")) == set(range(1, 17))
    task = Filling(small_disk, 99, 99)
    shapes = plan.make(task, settings.resolve(config)).shapes
    for step in _steps(tmp_path):
        found, _ = checkpoint.restore_params(tmp_path / "checkpoints", shapes.params, step)
        assert all(np.isfinite(leaf).all() for leaf in trees.leaves(found).values())


def test_an_evaluation_that_could_not_be_written_repeats_no_old_numbers(tmp_path, capsys):
    class Unlucky(toy.Linear):
        def evaluate(self, params, step, directory):
            if step in (4, 12):
                raise OSError(28, "No space left on device")
            return super().evaluate(params, step, directory)

    config = toy.config(checkpoint__on_failure="continue", evaluate__every=4)
    assert loop.train(Unlucky(), config, tmp_path) == {}
    assert capsys.readouterr().err.count("an evaluation could not be written") == 2
    assert set(_values(tmp_path, "evaluate/bias")) == {0, 8}


def test_metrics_that_a_full_disk_refused_are_written_later(tmp_path, small_disk):
    from smarties.training import writer

    lines = writer.Lines(tmp_path / "metrics.jsonl", 0)
    small_disk(100)
    for step in range(5):
        try:
            lines.write(step, {"loss": 0.5})
        except OSError:
            pass
    small_disk(-1)
    lines.write(5, {"loss": 0.5})
    lines.close()
    assert list(_values(tmp_path, "loss")) == [0, 1, 2, 3, 4, 5]


def test_a_hang_shows_its_stacks_and_ends(tmp_path):
    command = [sys.executable, str(Path(toy.__file__)), str(tmp_path), "hang"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Timeout" in done.stderr and "in batches" in done.stderr and "in train" in done.stderr


def test_a_profile_of_some_steps_is_kept(tmp_path):
    loop.train(toy.Linear(), toy.config(log__profile=(3, 5)), tmp_path)
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    assert b"step_num" in trace.read_bytes()
    with pytest.raises(errors.UserError, match="log.profile"):
        loop.train(toy.Linear(), toy.config(log__profile=(5, 3)), tmp_path / "b")


def test_norms_are_logged_by_block(tmp_path):
    loop.train(toy.Perceptron(), toy.config(log__norms_every=4), tmp_path)
    for kind in ("gradient", "update", "parameter"):
        assert list(_values(tmp_path, f"norms/{kind}/blocks/1")) == [4, 8, 12]


class Lossy(toy.Linear):
    """The linear task that says of two batches what they go without."""

    def batches(self, *where):
        for step, batch in enumerate(super().batches(*where)):
            batch["few"]["unreadable"] = np.array(
                ["part-3: record 7 is corrupt"] * (step in (1, 4))
            )
            yield batch


def test_what_cannot_be_read_is_named_and_counted(tmp_path, capsys):
    loop.train(Lossy(), toy.config(log__every=3), tmp_path)
    told = [line for line in capsys.readouterr().err.splitlines() if "part-3" in line]
    assert told == [
        f"warning: step {step} goes without: part-3: record 7 is corrupt" for step in (2, 5)
    ]
    lines = [json.loads(line) for line in (tmp_path / "clock.jsonl").read_text().splitlines()]
    counts = {line["step"]: line["value"] for line in lines if line["name"] == "unreadable"}
    assert counts == {3: 1, 6: 2, 9: 2, 12: 2}
