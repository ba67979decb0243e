"""The released SMARTIES weight names, to and from our parameters; see `naming`.

The release has one entry per range, we stack them on axis 0. Its fixed position tables are
computed, never read. `fc_norm` and `head` belong to its downstream models.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from smarties.interchange import naming
from smarties.models import positions
from smarties.typing import Tree

Tensors = naming.Tensors

_FINAL_NORM = "encoder/transformer/norm"
_NAMES = naming.Names(
    software="SMARTIES",
    stacks=(
        (
            r"spectrum_projection\.spectrum_embeds\.(\d+)\.proj\.(weight|bias)",
            "encoder/projection",
        ),
        (r"decoder_preds\.(\d+)\.(weight|bias)", "heads"),
        *naming.blocks("blocks", "encoder/transformer"),
        *naming.blocks("decoder_blocks", "decoder/transformer"),
    ),
    singles=(
        ("cls_token", "encoder/cls_token"),
        *naming.norm("norm", _FINAL_NORM),
        *naming.linear("decoder_embed", "decoder/embed"),
        ("mask_token", "decoder/mask_token"),
        *naming.norm("decoder_norm", "decoder/transformer/norm"),
        *naming.norm("fc_norm", "fc_norm"),
        *naming.linear("head", "head"),
    ),
)
_PROBE = (  # a linear probe: batch normalisation before the head, as the release has it from MAE
    ("head.0.running_mean", "stats/mean"),
    ("head.0.running_var", "stats/variance"),
    *naming.linear("head.1", "head"),
)
_WITH_PROBE = dataclasses.replace(_NAMES, singles=(*_NAMES.singles, *_PROBE))
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
    known = {k: v for k, v in tensors.items() if not re.fullmatch(SKIPPED, k)}
    flat = _WITH_PROBE.read({k: v for k, v in known.items() if k not in POSITIONS}, arrays)
    # A model with global pooling has this norm instead of the final one.
    for leaf in ("scale", "bias"):
        if f"fc_norm/{leaf}" in flat:
            flat.setdefault(f"{_FINAL_NORM}/{leaf}", flat[f"fc_norm/{leaf}"])
    return naming.nested(flat)


def write(params: Tree, grid: int) -> Tensors:
    """Returns tensors in released names, with position tables of a `grid` x `grid` token grid.

    Those with a released name are float32.
    """
    named = renamed(params, grid).items()
    return {k: np.ascontiguousarray(v, v.dtype if "/" in k else np.float32) for k, v in named}


def renamed(params: Tree, grid: int) -> Tensors:
    """Returns what `write` does, as views of the parameters where they are arrays of NumPy."""
    flat = naming.flattened(params)
    if _same_norm(flat):
        flat = {k: v for k, v in flat.items() if not k.startswith(_FINAL_NORM)}
    tensors = (_WITH_PROBE if "stats/mean" in flat else _NAMES).write(flat)
    for key, token in POSITIONS.items():
        if token in tensors:
            table = positions.sincos_2d((grid, grid), tensors[token].shape[-1])
            tensors[key] = np.pad(table, ((1, 0), (0, 0)))[None]
    return tensors


def _same_norm(flat: Tensors) -> bool:
    """Returns whether the final norm only repeats `fc_norm`, which stands for it in the release."""
    pairs = [(f"fc_norm/{leaf}", f"{_FINAL_NORM}/{leaf}") for leaf in ("scale", "bias")]
    return all(a in flat and b in flat and np.array_equal(flat[a], flat[b]) for a, b in pairs)
