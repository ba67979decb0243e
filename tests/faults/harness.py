"""Runs of two processes that are killed at random moments, and started again until they end."""

import dataclasses
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

from smarties.cli import configuration
from smarties.training import checkpoint, plan, settings, trees

ROOT = Path(__file__).parents[2]
CONFIG = "tests/faults/tiny.py"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How one start of the run ended.

    Attributes:
      sent: signal, or "" when the run ended before.
      rank: of the process it was sent to.
      step: the last one logged when it was sent.
      seconds: after the start.
      code: of the launcher.
      saved: step of the last whole checkpoint afterwards.
      unfinished: whether a save was cut short.
    """

    sent: str
    rank: int
    step: int
    seconds: float
    code: int
    saved: int | None
    unfinished: bool


def start(workdir: Path, compiled: Path, count: int = 2) -> subprocess.Popen:
    """Starts the run of some processes, in a process group of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "SMARTIES")}
    environment |= {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "SMARTIES": f"{sys.executable} -m smarties.cli.main",
    }
    command = ["launch/local.sh", str(count), CONFIG, "--workdir", str(workdir)]
    log = (workdir.parent / f"{workdir.name}.log").open("a")
    with log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def processes(launcher: subprocess.Popen) -> list[int]:
    """Returns the ids of the training processes of a launcher, by rank."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if os.getpgid(int(entry.name)) == launcher.pid:
                pairs = (entry / "environ").read_bytes().split(b"\0")
                words = (entry / "cmdline").read_bytes().split(b"\0")
                rank = [pair for pair in pairs if pair.startswith(b"JAX_PROCESS_ID=")]
                if rank and b"train" in words:
                    found[int(rank[0].split(b"=")[1])] = int(entry.name)
        except (OSError, ValueError):
            continue  # it has gone, or is no process
    return [found[rank] for rank in sorted(found)]


def disturb(
    workdir: Path,
    compiled: Path,
    number: int,
    rank: int,
    delay: float,
    stepping: bool,
    count: int = 2,
) -> Outcome:
    """Starts the run and sends a signal to one process after `delay` seconds.

    They count from the start, or with `stepping` from the first step.
    """
    launcher, sent, step, before = start(workdir, compiled, count), "", -1, steps(workdir)
    began = counting = time.monotonic()
    try:
        while launcher.poll() is None and time.monotonic() - counting < delay:
            if stepping and steps(workdir) <= before:
                counting = time.monotonic()
            time.sleep(0.01)
        victims = processes(launcher)
        if launcher.poll() is None and rank < len(victims):
            step = steps(workdir)
            os.kill(victims[rank], number)
            sent = signal.Signals(number).name
        launcher.wait(timeout=300)
    finally:
        if launcher.poll() is None:
            os.killpg(launcher.pid, signal.SIGKILL)
            launcher.wait()
    folder = workdir / "checkpoints"
    return Outcome(
        sent=sent,
        rank=rank,
        step=step,
        seconds=time.monotonic() - began,
        code=launcher.returncode,
        saved=max((int(p.name) for p in folder.glob("*") if p.name.isdigit()), default=None),
        unfinished=any(not p.name.isdigit() for p in folder.glob("*")),
    )


def steps(workdir: Path) -> int:
    """Returns the last step in the log."""
    log = workdir / "metrics.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return max((json.loads(x)["step"] for x in lines if x.endswith("}")), default=0)


def losses(workdir: Path) -> list[float]:
    """Returns the loss of every step."""
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [line["value"] for line in lines if line["name"] == "train/loss"]


def finished(workdir: Path) -> bool:
    return (workdir / "results.json").exists()


def state_of(workdir: Path) -> dict[str, np.ndarray]:
    """Returns every leaf of the final state, optimiser and moving average included."""
    from smarties import tasks

    config = configuration.load(str(ROOT / CONFIG), [])
    task = tasks.make(config)
    planned = plan.make(task, settings.resolve(config), jax.devices()[:1])
    with checkpoint.open(workdir / "checkpoints") as manager:
        run = checkpoint.restore_state(manager, config.steps, planned.shapes, task.data_identity())
    return {path: np.asarray(leaf) for path, leaf in trees.leaves(run).items()}


def campaign(folder: Path, kills: int, seed: int) -> list[Outcome]:
    """Returns how each disturbed start ended; raises unless every run ends as the undisturbed one.

    One signal in three hits the start-up, the others the steps, of which every other one is saved;
    one in four is a SIGTERM. A run that ends is compared, and another one begun.
    """
    rng, compiled, undisturbed = random.Random(seed), folder / "compiled", folder / "undisturbed"
    quiet = dict(number=signal.SIGKILL, rank=0, delay=1e9, stepping=False)
    whole = disturb(undisturbed, compiled, **quiet)
    assert whole.code == 0, (folder / "undisturbed.log").read_text()
    stepping_seconds = _seconds(undisturbed)
    want = state_of(undisturbed)
    outcomes: list[Outcome] = []
    while len(outcomes) < kills:
        workdir = folder / f"disturbed-after-{len(outcomes)}"
        while not finished(workdir):
            stepping = rng.random() < 2 / 3
            outcome = (
                disturb(
                    workdir,
                    compiled,
                    number=signal.SIGTERM if rng.random() < 0.25 else signal.SIGKILL,
                    rank=rng.randrange(2),
                    delay=rng.uniform(0, stepping_seconds if stepping else 10),
                    stepping=stepping,
                )
                if len(outcomes) < kills
                else disturb(workdir, compiled, **quiet)
            )
            if outcome.sent:
                outcomes.append(outcome)
                print(len(outcomes), outcome, flush=True)
            else:
                assert finished(workdir), (folder / f"{workdir.name}.log").read_text()
        compare(workdir, undisturbed, want)
    return outcomes


def _seconds(workdir: Path) -> float:
    """Returns the seconds a run spent in steps and saves."""
    lines = [json.loads(line) for line in (workdir / "clock.jsonl").read_text().splitlines()]
    parts = ("time/step", "time/data_wait", "time/checkpoint")
    return sum(line["value"] for line in lines if line["name"] in parts)


def compare(workdir: Path, undisturbed: Path, want: dict[str, np.ndarray]) -> None:
    """Raises unless the final state, the log and the results are those of the undisturbed run."""
    found = state_of(workdir)
    assert found.keys() == want.keys()
    for path, leaf in want.items():
        np.testing.assert_array_equal(found[path], leaf, err_msg=f"{workdir}: {path}")
    for name in ("metrics.jsonl", "results.json"):
        assert (workdir / name).read_text() == (undisturbed / name).read_text(), f"{workdir}/{name}"
