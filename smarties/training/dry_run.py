"""What a run would be, without allocating it: everything comes from shapes and from compiling."""

import json
import math

import jax
from jax.sharding import NamedSharding

from smarties.training import plan, settings, state, trees
from smarties.training import task as tasks
from smarties.typing import Tree

_MIB = 2**20


def describe(task: tasks.Task, config: settings.Config) -> str:
    """Returns the page `--dry_run` prints: configuration, parameters, batch, memory and FLOPs."""
    config = settings.resolve(config)
    planned = plan.make(task, config)
    trainable, _ = state.split(planned.shapes.params, task)
    length = f"{planned.steps} steps, {planned.warmup} of them warm-up; mesh {_sizes(planned)}"
    sections = (
        ("configuration", json.dumps(settings.plain(config), indent=2)),
        ("run", length),
        ("parameters", _table(planned.shapes.params, _count(planned.shapes.params, trainable))),
        ("batch", _table(planned.batch, "")),
        ("memory per device", _memory(planned)),
        ("compute per step", _flops(task)),
    )
    return "\n\n".join(f"== {title}\n{text}" for title, text in sections)


def _sizes(planned: plan.Plan) -> str:
    return " x ".join(f"{axis} {size}" for axis, size in planned.mesh.shape.items())


def _count(params: Tree, trainable: Tree) -> str:
    total, trained = (
        sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree)) for tree in (params, trainable)
    )
    return f"{total:,} in all, {trained:,} trained"


def _table(tree: Tree, footer: str) -> str:
    """Returns a line per leaf: path, shape, dtype, count, sharding. Scanned layers are one leaf."""
    leaves = trees.leaves(tree)
    wide = max(map(len, leaves))
    lines = [
        f"{path:<{wide}}  {str(leaf.shape):<22} {str(leaf.dtype):<9} {math.prod(leaf.shape):>13,}  "
        f"{leaf.sharding.spec}"
        for path, leaf in leaves.items()
    ]
    return "\n".join([*lines, footer] if footer else lines)


def bytes_per_device(tree: Tree) -> int:
    """Returns the bytes one device holds of a tree of sharded `ShapeDtypeStruct`s."""

    def one(leaf: jax.ShapeDtypeStruct) -> int:
        assert isinstance(leaf.sharding, NamedSharding)
        return math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize

    return sum(map(one, jax.tree.leaves(tree)))


def _memory(planned: plan.Plan) -> str:
    stats = planned.compile().memory_analysis()
    shapes = planned.shapes
    peak = stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes
    sizes = {
        "parameters": bytes_per_device(shapes.params),
        "optimiser": bytes_per_device(shapes.opt_state),
        "moving average": bytes_per_device(shapes.ema),
        "batch": bytes_per_device(planned.batch),
        "temporaries of the step": stats.temp_size_in_bytes,
        "the step in all": peak - stats.alias_size_in_bytes,
    }
    return "\n".join(f"{name:<24} {size / _MIB:>12,.2f} MiB" for name, size in sizes.items())


def _flops(task: tasks.Task) -> str:
    if not hasattr(task, "flops"):
        return "the task does not count its FLOPs"
    return f"{task.flops():.4g} FLOPs (analytic)"  # type: ignore
