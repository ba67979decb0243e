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
# "fsdp", which splits the largest axis that divides; or mesh axes or None for each array axis.
# `tensor` splits the heads and hidden widths that only the two products around them see.
Rule = tuple[str, str | tuple]
RULES: tuple[Rule, ...] = (
    (r"(.*/)?blocks/attn/qkv/kernel", (None, ("fsdp", "tensor"), None)),
    (r"(.*/)?blocks/fc1/kernel", (None, "fsdp", "tensor")),
    (r"(.*/)?blocks/(attn/proj|fc2)/kernel", (None, "tensor", "fsdp")),
    (r"(?!(.*/)?blocks/(fc1|fc2|attn/proj|attn/qkv)/kernel$).*", "fsdp"),
)
_STACKED = re.compile(r"(.*/)?blocks/.*")  # nn.scan stacks layers on axis 0, which is never split


def spec(path: str, shape: tuple[int, ...], where: str | tuple, sizes: Mapping[str, int]) -> P:
    """Returns the spec of a parameter by the `where` of its rule, on a mesh of these sizes.

    An axis that a rule would split into unequal parts stays whole.
    """
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
    return P(*_fitting(shape, where, sizes))


def _fitting(shape: Sequence[int], axes: Sequence, sizes: Mapping[str, int]) -> list:
    """Returns the mesh axes for each array axis, None where they do not divide it."""
    parts = [math.prod(sizes[name] for name in _names(axis)) for axis in axes]
    return [None if size % n else axis for size, axis, n in zip(shape, axes, parts, strict=False)]


def _names(axis: str | tuple | None) -> tuple:
    return () if axis is None else (axis,) if isinstance(axis, str) else axis


def _sizes() -> Mapping[str, int] | None:
    """Returns the sizes of the mesh that is set; None without one, or with one that is not ours."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh.shape if set(AXES) <= set(mesh.axis_names) else None


def _constrain(x: jax.Array, axes: Sequence) -> jax.Array:
    return x if _sizes() is None else lax.with_sharding_constraint(x, P(*axes))


def shards(*axes: str) -> int:
    """Returns into how many parts the set mesh splits an array axis over `axes`."""
    sizes = _sizes()
    return 1 if sizes is None else math.prod(sizes[axis] for axis in axes)


def spread(x: jax.Array, *others: str | None) -> jax.Array:
    """Returns x [B, ...], examples split over the mesh; `others` are mesh axes of its other axes.

    An axis that does not divide stays whole.
    """
    sizes = _sizes()
    return x if sizes is None else _constrain(x, _fitting(x.shape, (EXAMPLES, *others), sizes))


def gather(params: Tree, *, block: bool = False, dtype: jnp.dtype = jnp.float32) -> Tree:
    """Returns parameters as they are used: whole, but for what `RULES` split over `tensor`.

    Args:
      params: a tree; stacked blocks in it stay as they lie.
      block: whether this is one block of a stack, whose paths and shapes the rules know stacked.
      dtype: in which kernels travel. Their gradients are summed in float32.
    """
    sizes = _sizes()
    if sizes is None or sizes["fsdp"] * sizes["tensor"] == 1:
        return params

    def one(keys: tuple, x: jax.Array) -> jax.Array:
        path = jax.tree_util.keystr(keys, simple=True, separator="/")
        shape = x.shape
        if block:
            path, shape = f"blocks/{path}", (1, *shape)
        where = next(where for pattern, where in RULES if re.fullmatch(pattern, path))
        lies = tuple(spec(path, shape, where, sizes))[int(block) :]
        stays = not block and _STACKED.fullmatch(path)
        used = lies if stays else tuple(axis if axis == "tensor" else None for axis in lies)
        travels = dtype if path.endswith("kernel") and not stays else x.dtype
        return _moved(x, lies, used, travels)

    return jax.tree_util.tree_map_with_path(one, params)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _moved(x: jax.Array, lies: tuple, used: tuple, dtype: jnp.dtype) -> jax.Array:
    """Returns x as it is used; its gradient is summed there and goes to where x lies."""
    return _constrain(x.astype(dtype), used)


_moved.defvjp(
    lambda x, lies, used, dtype: (_constrain(x.astype(dtype), used), None),
    lambda lies, used, dtype, _, gradient: (
        _constrain(_constrain(gradient.astype(jnp.float32), used), lies),
    ),
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
