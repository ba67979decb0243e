"""The loop: trains any task.

Step s of the log is the state after s steps. At the boundary between two steps nothing is in
flight: the state is saved and evaluated there, before the next batch is drawn. In between the host
runs one step ahead of the numbers it reports, so that the device never waits for it.
"""

import collections
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax

from smarties import errors
from smarties.training import checkpoint, clock, plan, rundir, settings, state, writer
from smarties.training import task as tasks
from smarties.typing import Tree


def train(task: tasks.Task, config: settings.Config, workdir: str | Path) -> dict[str, float]:
    """Returns the numbers of the final evaluation, and leaves a run directory.

    Resumes from the last checkpoint in `workdir`; the run is then, metrics.jsonl included, the same
    as if it had never stopped. Raises `UserError` for a workdir of another run, changed data, other
    parameters, or a loss that is not finite.
    """
    config, workdir = settings.resolve(config), Path(workdir)
    timer = clock.Clock()
    planned = plan.make(task, config)
    first = jax.process_index() == 0
    plain = settings.plain(config)
    if first:
        rundir.prepare(workdir, plain)
    identity = task.data_identity()
    meta = checkpoint.meta_of(plain, identity, task)
    every = {"evaluate": config.evaluate.every, "checkpoint": config.checkpoint.every}

    manager = checkpoint.open(workdir / "checkpoints", config.checkpoint.keep or None)
    with jax.set_mesh(planned.mesh), manager:
        saved = checkpoint.latest(manager)
        if saved is None:
            run, start = planned.init(), 0
        else:
            run, start = checkpoint.restore_state(manager, saved, planned.shapes, identity), saved
            _say(f"resuming from step {start} of {planned.steps}", first)
        with timer.spending("compile"):
            step_fn = planned.compile()
        log = Log(task, config, workdir, planned, start, timer)
        batches = task.batches("train", jax.process_index(), jax.process_count(), start)
        feed = prefetch(batches, planned.put)
        numbers: dict[str, float] = {}
        try:
            for step in range(start, planned.steps + 1):
                last = step == planned.steps
                saving = step != saved and (last or _due(step, every["checkpoint"]))
                evaluating = last or _due(step, every["evaluate"], zero=True)
                if saving or evaluating:
                    log.settle()  # a state is kept only once its loss is known to be finite
                if saving and step > 0:
                    with timer.spending("checkpoint"):
                        checkpoint.save(manager, step, run, meta)
                if evaluating:
                    with timer.spending("evaluation"):
                        numbers = _evaluate(task, run, step, workdir / "figures")
                    log.evaluated(step, numbers)
                if last:
                    break
                with timer.spending("data_wait"):
                    host, batch = _next(feed, step)
                run, metrics = step_fn(run, batch)
                log.settle()
                log.made(step + 1, metrics, host)
        finally:
            log.close()
    if first:
        rundir.write_json(workdir / "results.json", {"step": planned.steps, **numbers})
    return numbers


def prefetch(
    batches: Iterable[Tree], put: Callable[[Tree], Tree], ahead: int = 1
) -> Iterator[tuple[Tree, Tree]]:
    """Yields (host batch, device batch), with `ahead` more on their way to the device."""
    waiting: collections.deque[tuple[Tree, Tree]] = collections.deque()
    for host in batches:
        waiting.append((host, put(host)))
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


@dataclasses.dataclass(frozen=True)
class Pending:
    """A step whose numbers have not been read yet."""

    step: int
    metrics: dict[str, jax.Array]
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
    ):
        quiet = jax.process_index() != 0
        self._writer = writer.Writer(workdir, start, settings.plain(config), quiet)
        self._progress = writer.Progress(config.name, start, planned.steps, quiet)
        self._workdir, self._timer, self._steps = workdir, timer, planned.steps
        self._every, self._batch_size = config.log.every, config.batch_size
        self._unit = getattr(task, "unit", "examples")
        self._pending: Pending | None = None
        self._reported = start

    def made(self, step: int, metrics: dict[str, jax.Array], host: Tree) -> None:
        """Takes a step that has been dispatched."""
        self._pending = Pending(step, metrics, host)

    def settle(self) -> None:
        """Waits for the step taken last and reports it; a loss that is not finite stops the run."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        numbers = {name: float(value) for name, value in jax.device_get(pending.metrics).items()}
        if not numbers.pop("finite"):
            evidence = rundir.keep_evidence(
                self._workdir, pending.step, jax.process_index(), pending.host
            )
            raise errors.UserError(
                f"loss or gradient of step {pending.step} is not finite (loss "
                f"{numbers.get('loss')}, gradient norm {numbers['gradient_norm']}): {evidence}; "
                "lower the learning rate, clip gradients, or mend the data"
            )
        self._progress.advance()
        if _due(pending.step, self._every) or pending.step == self._steps:
            self._report(pending.step, numbers)

    def _report(self, step: int, numbers: dict[str, float]) -> None:
        seconds = self._timer.split()
        working = seconds["step"] + seconds["data_wait"]
        speed = (step - self._reported) * self._batch_size / working
        self._reported = step
        self._writer.write(
            step, {f"train/{name}": value for name, value in sorted(numbers.items())}
        )
        readings = {f"time/{name}": value for name, value in seconds.items()}
        self._writer.write_clock(step, {**readings, f"{self._unit}_per_second": speed})
        loss = f"loss {numbers['loss']:.4f}  " if "loss" in numbers else ""
        wait = seconds["data_wait"] / working
        self._progress.show(step, f"{loss}{speed:.1f} {self._unit}/s  data wait {wait:.0%}")

    def evaluated(self, step: int, numbers: dict[str, float]) -> None:
        """Reports an evaluation."""
        named = {f"evaluate/{name}": value for name, value in sorted(numbers.items())}
        self._writer.write(step, named)
        if numbers:
            self._progress.show(step, "  ".join(f"{k} {v:.4g}" for k, v in sorted(numbers.items())))

    def close(self) -> None:
        self._progress.close()
        self._writer.close()


def _evaluate(task: Any, run: state.State, step: int, directory: Path | None) -> dict[str, float]:
    """Returns the task's numbers for the state, under the moving average where there is one."""
    if not hasattr(task, "evaluate"):
        return {}
    params = run.params if run.ema is None else run.ema
    if jax.process_index():  # one process writes
        directory = None
    return {name: float(value) for name, value in task.evaluate(params, step, directory).items()}


def _due(step: int, every: int, zero: bool = False) -> bool:
    return bool(every) and step % every == 0 and (zero or step > 0)


def _next(feed: Iterator[tuple[Tree, Tree]], step: int) -> tuple[Tree, Tree]:
    try:
        return next(feed)
    except StopIteration:
        raise errors.UserError(
            f"the data ended after {step} steps: shorten the run or repeat the data"
        ) from None


def _say(text: str, aloud: bool) -> None:
    if aloud:
        print(text, file=sys.stderr, flush=True)
