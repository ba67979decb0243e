"""What a configuration and a task amount to, before anything is allocated."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from smarties import errors
from smarties.training import optimizer, schedule, settings, sharding, state, trees
from smarties.training import task as tasks
from smarties.typing import Tree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A run, ready to be carried out.

    Attributes:
      mesh: devices by (data, fsdp, tensor).
      steps: length of the run.
      warmup: steps of it with a rising learning rate.
      shapes: the state as `ShapeDtypeStruct`s with shardings.
      batch: the global batch likewise.
      init: () -> State, jitted; lies as `shapes` says.
      step: (State, batch) -> (State, metrics), jitted; takes the state's memory.
    """

    mesh: Mesh
    steps: int
    warmup: int
    shapes: state.State
    batch: Tree
    init: Callable[[], state.State]
    step: Any

    def start(self, task: tasks.Task) -> state.State:
        """Returns the state of step 0, with the task's `pretrained` parameters where it has some.

        Raises:
          UserError: one of them is none of the run's, or has another shape.
        """
        run = jax.block_until_ready(self.init())
        given = task.pretrained() if hasattr(task, "pretrained") else {}  # type: ignore
        found, params = trees.leaves(given), trees.leaves(run.params)
        for path, value in found.items():
            want = params[path].shape if path in params else "none"
            if want != np.shape(value):
                raise errors.UserError(
                    f"pretrained weights have {path!r} of shape {np.shape(value)}, this "
                    f"configuration has {want}: use the model section the weights were made with"
                )

        def one(keys: tuple, old: jax.Array) -> jax.Array:
            if trees.path_of(keys) not in found:
                return old
            value = np.asarray(found[trees.path_of(keys)], old.dtype)
            return jax.make_array_from_callback(old.shape, old.sharding, value.__getitem__)

        if not found:
            return run
        params, ema = (
            tree and jax.tree_util.tree_map_with_path(one, tree) for tree in (run.params, run.ema)
        )
        return run.replace(params=params, ema=ema)

    def compile(self) -> Any:
        """Returns the compiled step. It refuses other shapes, so that a run compiles once."""
        with jax.set_mesh(self.mesh):
            return self.step.lower(self.shapes, self.batch).compile()

    def put(self, batch: Tree) -> Tree:
        """Returns this process's share of a batch as part of the global batch on the devices."""
        return sharding.put(batch, self.batch, NamedSharding(self.mesh, sharding.BATCH))


def make(task: tasks.Task, config: settings.Config, devices: list[Any] | None = None) -> Plan:
    """Returns the plan of a resolved configuration (`settings.resolve`); allocates nothing."""
    mesh = sharding.make_mesh(config.mesh, devices)
    if not config.batch_size or config.batch_size < 1:
        raise errors.UserError(f"batch_size is {config.batch_size}: must be 1 or more")
    epoch = task.examples_per_epoch() if hasattr(task, "examples_per_epoch") else None  # type: ignore
    steps = schedule.duration(config, "", config.batch_size, epoch)
    if steps < 1:
        raise errors.UserError("configuration gives no length: set one of steps, epochs, examples")
    adam = config.optimizer
    warmup = schedule.duration(adam, "warmup_", config.batch_size, epoch)
    highest = schedule.peak(adam, config.batch_size)
    rate = schedule.learning_rate(adam.schedule, highest, warmup, steps)
    tx = optimizer.make(adam, rate, getattr(task, "rate_factor", None))
    if not 0 <= adam.ema < 1 or adam.accumulate < 1:
        raise errors.UserError(
            f"optimizer.ema {adam.ema} must be in [0, 1) and optimizer.accumulate "
            f"{adam.accumulate} 1 or more"
        )
    on_batch = NamedSharding(mesh, sharding.BATCH)
    with jax.set_mesh(mesh):
        free = optimizer.is_schedule_free(adam)
        init = state.make_init(task, tx, config.seed, adam.ema or free)
        step = state.make_step(
            task,
            tx,
            rate,
            seed=config.seed,
            accumulate=adam.accumulate,
            ema=adam.ema,
            averaged=optimizer.averaged if free else None,
            batch_sharding=on_batch,
        )
        places = _places(task, tx, jax.eval_shape(init), mesh)
        spec = task.batch_spec()
        sharding.check_batch(spec, mesh, adam.accumulate)
        init = jax.jit(init, out_shardings=places)
        whole = NamedSharding(mesh, P())
        return Plan(
            mesh=mesh,
            steps=steps,
            warmup=warmup,
            shapes=_with(jax.eval_shape(init), places),
            batch=jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=on_batch), spec
            ),
            init=init,
            step=jax.jit(step, donate_argnums=0, out_shardings=(places, whole)),
        )


def _places(
    task: tasks.Task, tx: optax.GradientTransformation, shapes: state.State, mesh: Mesh
) -> state.State:
    """Returns the sharding of every leaf of the state; moments lie as their parameters do.

    Left to itself, jit would give moments no sharding: zeros depend on no input.
    """
    whole = NamedSharding(mesh, P())
    params = sharding.place(shapes.params, mesh)
    moments = optax.tree.map_params(
        tx,
        lambda _, place: place,
        shapes.opt_state,
        state.split(params, task)[0],
        transform_non_params=lambda _: whole,
    )
    ema = None if shapes.ema is None else params
    return state.State(step=whole, skipped=whole, params=params, opt_state=moments, ema=ema)  # type: ignore


def _with(shapes: Tree, places: Tree) -> Tree:
    return jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes, places
    )
