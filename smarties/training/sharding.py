"""Where arrays lie: the mesh, the rules that place parameters, and batches onto devices.

Axes of the mesh: `data` splits the batch, `fsdp` splits the batch and the parameters, `tensor`
splits widths where a task's rules say so.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from smarties import errors
from smarties.training import trees
from smarties.typing import Tree

AXES = ("data", "fsdp", "tensor")
BATCH = P(("data", "fsdp"))  # axis 0 of every leaf of a batch

# A rule: (regular expression for the whole path, where such parameters go). Where: "replicated";
# "fsdp", which splits the largest axis that divides; or a mesh axis or None for each array axis.
Rule = tuple[str, str | tuple]
RULES: tuple[Rule, ...] = (
    (r"(.*/)?kernel", "fsdp"),
    (r"(?!(.*/)?kernel$).*", "replicated"),
)
_STACKED = re.compile(r"(.*/)?blocks/.*")  # nn.scan stacks layers on axis 0, which is never split


def make_mesh(config: Mapping[str, int], devices: Sequence[Any] | None = None) -> Mesh:
    """Returns the mesh (data, fsdp, tensor); -1 is what the others leave of the devices."""
    devices = jax.devices() if devices is None else devices
    sizes = [config[axis] for axis in AXES]
    named = dict(zip(AXES, sizes, strict=True))
    given = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or any(size < 1 and size != -1 for size in sizes):
        raise errors.UserError(f"mesh {named}: sizes are positive, and one may be -1 (the rest)")
    if len(devices) % given or (-1 not in sizes and given != len(devices)):
        raise errors.UserError(
            f"mesh {named} does not fit {len(devices)} devices: the "
            "product of the sizes must be the number of devices (-1 is the rest)"
        )
    sizes = [len(devices) // given if size == -1 else size for size in sizes]
    return jax.make_mesh(tuple(sizes), AXES, axis_types=(AxisType.Auto,) * 3, devices=devices)


def place(shapes: Tree, mesh: Mesh, rules: Sequence[Rule] = RULES) -> Tree:
    """Returns the `NamedSharding` of every parameter; each must match exactly one rule."""

    def one(keys, leaf):
        path = trees.path_of(keys)
        found = [where for pattern, where in rules if re.fullmatch(pattern, path)]
        if len(found) != 1:
            raise errors.UserError(
                f"parameter {path!r} matches {len(found)} sharding rules: it must match exactly one"
            )
        return NamedSharding(mesh, _spec(path, leaf.shape, found[0], mesh))

    return jax.tree_util.tree_map_with_path(one, shapes)


def _spec(path: str, shape: tuple[int, ...], where: str | tuple, mesh: Mesh) -> P:
    if where == "replicated":
        return P()
    if where == "fsdp":
        first = 1 if _STACKED.fullmatch(path) else 0
        divisible = [i for i in range(first, len(shape)) if shape[i] % mesh.shape["fsdp"] == 0]
        if mesh.shape["fsdp"] == 1 or not divisible:
            return P()
        largest = max(divisible, key=lambda i: shape[i])
        return P(*(None,) * largest, "fsdp")
    if isinstance(where, str):
        raise errors.unknown(f"sharding of {path!r}", where, ("fsdp", "replicated"))
    for size, axis in zip(shape, where, strict=True):
        parts = math.prod(mesh.shape[name] for name in _names(axis))
        if size % parts:
            raise errors.UserError(
                f"parameter {path!r} of shape {shape} cannot be split {where}: {size} is no "
                f"multiple of {parts} devices"
            )
    return P(*where)


def _names(axis: str | tuple | None) -> tuple:
    return () if axis is None else (axis,) if isinstance(axis, str) else axis


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
