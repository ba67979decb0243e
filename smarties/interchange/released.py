"""The released SMARTIES weight names, to and from our parameters.

Linear weights are [out, in] there and [in, out] here; the release has one entry per block and per
range, we stack them on axis 0. The fixed position tables of the release are computed, never read.
`fc_norm` and `head` belong to its downstream models. What the release has no name for (other heads,
running statistics) keeps our path as its name, "head/block/kernel", unchanged.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from smarties.errors import UserError
from smarties.models import positions
from smarties.typing import Tree

Tensors = dict[str, np.ndarray]

_LEAF = {"weight": "kernel", "bias": "bias"}
_STACKS = (
    (r"spectrum_projection\.spectrum_embeds\.(\d+)\.proj\.(weight|bias)", "encoder/projection"),
    (r"decoder_preds\.(\d+)\.(weight|bias)", "heads"),
)
_BLOCKS = (("blocks", "encoder"), ("decoder_blocks", "decoder"))
_LAYERS = (
    ("attn.qkv", "attn/qkv"),
    ("attn.proj", "attn/proj"),
    ("mlp.fc1", "fc1"),
    ("mlp.fc2", "fc2"),
    ("norm1", "norm1"),
    ("norm2", "norm2"),
)
_SINGLES = (
    ("cls_token", "encoder/cls_token"),
    ("norm.weight", "encoder/transformer/norm/scale"),
    ("norm.bias", "encoder/transformer/norm/bias"),
    ("decoder_embed.weight", "decoder/embed/kernel"),
    ("decoder_embed.bias", "decoder/embed/bias"),
    ("mask_token", "decoder/mask_token"),
    ("decoder_norm.weight", "decoder/transformer/norm/scale"),
    ("decoder_norm.bias", "decoder/transformer/norm/bias"),
    ("fc_norm.weight", "fc_norm/scale"),
    ("fc_norm.bias", "fc_norm/bias"),
    ("head.weight", "head/kernel"),
    ("head.bias", "head/bias"),
)
_PROBE = (  # a linear probe: batch normalisation before the head, as the release has it from MAE
    ("head.0.running_mean", "stats/mean"),
    ("head.0.running_var", "stats/variance"),
    ("head.1.weight", "head/kernel"),
    ("head.1.bias", "head/bias"),
)
_FINAL_NORM = "encoder/transformer/norm"
POSITIONS = {"pos_embed": "cls_token", "decoder_pos_embed": "mask_token"}  # table: its token
# Tensors that say nothing new: aggregated ranges repeat their parts, and PyTorch counts batches.
SKIPPED = (
    r"spectrum_projection\.spectrum_embeds\.\d+\.spectrum_projections\.\d+\.proj\.(weight|bias)"
    r"|head\.0\.num_batches_tracked"
)


def read(tensors: Mapping[str, Any], arrays: Any = np) -> Tree:
    """Returns parameters from tensors in released names.

    Those that say nothing new are skipped. `arrays` is the module of the tensors,
    NumPy or that of JAX.

    Raises:
      UserError: keys that belong to no SMARTIES model, or numbers missing in between.
    """
    unread = {k for k in tensors if not re.fullmatch(SKIPPED, k)} - set(POSITIONS)
    flat = {key: tensors[key] for key in unread if "/" in key}
    unread -= flat.keys()
    for pattern, path in (*_STACKS, *_block_patterns()):
        found = _matches(pattern, unread)
        for leaf in {leaf for _, leaf in found}:
            keys = [found.get((i, leaf)) for i in range(1 + max(i for i, _ in found))]
            if None in keys:
                raise UserError(f"weights: {pattern!r} lacks number {keys.index(None)}")
            flat[f"{path}/{_leaf(path, leaf)}"] = arrays.stack(
                [_turn(tensors[k]) for k in keys if k]
            )
            unread -= set(keys)
    for key, path in (*_SINGLES, *_PROBE):
        if key in unread:
            flat[path] = tensors[key] if "token" in key else _turn(tensors[key])
            unread.remove(key)
    if unread:
        raise UserError(
            f"weights: {sorted(unread)[0]!r} is no name of a SMARTIES model"
            f" ({len(unread)} such keys)"
        )
    # A model with global pooling has this norm instead of the final one.
    for leaf in ("scale", "bias"):
        if f"fc_norm/{leaf}" in flat:
            flat.setdefault(f"{_FINAL_NORM}/{leaf}", flat[f"fc_norm/{leaf}"])
    return _nest(flat)


def write(params: Tree, grid: int) -> Tensors:
    """Returns tensors in released names, with position tables of a `grid` x `grid` token grid.

    Those with a released name are float32.
    """
    named = renamed(params, grid).items()
    return {k: np.ascontiguousarray(v, v.dtype if "/" in k else np.float32) for k, v in named}


def renamed(params: Tree, grid: int) -> Tensors:
    """Returns what `write` does, as views of the parameters where they are arrays of NumPy."""
    flat, tensors = _flatten(params), {}
    if _same_norm(flat):
        flat = {k: v for k, v in flat.items() if not k.startswith(_FINAL_NORM)}
    probe = _PROBE if "stats/mean" in flat else ()
    single = {path: key for key, path in (*_SINGLES, *probe)}
    stacks = {path: pattern for pattern, path in (*_STACKS, *_block_patterns())}
    for path, value in flat.items():
        parent, _, leaf = path.rpartition("/")
        if path in single:
            tensors[single[path]] = value if "token" in path else _turn(value)
        elif parent in stacks and leaf in ("kernel", "scale", "bias"):
            name = "bias" if leaf == "bias" else "weight"
            for i, part in enumerate(value):
                key = stacks[parent].replace(r"(\d+)", str(i)).replace("(weight|bias)", name)
                tensors[key.replace("\\", "")] = _turn(part)
        else:
            tensors[path] = value
    for key, token in POSITIONS.items():
        if token in tensors:
            table = positions.sincos_2d((grid, grid), tensors[token].shape[-1])
            tensors[key] = np.pad(table, ((1, 0), (0, 0)))[None]
    return tensors


def _same_norm(flat: Tensors) -> bool:
    """Returns whether the final norm only repeats `fc_norm`, which stands for it in the release."""
    pairs = [(f"fc_norm/{leaf}", f"{_FINAL_NORM}/{leaf}") for leaf in ("scale", "bias")]
    return all(a in flat and b in flat and np.array_equal(flat[a], flat[b]) for a, b in pairs)


def _block_patterns() -> list[tuple[str, str]]:
    return [
        (rf"{ours}\.(\d+)\.{re.escape(theirs)}\.(weight|bias)", f"{half}/transformer/blocks/{path}")
        for ours, half in _BLOCKS
        for theirs, path in _LAYERS
    ]


def _matches(pattern: str, keys) -> dict[tuple[int, str], str]:
    found = {key: re.fullmatch(pattern, key) for key in keys}
    return {(int(m[1]), m[2]): key for key, m in found.items() if m}


def _leaf(path: str, leaf: str) -> str:
    return "scale" if "norm" in path and leaf == "weight" else _LEAF[leaf]


def _turn(tensor: np.ndarray) -> np.ndarray:
    return tensor.T if tensor.ndim == 2 else tensor


def _nest(flat: Mapping[str, np.ndarray]) -> Tree:
    tree: Tree = {}
    for path, value in flat.items():
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def _flatten(tree: Tree, prefix: str = "") -> Tensors:
    flat = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        flat |= (
            _flatten(value, f"{path}/") if isinstance(value, Mapping) else {path: np.asarray(value)}
        )
    return flat
