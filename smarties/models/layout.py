"""How arrays lie on the mesh that is set; where none is, nothing here does anything.

Axes: `data` splits the batch, `fsdp` the batch and the parameters, `tensor` the widths of blocks.
Left to itself, XLA may split activations the way parameters lie, and exchange those. Here it is
told that examples stay where they are and that parameters come to them, a block at a time; their
gradients go back to where they lie.
"""

import functools
import math
import re
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec as P

from smarties import errors
from smarties.typing import Tree

AXES = ("data", "fsdp", "tensor")
EXAMPLES = ("data", "fsdp")

# A rule: (regular expression for the whole path, where such parameters lie). Where: "replicated";
# "fsdp", which splits the largest axis that divides; or a mesh axis or None for each array axis.
# `tensor` splits the heads and hidden widths that only the two products around them see.
Rule = tuple[str, str | tuple]
RULES: tuple[Rule, ...] = (
    (r"(.*/)?blocks/fc1/kernel", (None, "fsdp", "tensor")),
    (r"(.*/)?blocks/(attn/proj|fc2)/kernel", (None, "tensor", "fsdp")),
    (r"(?!(.*/)?blocks/(fc1|attn/proj|fc2)/kernel$).*", "fsdp"),
)
_STACKED = re.compile(r"(.*/)?blocks/.*")  # nn.scan stacks layers on axis 0, which is never split


def spec(path: str, shape: tuple[int, ...], where: str | tuple, sizes: Mapping[str, int]) -> P:
    """Returns the spec of a parameter by the `where` of its rule, on a mesh of these sizes."""
    if where == "replicated":
        return P()
    if where == "fsdp":
        first = 1 if _STACKED.fullmatch(path) else 0
        divisible = [i for i in range(first, len(shape)) if shape[i] % sizes["fsdp"] == 0]
        if sizes["fsdp"] == 1 or not divisible:
            return P()
        largest = max(divisible, key=lambda i: shape[i])
        return P(*(None,) * largest, "fsdp")
    if isinstance(where, str):
        raise errors.unknown(f"sharding of {path!r}", where, ("fsdp", "replicated"))
    for size, axis in zip(shape, where, strict=True):
        parts = math.prod(sizes[name] for name in _names(axis))
        if size % parts:
            raise errors.UserError(
                f"parameter {path!r} of shape {shape} cannot be split {where}: {size} is no "
                f"multiple of {parts} devices"
            )
    return P(*where)


def _names(axis: str | tuple | None) -> tuple:
    return () if axis is None else (axis,) if isinstance(axis, str) else axis


def shards(*axes: str) -> int:
    """Returns into how many parts the set mesh splits an array axis over `axes`."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if mesh.empty else math.prod(mesh.shape[axis] for axis in axes)


def constrain(x: jax.Array, *spec: str | tuple[str, ...] | None) -> jax.Array:
    """Returns x, which lies as `spec` says: mesh axes for each array axis."""
    whole = jax.sharding.get_abstract_mesh().empty
    return x if whole else lax.with_sharding_constraint(x, P(*spec))


def spread(x: jax.Array, *others: str | None) -> jax.Array:
    """Returns x [B, ...], examples split over the mesh; `others` are mesh axes of its other axes.

    An axis that does not divide stays whole.
    """
    asked = (EXAMPLES, *others)
    divides = [
        size % shards(*_names(axis)) == 0 for size, axis in zip(x.shape, asked, strict=False)
    ]
    return constrain(
        x, *(axis if fits else None for axis, fits in zip(asked, divides, strict=True))
    )


def gather(
    params: Tree,
    rules: Sequence[Rule] = RULES,
    *,
    block: bool = False,
    dtype: jnp.dtype | None = None,
) -> Tree:
    """Returns parameters as they are used: whole, but for what rules split over `tensor`.

    Args:
      params: a tree; stacked blocks in it stay as they lie.
      rules: of where they lie.
      block: whether this is one block of a stack, whose paths and shapes the rules know stacked.
      dtype: in which kernels travel.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.shape["fsdp"] * mesh.shape["tensor"] == 1:
        return params

    def one(keys: tuple, x: jax.Array) -> jax.Array:
        path = jax.tree_util.keystr(keys, simple=True, separator="/")
        shape = x.shape
        if block:
            path, shape = f"blocks/{path}", (1, *shape)
        where = next(where for pattern, where in rules if re.fullmatch(pattern, path))
        lies = tuple(spec(path, shape, where, mesh.shape))[int(block) :]
        if not block and _STACKED.fullmatch(path):
            return _moved(x, lies, lies)
        if dtype is not None and path.endswith("kernel"):
            x = x.astype(dtype)
        used = tuple(axis if axis == "tensor" else None for axis in lies)
        return _moved(x, lies, used)

    return jax.tree_util.tree_map_with_path(one, params)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _moved(x: jax.Array, lies: tuple, used: tuple) -> jax.Array:
    """Returns x as it is used; its gradient is summed there and goes to where x lies."""
    return constrain(x, *used)


_moved.defvjp(
    lambda x, lies, used: (constrain(x, *used), None),
    lambda lies, used, _, gradient: (constrain(constrain(gradient, *used), *lies),),
)


def join(parts: Sequence[jax.Array]) -> jax.Array:
    """Returns the examples of all parts [b, ...] in one array, in an order that moves none."""
    dealt = [_dealt(x, _common(parts)) for x in parts]
    return spread(jnp.concatenate(dealt, 1).reshape(-1, *parts[0].shape[1:]))


def part(x: jax.Array, like: Sequence[jax.Array]) -> list[jax.Array]:
    """Returns what `join` has joined: arrays with as many examples as each of `like`."""
    n = _common(like)
    ends = [sum(map(len, like[:i])) // n for i in range(1, len(like))]
    parts = jnp.split(_dealt(x, n), ends, 1)
    return [spread(y.reshape(-1, *x.shape[1:])) for y in parts]


def _common(parts: Sequence[jax.Array]) -> int:
    n = shards(*EXAMPLES)
    return n if all(len(x) % n == 0 for x in parts) else 1


def _dealt(x: jax.Array, n: int) -> jax.Array:
    return x.reshape(n, -1, *x.shape[1:])
