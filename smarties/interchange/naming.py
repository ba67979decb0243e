"""Tensors in the names of other software, to and from our nested parameters.

Linear weights are [out, in] there and [in, out] here; there is one entry per block there, we stack
blocks on axis 0. What has no name there keeps our path as its name, "head/block/kernel", unchanged.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from smarties.errors import UserError
from smarties.typing import Tree

Tensors = dict[str, np.ndarray]

_LEAF = {"weight": "kernel", "bias": "bias"}
_LAYERS = (
    ("attn.qkv", "attn/qkv"),
    ("attn.proj", "attn/proj"),
    ("mlp.fc1", "fc1"),
    ("mlp.fc2", "fc2"),
    ("norm1", "norm1"),
    ("norm2", "norm2"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """The names of one kind of model.

    Attributes:
      software: whose, for errors.
      stacks: (pattern of their names with a number and a leaf, our path of the stacked layer).
      singles: (their name, our path of the parameter).
    """

    software: str
    stacks: tuple[tuple[str, str], ...]
    singles: tuple[tuple[str, str], ...]

    def read(self, tensors: Mapping[str, Any], arrays: Any = np) -> dict[str, Any]:
        """Returns {our path: array}; `arrays` is the module of the tensors, NumPy or that of JAX.

        Raises:
          UserError: keys that belong to no such model, or numbers missing in between.
        """
        unread = set(tensors)
        flat = {key: tensors[key] for key in unread if "/" in key}
        unread -= flat.keys()
        for pattern, path in self.stacks:
            found = _matches(pattern, unread)
            for leaf in {leaf for _, leaf in found}:
                keys = [found.get((i, leaf)) for i in range(1 + max(i for i, _ in found))]
                if None in keys:
                    raise UserError(f"weights: {pattern!r} lacks number {keys.index(None)}")
                flat[f"{path}/{_leaf(path, leaf)}"] = arrays.stack(
                    [turned(tensors[k]) for k in keys if k]
                )
                unread -= set(keys)
        for key, path in self.singles:
            if key in unread:
                flat[path] = tensors[key] if "token" in key else turned(tensors[key])
                unread.remove(key)
        if unread:
            raise UserError(
                f"weights: {sorted(unread)[0]!r} is no name of a {self.software} model"
                f" ({len(unread)} such keys)"
            )
        return flat

    def write(self, flat: Tensors) -> Tensors:
        """Returns the tensors by their names, as views where they are arrays of NumPy."""
        tensors: Tensors = {}
        single = {path: key for key, path in self.singles}
        stacks = {path: pattern for pattern, path in self.stacks}
        for path, value in flat.items():
            parent, _, leaf = path.rpartition("/")
            if path in single:
                tensors[single[path]] = value if "token" in path else turned(value)
            elif parent in stacks and leaf in ("kernel", "scale", "bias"):
                name = "bias" if leaf == "bias" else "weight"
                for i, part in enumerate(value):
                    key = stacks[parent].replace(r"(\d+)", str(i)).replace("(weight|bias)", name)
                    tensors[key.replace("\\", "")] = turned(part)
            else:
                tensors[path] = value
        return tensors


def blocks(theirs: str, ours: str) -> tuple[tuple[str, str], ...]:
    """Returns the `stacks` of the blocks called `theirs` there, below our path `ours`."""
    return tuple(
        (rf"{re.escape(theirs)}\.(\d+)\.{re.escape(layer)}\.(weight|bias)", f"{ours}/blocks/{path}")
        for layer, path in _LAYERS
    )


def linear(theirs: str, ours: str) -> tuple[tuple[str, str], ...]:
    """Returns the `singles` of a linear layer."""
    return (f"{theirs}.weight", f"{ours}/kernel"), (f"{theirs}.bias", f"{ours}/bias")


def norm(theirs: str, ours: str) -> tuple[tuple[str, str], ...]:
    """Returns the `singles` of a LayerNorm."""
    return (f"{theirs}.weight", f"{ours}/scale"), (f"{theirs}.bias", f"{ours}/bias")


def turned(tensor: Any) -> Any:
    """Returns a weight [out, in] as [in, out], or the reverse; others as they are."""
    return tensor.T if tensor.ndim == 2 else tensor


def nested(flat: Mapping[str, Any]) -> Tree:
    """Returns the tree of {"a/b/c": value}."""
    tree: Tree = {}
    for path, value in flat.items():
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def flattened(tree: Tree, prefix: str = "") -> Tensors:
    """Returns {"a/b/c": array} of a tree."""
    flat = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        flat |= (
            flattened(value, f"{path}/")
            if isinstance(value, Mapping)
            else {path: np.asarray(value)}
        )
    return flat


def _matches(pattern: str, keys) -> dict[tuple[int, str], str]:
    found = {key: re.fullmatch(pattern, key) for key in keys}
    return {(int(m[1]), m[2]): key for key, m in found.items() if m}


def _leaf(path: str, leaf: str) -> str:
    return "scale" if "norm" in path and leaf == "weight" else _LEAF[leaf]
