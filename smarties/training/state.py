"""What a run carries from step to step, and the step: pure functions of (state, batch)."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from smarties.models import layout
from smarties.training import norms
from smarties.training import task as tasks
from smarties.typing import Array, Key, Tree

Gradients = Callable[[Tree, Tree, Key], tuple[Tree, dict[str, Any]]]


@flax.struct.dataclass(kw_only=True)
class State:
    """A run after `step` steps. Its randomness is derived: fold_in(key(seed), step).

    Attributes:
      step: int32 scalar, batches taken.
      skipped: int32 scalar, how many of them changed nothing else, because loss or gradient was not
        finite.
      params: nested dict; a subtree "stats" at its top, and what the task freezes, is not trained.
      opt_state: of the trainable parameters.
      ema: an average of `params` over steps, moving or that of the optimiser, or None.
    """

    step: Array
    skipped: Array
    params: Tree
    opt_state: Tree
    ema: Tree | None


def split(params: Tree, task: Any = None) -> tuple[Tree, Tree]:
    """Returns (trainable parameters, the rest): "stats", and what a task's `rate_factor` freezes.

    Both are nested dicts, which `join` puts together again.
    """
    factor = getattr(task, "rate_factor", None)

    def part(tree: Tree, trained: bool, prefix: str = "") -> Tree:
        kept = {}
        for name, value in tree.items():
            path = f"{prefix}{name}"
            if isinstance(value, Mapping):
                value = part(value, trained, f"{path}/")
            elif trained != _trains(path, factor):
                continue
            if not isinstance(value, Mapping) or value:
                kept[name] = value
        return kept

    return part(params, True), part(params, False)


def _trains(path: str, factor: Callable[[str], Any] | None) -> bool:
    return not path.startswith("stats/") and (factor is None or bool(np.any(factor(path))))


def join(one: Tree, other: Tree) -> Tree:
    """Returns the nested dict that `split` took apart."""
    both = {}
    for name in (*one, *(n for n in other if n not in one)):
        parts = [tree[name] for tree in (one, other) if name in tree]
        both[name] = parts[0] if len(parts) == 1 else join(*parts)
    return both


def make_init(
    task: tasks.Task, tx: optax.GradientTransformation, seed: int, ema: float | bool
) -> Callable[[], State]:
    """Returns () -> State of step 0."""

    def init() -> State:
        params = task.init(jax.random.key(seed))
        return State(
            step=jnp.zeros((), jnp.int32),
            skipped=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=tx.init(split(params, task)[0]),
            ema=jax.tree.map(jnp.copy, params) if ema else None,
        )

    return init


def make_step(
    task: tasks.Task,
    tx: optax.GradientTransformation,
    rate: optax.Schedule,
    *,
    seed: int = 0,
    accumulate: int = 1,
    ema: float = 0.0,
    averaged: Callable[[Tree, Tree], Tree] | None = None,
    batch_sharding: NamedSharding | None = None,
) -> Callable[[State, Tree], tuple[State, dict[str, Array]]]:
    """Returns (state, batch) -> (state, metrics), pure and not yet jitted.

    The average in the state is a moving one by `ema`, or where given `averaged`, a function of
    (optimiser state, trainable parameters).

    A batch whose loss or gradient is not finite is counted in `skipped` and changes nothing else.
    Metrics are those of the task, and `loss`, `gradient_norm` (before clipping), `update_norm`,
    `parameter_norm` (after the step), `learning_rate`, `skipped`, `finite` (1 where loss and
    gradient are), and `norms`, as `norms.by_block` gives them for gradient, update and parameter.
    """
    gradients = getattr(task, "gradients", None) or _of_loss(task)
    if accumulate > 1:
        gradients = _accumulated(gradients, task, accumulate, batch_sharding)

    def step(state: State, batch: Tree) -> tuple[State, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        gradient, metrics = gradients(state.params, batch, key)
        trainable, rest = split(state.params, task)
        gradient, metrics = split(gradient, task)[0], dict(metrics)
        if "stats" in rest:
            rest = {**rest, "stats": metrics.pop("stats")}
        updates, opt_state = tx.update(gradient, state.opt_state, trainable)
        trainable = optax.apply_updates(trainable, updates)
        average = state.ema
        if average is not None:
            if averaged is not None:
                average = averaged(opt_state, trainable)
            else:
                average = split(average, task)[0]
                average = optax.incremental_update(trainable, average, 1 - ema)
            average = join(average, rest)
        by_block = {
            name: norms.by_block(tree)
            for name, tree in (
                ("gradient", gradient),
                ("update", updates),
                ("parameter", trainable),
            )
        }
        whole = {f"{name}_norm": norms.total(blocks) for name, blocks in by_block.items()}
        finite = jnp.isfinite(whole["gradient_norm"]) & jnp.isfinite(metrics.get("loss", 0.0))
        new = State(
            step=state.step,
            skipped=state.skipped,
            params=join(trainable, rest),
            opt_state=opt_state,
            ema=average,
        )
        new = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state)
        new = new.replace(step=state.step + 1, skipped=state.skipped + ~finite)
        metrics |= whole | {
            "norms": by_block,
            "learning_rate": jnp.asarray(rate(state.step - state.skipped), jnp.float32),
            "skipped": new.skipped,
            "finite": finite,
        }
        return new, metrics

    return step


def _of_loss(task: tasks.Task) -> Gradients:
    def gradients(params: Tree, batch: Tree, key: Key) -> tuple[Tree, dict[str, Any]]:
        trainable, rest = split(params, task)
        stats = {name: rest.pop(name) for name in ("stats",) if name in rest}
        frozen = join(layout.gather(rest), stats)

        def objective(trainable: Tree) -> tuple[Array, dict[str, Any]]:
            value, metrics = task.loss(join(layout.gather(trainable), frozen), batch, key)
            return value, {**metrics, "loss": value}

        gradient, metrics = jax.grad(objective, has_aux=True)(trainable)
        return gradient, metrics

    return gradients


def _accumulated(
    gradients: Gradients, task: tasks.Task, count: int, sharding: NamedSharding | None
) -> Gradients:
    """Returns the mean of the gradients (and metrics) of `count` micro-batches, one after another.

    Micro-batch i takes examples i, i + count, ... of every leaf, so that each stays spread over all
    devices, and the key fold_in(key, i). "stats" pass from one to the next.
    """

    def deal(x: Array) -> Array:
        parts = x.reshape(x.shape[0] // count, count, *x.shape[1:]).swapaxes(0, 1)
        if sharding is None:
            return parts
        spread = NamedSharding(sharding.mesh, P(None, *sharding.spec))
        return lax.with_sharding_constraint(parts, spread)

    def averaged(params: Tree, batch: Tree, key: Key) -> tuple[Tree, dict[str, Any]]:
        trainable = split(params, task)[0]
        stats = {name: params[name] for name in ("stats",) if name in params}

        def micro(carry, inputs):
            total, stats = carry
            part, index = inputs
            gradient, metrics = gradients({**params, **stats}, part, jax.random.fold_in(key, index))
            metrics = dict(metrics)
            if stats:
                stats = {"stats": metrics.pop("stats")}
            return (jax.tree.map(jnp.add, total, split(gradient, task)[0]), stats), metrics

        start = (jax.tree.map(jnp.zeros_like, trainable), stats)
        inputs = (jax.tree.map(deal, batch), jnp.arange(count))
        (total, stats), metrics = lax.scan(micro, start, inputs)
        mean = jax.tree.map(lambda x: x / count, total)
        return mean, {**jax.tree.map(lambda x: x.mean(0), metrics), **stats}

    return averaged
