"""The sizes of a model, told by the names and shapes of tensors in released names."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from smarties.errors import UserError
from smarties.interchange import agreement, released
from smarties.models import positions
from smarties.spectrum import registry

Tensors = Mapping[str, np.ndarray]

HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}  # of the encoder, by its width
DECODER_HEADS = 16

_PROJECTION = "spectrum_projection.spectrum_embeds.0.proj.weight"


def model(tensors: Tensors, heads: int | None, decoder_heads: int | None) -> dict[str, Any]:
    """Returns the `model` section of a configuration; without "decoder" where there is none.

    Args:
      tensors: in released names.
      heads, decoder_heads: which shapes do not tell; by default as published models of the same
        width have.

    Raises:
      UserError: tensors that tell a size are missing, or say what no model of the release has.
    """
    _need(tensors, "cls_token", "pos_embed", _PROJECTION)
    width = tensors["cls_token"].shape[-1]
    if heads is None and width not in HEADS:
        raise UserError(f"no published model has width {width}: give heads= (--heads)")
    patch, grid = (math.isqrt(n) for n in (tensors[_PROJECTION].shape[-1], _tokens(tensors)))
    _check_positions(tensors, grid)
    _check_ranges(tensors)
    encoder = dict(width=width, depth=_depth("blocks", tensors), heads=heads or HEADS[width])
    sizes: dict[str, Any] = dict(image_size=grid * patch, patch=patch, encoder=encoder)
    if any(key.startswith("decoder_") for key in tensors):
        _need(tensors, "mask_token")
        sizes["decoder"] = dict(
            width=tensors["mask_token"].shape[-1],
            depth=_depth("decoder_blocks", tensors),
            heads=decoder_heads or DECODER_HEADS,
        )
    return sizes


def depth(half: Mapping[str, Any]) -> str:
    """Returns what there is to say of the blocks of an encoder or decoder of a `model` section."""
    if "depth" in half:
        return f"depth {half['depth']}"
    return f"{half['specific']} blocks for each sensor and {half['shared']} for all"


def _need(tensors: Tensors, *names: str) -> None:
    missing = [name for name in names if name not in tensors]
    if missing:
        raise UserError(
            f"no whole SMARTIES model: {agreement.listed(missing)} missing, which tell its sizes"
        )


def _tokens(tensors: Tensors) -> int:
    return tensors["pos_embed"].shape[1] - 1


def _depth(stack: str, tensors: Tensors) -> int:
    return 1 + max(_numbers(rf"{stack}\.(\d+)\..*", tensors), default=-1)


def _numbers(pattern: str, tensors: Tensors) -> set[int]:
    found = (re.fullmatch(pattern, key) for key in tensors)
    return {int(match[1]) for match in found if match}


def _check_ranges(tensors: Tensors) -> None:
    spectrum = registry.spectrum()
    count = len(_numbers(r"spectrum_projection\.spectrum_embeds\.(\d+)\.proj\.weight", tensors))
    if count > len(spectrum):
        raise UserError(
            f"{count} spectral projections, but {spectrum.name} has {len(spectrum)} ranges"
        )


def _check_positions(tensors: Tensors, grid: int) -> None:
    """The tables are computed and never read, so a file with others must not pass."""
    for key in released.POSITIONS:
        if key in tensors:
            table = tensors[key][0]
            want = np.pad(positions.sincos_2d((grid, grid), table.shape[-1]), ((1, 0), (0, 0)))
            if table.shape != want.shape or not np.allclose(table, want, atol=1e-3):
                raise UserError(
                    f"{key} is not the sin-cos table of a square grid: no released SMARTIES model"
                )
