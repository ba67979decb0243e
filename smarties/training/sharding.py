"""The mesh, parameters placed on it by rules (see `models.layout`), and batches onto devices."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from smarties import errors
from smarties.models import layout
from smarties.training import trees
from smarties.typing import Tree

BATCH = P(layout.EXAMPLES)  # axis 0 of every leaf of a batch


def make_mesh(config: Mapping[str, int], devices: Sequence[Any] | None = None) -> Mesh:
    """Returns the mesh (data, fsdp, tensor); -1 is what the others leave of the devices."""
    devices = jax.devices() if devices is None else devices
    sizes = [config[axis] for axis in layout.AXES]
    named = dict(zip(layout.AXES, sizes, strict=True))
    given = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise errors.UserError(f"mesh {named}: sizes are positive, and one may be -1 (the rest)")
    if len(devices) % given or (-1 not in sizes and given != len(devices)):
        raise errors.UserError(
            f"mesh {named} does not fit {len(devices)} devices: the "
            "product of the sizes must be the number of devices (-1 is the rest)"
        )
    sizes = [len(devices) // given if size == -1 else size for size in sizes]
    return jax.make_mesh(
        tuple(sizes), layout.AXES, axis_types=(AxisType.Auto,) * 3, devices=devices
    )


def place(shapes: Tree, mesh: Mesh, rules: Sequence[layout.Rule] = layout.RULES) -> Tree:
    """Returns the `NamedSharding` of every parameter; each must match exactly one rule."""

    def one(keys, leaf):
        path = trees.path_of(keys)
        found = [where for pattern, where in rules if re.fullmatch(pattern, path)]
        if len(found) != 1:
            raise errors.UserError(
                f"parameter {path!r} matches {len(found)} sharding rules: it must match exactly one"
            )
        return NamedSharding(mesh, layout.spec(path, leaf.shape, found[0], mesh.shape))

    return jax.tree_util.tree_map_with_path(one, shapes)


def check_batch(spec: Tree, mesh: Mesh, accumulate: int) -> None:
    """Raises `UserError` unless axis 0 of every leaf splits over devices and micro-batches."""
    devices = mesh.shape["data"] * mesh.shape["fsdp"]
    for keys, leaf in jax.tree_util.tree_leaves_with_path(spec):
        if not leaf.shape or leaf.shape[0] % (devices * accumulate):
            raise errors.UserError(
                f"batch leaf {trees.path_of(keys)!r} has shape {leaf.shape}: its first axis must "
                f"be a multiple of {devices} devices (mesh data x fsdp) x {accumulate} "
                "micro-batches (optimizer.accumulate)"
            )


def put(batch: Tree, spec: Tree, sharding: NamedSharding) -> Tree:
    """Returns the global batch on the devices, from this process's share of it.

    Only what `spec` names goes there; a leaf that differs from it is a `UserError`.
    """

    def one(keys, want):
        path, value = trees.path_of(keys), batch
        for key in keys:
            if key.key not in value:
                raise errors.unknown(f"batch leaf (of {path!r})", key.key, map(str, value))
            value = value[key.key]
        local = (want.shape[0] // jax.process_count(), *want.shape[1:])
        if value.shape != local or value.dtype != want.dtype:
            raise errors.UserError(
                f"batch leaf {path!r} is {value.dtype} {value.shape}: batch_spec says "
                f"{want.dtype} {local}"
            )
        return jax.make_array_from_process_local_data(sharding, value, want.shape)

    return jax.tree_util.tree_map_with_path(one, spec)
