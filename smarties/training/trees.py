"""Paths into nested dicts of arrays."""

from typing import Any

import jax

from smarties.typing import Tree


def path_of(keys: tuple) -> str:
    """Returns "a/b/c" of a JAX key path."""
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def leaves(tree: Tree) -> dict[str, Any]:
    """Returns {"a/b/c": leaf} of a pytree."""
    return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}
