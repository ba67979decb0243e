"""Norms of the parts of a parameter tree: layers of stacked blocks one by one."""

import re
from collections.abc import Iterable

import jax
import jax.numpy as jnp

from smarties.training import trees
from smarties.typing import Array, Tree

_STACK = re.compile(r"(?P<group>(.*/)?blocks)/.*")  # where nn.scan stacks layers on axis 0


def by_block(tree: Tree) -> dict[str, jax.Array]:
    """Returns Euclidean norms {group: [layers]}: of a stack of blocks, or of a module as [1].

    A module is named by the first two parts of its path.
    """
    squares: dict[str, jax.Array] = {}
    for path, leaf in trees.leaves(tree).items():
        stack = _STACK.fullmatch(path)
        group = stack["group"] if stack else "/".join(path.split("/")[:2])
        axes = tuple(range(1 if stack else 0, leaf.ndim))
        square = jnp.atleast_1d((leaf.astype(jnp.float32) ** 2).sum(axes))
        squares[group] = squares[group] + square if group in squares else square
    return {group: jnp.sqrt(square) for group, square in squares.items()}


def total(norms: dict[str, jax.Array]) -> jax.Array:
    """Returns the norm of everything."""
    return jnp.sqrt(jnp.stack([(norm**2).sum() for norm in norms.values()]).sum())


def named(norms: dict[str, Array]) -> Iterable[tuple[str, float]]:
    """Yields ("encoder/blocks/3", norm) of what `by_block` gave."""
    for group, values in norms.items():
        for layer, value in enumerate(values):
            yield (f"{group}/{layer}" if group.endswith("blocks") else group), float(value)
