"""What a run says of itself: numbers of steps, read one step late, and where the time went."""

import dataclasses
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from smarties import errors, machine
from smarties.training import clock, norms, plan, rundir, settings, storage, trees, writer
from smarties.training import task as tasks
from smarties.typing import Tree

Draw = Callable[[Path, int], Path | None]  # see `loop.train`


@dataclasses.dataclass(frozen=True)
class Pending:
    """A step whose numbers have not been read yet."""

    step: int
    metrics: dict[str, Any]
    host: Tree


class Log:
    """Reads the numbers of a step once the next one is under way, and reports them."""

    def __init__(
        self,
        task: tasks.Task,
        config: settings.Config,
        workdir: Path,
        planned: plan.Plan,
        start: int,
        timer: clock.Clock,
        disk: storage.Storage,
        draw: Draw | None = None,
    ):
        self._quiet = jax.process_index() != 0
        self._writer = writer.Writer(workdir, start, settings.plain(config), self._quiet)
        self._progress = writer.Progress(config.name, start, planned.steps, self._quiet)
        self._workdir, self._timer, self._disk, self._draw = workdir, timer, disk, draw
        self._steps, self._batch_size = planned.steps, config.batch_size
        self._every, self._norms_every = config.log.every, config.log.norms_every
        self._skip_limit = config.optimizer.skip_limit
        self._unit = getattr(task, "unit", "examples")
        flops = task.flops() if hasattr(task, "flops") else 0.0  # type: ignore
        self._share = flops / (planned.mesh.size * machine.rate()) if flops else 0.0
        self._pending: Pending | None = None
        self._unreadable = 0
        self._reported = start

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.close()
        self._writer.close()

    def made(self, step: int, metrics: dict[str, Any], host: Tree) -> None:
        """Takes a step that has been dispatched."""
        self._pending = Pending(step, metrics, host)

    def settle(self) -> None:
        """Waits for the step taken last and reports it; too many not finite end the run."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        metrics = jax.device_get(pending.metrics)
        self._lost(pending)
        by_block = metrics.pop("norms", {})
        numbers = {name: float(value) for name, value in metrics.items()}
        if not numbers.pop("finite"):
            self._skipped(pending, numbers)
        self._progress.advance()
        step = pending.step
        if due(step, self._every) or step == self._steps:
            self._report(step, numbers)
        if due(step, self._norms_every):
            named = {
                f"norms/{kind}/{name}": value
                for kind, groups in by_block.items()
                for name, value in norms.named(groups)
            }
            self._write(step, named)

    def _lost(self, pending: Pending) -> None:
        """Names what the batch of a step went without; every process speaks of its own share."""
        for path, leaf in trees.leaves(pending.host).items():
            if path.split("/")[-1] == "unreadable":
                for text in leaf:
                    self._unreadable += 1
                    print(f"warning: step {pending.step} goes without: {text}", file=sys.stderr)

    def _skipped(self, pending: Pending, numbers: dict[str, float]) -> None:
        what = (
            f"loss or gradient of step {pending.step} is not finite (loss {numbers.get('loss')}, "
            f"gradient norm {numbers['gradient_norm']})"
        )
        count = int(numbers["skipped"])
        if count <= self._skip_limit:
            self._say(f"{what}: skipped, {count} of at most {self._skip_limit}")
            return
        evidence = rundir.keep_evidence(
            self._workdir, pending.step, jax.process_index(), pending.host
        )
        raise errors.UserError(
            f"{what}, and {count} are more than optimizer.skip_limit {self._skip_limit}: "
            f"{evidence}; lower the learning rate, clip gradients, or mend the data"
        )

    def _report(self, step: int, numbers: dict[str, float]) -> None:
        seconds = self._timer.split()
        working = seconds["step"] + seconds["data_wait"]
        steps, self._reported = step - self._reported, step
        speed = steps * self._batch_size / working
        self._write(step, {f"train/{name}": value for name, value in sorted(numbers.items())})
        readings = {f"time/{name}": value for name, value in seconds.items()}
        readings[f"{self._unit}_per_second"] = speed
        readings["unreadable"] = self._unreadable
        readings["memory_gb"] = machine.peak_memory() / 1e9
        if self._share:
            readings["mfu"] = self._share * steps / working
        with self._disk.writing("clock.jsonl"):
            self._writer.write_clock(step, readings)
        loss = f"loss {numbers['loss']:.4f}  " if "loss" in numbers else ""
        use = f"  MFU {readings['mfu']:.0%}" if self._share else ""
        wait = seconds["data_wait"] / working
        self._progress.show(
            step,
            f"{loss}{speed:.1f} {self._unit}/s{use}  data wait {wait:.0%}  "
            f"memory {readings['memory_gb']:.1f} GB",
        )

    def evaluated(self, step: int, numbers: dict[str, float]) -> None:
        """Reports an evaluation, in numbers and in a picture."""
        self._write(step, {f"evaluate/{name}": value for name, value in sorted(numbers.items())})
        if numbers:
            self._progress.show(step, "  ".join(f"{k} {v:.4g}" for k, v in sorted(numbers.items())))
        with self._timer.spending("evaluation"), self._disk.writing(f"the picture of step {step}"):
            self._picture(step)
        if step == self._steps:  # what no report of a step is left to hold
            seconds = self._timer.split()
            spent = {f"time/{name}": seconds[name] for name in clock.PARTS if seconds[name]}
            with self._disk.writing("clock.jsonl"):
                self._writer.write_clock(step, spent)

    def _picture(self, step: int) -> None:
        """Draws and shows a picture; one that fails costs the run nothing but a warning."""
        if self._draw is None or self._quiet:
            return
        try:
            path = self._draw(self._workdir, step)
            if path is not None:
                self._writer.picture(step, path)
        except OSError:
            raise  # of the disk
        except Exception as error:
            self._say(f"no picture of step {step} ({' '.join(repr(error).split())[:300]})")

    def _write(self, step: int, numbers: dict[str, float]) -> None:
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        with self._disk.writing("metrics.jsonl"):
            self._writer.write(step, finite)

    def _say(self, text: str) -> None:
        if not self._quiet:
            print(f"warning: {text}", file=sys.stderr, flush=True)


def due(step: int, every: int, zero: bool = False) -> bool:
    """Returns whether `step` is one of every so many; step 0 only with `zero`."""
    return bool(every) and step % every == 0 and (zero or step > 0)
