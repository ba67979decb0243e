"""What `smarties bench` measures: steps, embeddings and loaders, beside matrix products.

Every measurement is a list of rounds; things that are compared take turns within a round, so that a
machine that changes its speed changes it for both.
"""

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import monitoring

from smarties import errors
from smarties.models import autoencoder, flops, masking
from smarties.spectrum import registry
from smarties.tasks import csmae, embedding, pretraining
from smarties.typing import Tree

STREAMS = {"vhr": ("rgb", "sentinel2-l1c"), "radar": ("sentinel2-l2a", "sentinel1-grd")}
DECODER = dict(width=512, depth=8, heads=16)
T = TypeVar("T", bound=pretraining.Pretraining)
Task = pretraining.Pretraining | csmae.Csmae


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
      part: what was asked for, e.g. "step".
      name: of the quantity.
      unit: of its values.
      values: one per round.
    """

    part: str
    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, high = np.percentile(self.values, (25, 75))
        return float(low), float(high)


def row(part: str, name: str, unit: str, values: float | Sequence[float]) -> Row:
    """Returns a `Row` of one value or of one per round."""
    several = (values,) if isinstance(values, (int, float)) else values
    return Row(part=part, name=name, unit=unit, values=tuple(map(float, several)))


class Viewed(pretraining.Pretraining):
    """Pretraining on batches that `view` has made already."""

    def view(self, batch: Tree, key: jax.Array | None) -> Tree:
        return batch


def model_of(
    size: str,
    image_size: int,
    patch: int,
    dtype: str,
    unroll: int,
    remat: str = "none",
    kernel: str = "xla",
) -> dict[str, Any]:
    """Returns the `model` section of a size of `autoencoder.SIZES`, with the published decoder."""
    return dict(
        image_size=image_size,
        patch=patch,
        encoder=dataclasses.asdict(autoencoder.SIZES[size]),
        decoder=DECODER,
        dtype=dtype,
        unroll=unroll,
        remat=remat,
        kernel=kernel,
    )


def task_of(kind: type[T], model: Mapping[str, Any], batch: int, **recipe: Any) -> T:
    """Returns pretraining as published, on the planet.

    Half of the pairs are RGB with S2 L1C, half S2 L2A with S1.
    """
    size = model["image_size"]
    streams = {
        name: dict(
            first=first,
            second=second,
            share=0.5,
            source=dict(kind="planet", sensors=(first, second), count=batch, size=size),
        )
        for name, (first, second) in STREAMS.items()
    }
    recipe_ = pretraining.Recipe(**recipe)
    return kind(
        recipe=recipe_, model=model, data=dict(streams=streams, threads=0), batch_size=batch
    )


def batch_of(task: Task) -> Tree:
    """Returns the first batch on the device: stored numbers and valid masks."""
    host = next(iter(task.batches("train", 0, 1, 0)))
    leaf = lambda path, _: _at(host, path)  # noqa: E731
    return jax.device_put(jax.tree_util.tree_map_with_path(leaf, task.batch_spec()))


def _at(tree: Tree, path) -> Any:
    for key in path:
        tree = tree[key.key]
    return tree


class Steps:
    """A training step and its state, which several tasks of one model may share.

    Attributes:
      params, opt_state: of the last step.
    """

    def __init__(self, task: Task, tx: optax.GradientTransformation):
        self.tx = tx
        self.params = jax.jit(task.init)(jax.random.key(0))
        self.opt_state = jax.jit(tx.init)(self.params)

    def step_of(self, task: Task):
        """Returns the jitted (params, opt_state, batch, key) -> (params, opt_state, loss)."""

        def step(params, opt_state, batch, key):
            (loss, _), gradient = jax.value_and_grad(task.loss, has_aux=True)(params, batch, key)
            updates, opt_state = self.tx.update(gradient, opt_state, params)
            return optax.apply_updates(params, updates), opt_state, loss

        return jax.jit(step, donate_argnums=(0, 1))

    def run(self, step, batch: Tree, key: jax.Array) -> float:
        """Makes one step; returns its seconds."""
        start = time.perf_counter()
        self.params, self.opt_state, loss = step(self.params, self.opt_state, batch, key)
        value = float(loss)
        seconds = time.perf_counter() - start
        if not np.isfinite(value):
            raise errors.UserError(f"the loss of the measured step is {value}: a number is right")
        return seconds

    @property
    def bytes(self) -> int:
        """Of parameters and optimiser state."""
        return sum(x.nbytes for x in jax.tree.leaves((self.params, self.opt_state)))


def turns(runs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Returns the results of `rounds` rounds in which all take turns."""
    results: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            results[name].append(run())
    return results


