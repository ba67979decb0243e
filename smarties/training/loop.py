"""The loop: trains any task.

Step s of the log is the state after s steps. At the boundary between two steps nothing is in
flight: the state is saved and evaluated there, before the next batch is drawn. In between the host
runs one step ahead of the numbers it reports, so that the device never waits for it.
"""

import collections
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.sharding import PartitionSpec as P

from smarties import errors, machine
from smarties.training import (
    checkpoint,
    clock,
    plan,
    preemption,
    profiler,
    rundir,
    saving,
    selection,
    settings,
    state,
    storage,
    watchdog,
)
from smarties.training import log as logs
from smarties.training import task as tasks
from smarties.typing import Tree


def train(
    task: tasks.Task,
    config: settings.Config,
    workdir: str | Path,
    draw: logs.Draw | None = None,
) -> dict[str, float]:
    """Returns the numbers of the final evaluation, or of `checkpoint.best`; leaves a run directory.

    Resumes from the last checkpoint in `workdir`; the run is then, metrics.jsonl included, the same
    as if it had never stopped.

    Args:
      draw: (workdir, step) -> the picture made of what the task's evaluation left, or None; called
        by the first process. Its name ends in the step, as in "scenes-00000050.png".

    Raises:
      UserError: a workdir of another run, changed data, other parameters, storage that fails, or
        more losses that are not finite than `optimizer.skip_limit`.
      Preempted: asked to leave by SIGTERM; the state of the step is saved.
    """
    config, workdir = settings.resolve(config), Path(workdir)
    disk, timer = storage.Storage(config.checkpoint.on_failure), clock.Clock()
    planned = plan.make(task, config)
    first = jax.process_index() == 0
    plain = settings.plain(config)
    if first:
        rundir.prepare(workdir, plain, planned.steps)
    identity = task.data_identity()
    meta = checkpoint.meta_of(plain, identity, task)
    every = {"evaluate": config.evaluate.every, "checkpoint": config.checkpoint.every}

    with contextlib.ExitStack() as stack:
        dog = stack.enter_context(watchdog.Watchdog(config.log.hang_minutes))
        notice = stack.enter_context(preemption.Notice())
        stack.enter_context(jax.set_mesh(planned.mesh))
        saver = saving.Saver(workdir / "checkpoints", config.checkpoint, disk)
        stack.enter_context(saver)
        best = selection.Best(workdir / selection.FOLDER, config.checkpoint.best, disk)
        saved = saver.latest()
        if saved is None:
            with timer.spending("compile"):
                run, start = planned.start(task), 0
        else:
            with timer.spending("checkpoint"):
                run, start = saver.restore(saved, planned.shapes, identity), saved
            _say(f"resuming from step {start} of {planned.steps}", first)
        with timer.spending("compile"):
            step_fn = planned.compile()
            log = stack.enter_context(
                logs.Log(task, config, workdir, planned, start, timer, disk, draw)
            )
        window = stack.enter_context(profiler.Window(config.log.profile, workdir / "profile"))
        batches = task.batches("train", jax.process_index(), jax.process_count(), start)
        feed = prefetch(batches, planned.put)
        numbers: dict[str, float] = {}
        for step in range(start, planned.steps + 1):
            dog.feed()
            last, leaving = step == planned.steps, notice.reached(step)
            evaluating = last or logs.due(step, every["evaluate"], zero=True)
            keeping = last or leaving or logs.due(step, every["checkpoint"])
            if keeping or evaluating or window.turns(step):
                log.settle()  # a state is kept only once its loss is known
            window.at(step)
            if keeping and step not in (0, saved):
                with timer.spending("checkpoint"):
                    saver.save(step, run, meta)
            if leaving and not last:
                saver.finish()
                raise errors.Preempted(f"saved at step {step} of {planned.steps} in {workdir}")
            if evaluating:
                numbers = {}  # should this one fail, the last one's are not told again
                with timer.spending("evaluation"), disk.writing("an evaluation"):
                    numbers = _evaluate(task, run, step, workdir / "figures")
                log.evaluated(step, numbers)
                best.offer(step, numbers, run, meta)
            if last:
                break
            with timer.spending("data_wait"):
                host, batch = _next(feed, step)
            with window.step(step):
                run, metrics = step_fn(run, batch)
            log.settle()
            log.made(step + 1, metrics, host)
    if first:
        with disk.writing("results.json"):
            found = best.numbers or {"step": planned.steps, **numbers}
            rundir.write_json(workdir / "results.json", found)
    return {name: value for name, value in (best.numbers or numbers).items() if name != "step"}


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


def _evaluate(task: Any, run: state.State, step: int, directory: Path) -> dict[str, float]:
    """Returns the task's numbers for the state, under the moving average where there is one.

    Of several processes each evaluates for itself, on a copy of its own, and the first keeps what
    the task leaves: tasks need not know of others.
    """
    if not hasattr(task, "evaluate"):
        return {}
    params = run.params if run.ema is None else run.ema
    with contextlib.ExitStack() as stack:
        if jax.process_count() > 1:
            params = jax.jit(lambda x: x, out_shardings=P())(params)
            params = jax.tree.map(lambda x: x.addressable_data(0), params)
            stack.enter_context(machine.alone())
        where = None if jax.process_index() else directory
        return {name: float(value) for name, value in task.evaluate(params, step, where).items()}


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