def steady(run: Callable[[], float], best_of: int = 1) -> Callable[[], float]:
    """Returns () -> the seconds of a call after its like, as in training a step follows a step.

    The first finds the memory and the caches as something else has left them. Of several the least
    is taken: what other users of the machine add is not the program's.
    """

    def again() -> float:
        run()
        return min(run() for _ in range(best_of))

    return again


class Matmul:
    """The rate of matrix products of some shapes; call it for one more round.

    Attributes:
      rounds: per shape (m, k, n) the measured operations per second.
    """

    def __init__(self, shapes: Sequence[tuple[int, int, int]], dtype: str):
        self.rounds: dict[tuple[int, int, int], list[float]] = {shape: [] for shape in shapes}
        self._multiply = jax.jit(jnp.matmul)
        self._dtype = jnp.dtype(dtype)

    def __call__(self) -> float:
        """Returns the best rate of this round."""
        for shape in self.rounds:
            self.rounds[shape].append(self._rate(*shape))
        return max(rates[-1] for rates in self.rounds.values())

    def _rate(self, m: int, k: int, n: int) -> float:
        a, b = jnp.ones((m, k), self._dtype), jnp.ones((k, n), self._dtype)
        self._multiply(a, b).block_until_ready()
        times = max(1, int(2e10 / (2 * m * k * n)))
        start = time.perf_counter()
        for _ in range(times):
            self._multiply(a, b).block_until_ready()
        return 2 * m * k * n * times / (time.perf_counter() - start)

    @property
    def best(self) -> tuple[tuple[int, int, int], list[float]]:
        """The shape with the best median, and its rates."""
        return max(self.rounds.items(), key=lambda item: statistics.median(item[1]))


def shapes_of(task: pretraining.Pretraining) -> list[tuple[int, int, int]]:
    """Returns square products and the tall ones of the model's own networks."""
    images = 2 * sum(stream.examples_per_batch for stream in task.streams.values())
    visible = masking.visible_tokens(task.tokens, task.recipe.mask_ratio) + 1
    wide, narrow = task.model.encoder.width, task.model.decoder.width
    squares = [(n, n, n) for n in (1024, 2048, 4096)]
    return [
        *squares,
        (images * visible, wide, 4 * wide),
        (images * (task.tokens + 1), narrow, 4 * narrow),
    ]


@contextlib.contextmanager
def compilations() -> Iterator[list[float]]:
    """Yields a list that receives the seconds of every compilation within the block."""
    seconds: list[float] = []
    active = True

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if active and event.endswith("backend_compile_duration"):
            seconds.append(duration_secs)

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seconds
    finally:
        active = False  # there is no public way to take a listener back


def embed(model: Mapping[str, Any], batch: int = 16, sensor: str = "sentinel2-l2a"):
    """Returns (() -> seconds of embedding `batch` standardised images, operations of it)."""
    task = task_of(pretraining.Pretraining, model, len(STREAMS))
    encoder, known = task.model.encoder, registry.sensor(sensor).select()
    params = jax.jit(task.init)(jax.random.key(0))["encoder"]
    shape = (batch, task.size, task.size, len(known.bands))
    images = jax.random.normal(jax.random.key(1), shape)
    options: dict[str, Any] = dict(
        sensor=known, spectrum=task.spectrum.name, rule=task.recipe.rule, patch=task.patch
    )

    def run() -> float:
        start = time.perf_counter()
        jax.block_until_ready(embedding.encode(encoder, params, images, **options))
        return time.perf_counter() - start

    run()
    size = (batch, task.tokens, len(known.bands), task.patch**2, encoder.width, encoder.depth)
    return run, sum(stage.flops for stage in flops.encoder(*size))


def temporaries(steps: Steps, task: pretraining.Pretraining, batch: Tree) -> dict[str, int]:
    """Returns the bytes XLA plans for a step: its temporaries, and all it holds at once."""
    arguments = (steps.params, steps.opt_state, batch, jax.random.key(0))
    stats = steps.step_of(task).lower(*arguments).compile().memory_analysis()
    if stats is None:
        raise RuntimeError("this backend does not tell what a step holds")
    held = stats.argument_size_in_bytes + stats.output_size_in_bytes - stats.alias_size_in_bytes
    temporary = stats.temp_size_in_bytes
    return {"temporaries": temporary, "the step in all": held + temporary}


def child(argv: Sequence[str], **environment: str | None) -> dict[str, Any]:
    """Returns the JSON a fresh `smarties bench` prints last; None removes a variable."""
    changed = {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-m", "smarties.cli.main", "bench", *argv],
        env={key: value for key, value in changed.items() if value is not None},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise errors.UserError(f"smarties bench {' '.join(argv)} failed: {last}")
    return json.loads(done.stdout.strip().splitlines()[-1])
