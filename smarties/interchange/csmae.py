"""The released CSMAE weight names (`backbone.*`, `decoder*.*`), to and from our parameters.

A model of two sensors has these names, sensor one those of S1 there. With more sensors, or the
spectrum projection, what has no name there keeps its own, see `naming`. Keys tell the depths, which
the variant names of the authors' configurations do not. The fixed position tables are computed,
never read.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from smarties.errors import UserError
from smarties.interchange import naming
from smarties.models import build, positions
from smarties.models import csmae as models
from smarties.spectrum import registry
from smarties.tasks import csmae_inputs
from smarties.typing import Tree

Tensors = naming.Tensors
KIND = build.CSMAE
HEADS = {192: 3, 384: 6, 768: 12, 1024: 16}  # of the encoder, by its width
DECODER_HEADS = 16

_INPUTS: csmae_inputs.Inputs = "bigearthnet-v1"
_SUFFIX = ("", "_s2")
_OTHER = ("s2_to_s1", "s1_to_s2")  # what the decoder and output of sensor one, and two, are called
_TABLE = re.compile(r"(backbone|decoder\w*)\.(decoder_)?pos_embed")


def is_one(tensors: Mapping[str, Any]) -> bool:
    """Returns whether tensors are called as CSMAE's."""
    return "backbone.cls_token" in tensors


def is_table(name: str) -> bool:
    """Returns whether this is a fixed position table."""
    return _TABLE.fullmatch(name) is not None


def read(tensors: Mapping[str, Any], config: Mapping[str, Any], arrays: Any = np) -> Tree:
    """Returns parameters from tensors in released names; `arrays` as of `naming.Names.read`.

    Raises:
      UserError: keys that belong to no CSMAE model, or numbers missing in between.
    """
    sensors, pixels = tuple(config["stacks"]), config["model"]["patch"] ** 2
    named = {k: v for k, v in tensors.items() if not is_table(k)}
    flat = _names(sensors, config).read(named, arrays)
    for path in flat:
        if _is_patches(path):
            flat[path] = flat[path].reshape(len(flat[path]), -1).T
        elif path.startswith("heads/to_"):
            flat[path] = _channels(flat[path], pixels, last=True)
    return naming.nested(flat)


def renamed(params: Tree, config: Mapping[str, Any]) -> Tensors:
    """Returns tensors in released names, with position tables; views where that is possible."""
    stacks, model = config["stacks"], config["model"]
    sensors, side = tuple(stacks), model["patch"]
    flat = naming.flattened(params)
    if len(sensors) == 2:
        for path, value in flat.items():
            if _is_patches(path):
                flat[path] = value.T.reshape(value.shape[1], -1, side, side)
            elif path.startswith("heads/to_"):
                flat[path] = _channels(value, side * side, last=False)
    tensors = _names(sensors, config).write(flat)
    grid = model["image_size"] // side
    for name in [n for n in tensors if n == "backbone.cls_token" or n.endswith(".mask_token")]:
        half = name.rpartition(".")[0]
        table = positions.sincos_2d((grid, grid), tensors[name].shape[-1])
        key = f"{half}.pos_embed" if half == "backbone" else f"{half}.decoder_pos_embed"
        tensors[key] = np.pad(table, ((1, 0), (0, 0)))[None]
    return tensors


def described(
    tensors: Mapping[str, np.ndarray], name: str, heads: int | None, decoder_heads: int | None
) -> dict[str, Any]:
    """Returns the metadata that names and shapes of a released model tell; sensors are known.

    Args:
      tensors: in released names.
      name: of the model.
      heads, decoder_heads: which shapes do not tell; by default as published models of the same
        width have.

    Raises:
      UserError: a width that no published model has, or other bands than the release's.
    """
    needed = [f"backbone.patch_embed{s}.proj.weight" for s in _SUFFIX] + ["backbone.pos_embed"]
    missing = [key for key in needed if key not in tensors]
    if missing:
        raise UserError(f"no whole CSMAE model: {', '.join(missing)} missing, which tell its sizes")
    width, _, patch, _ = tensors[needed[0]].shape
    counts = tuple(tensors[key].shape[1] for key in needed[:2])
    if counts != tuple(map(len, csmae_inputs.BANDS.values())):
        raise UserError(f"embeddings of {counts} bands: the release has 2 of S1 and 10 of S2")
    if heads is None and width not in HEADS:
        raise UserError(f"no published model has width {width}: give heads= (--heads)")
    grid = math.isqrt(tensors["backbone.pos_embed"].shape[1] - 1)
    model: dict[str, Any] = dict(
        image_size=grid * patch,
        patch=patch,
        encoder=dict(
            width=width,
            heads=heads or HEADS[width],
            specific=_depth("backbone.blocks_s1", tensors),
            shared=_depth("backbone.blocks", tensors),
        ),
        pooling="avg" if "backbone.fc_norm.weight" in tensors else "token",
        embedding="linear",
    )
    for decoding, half in (("common", "decoder"), ("specific", f"decoder_{_OTHER[0]}")):
        if f"{half}.mask_token" in tensors:
            model["decoding"] = decoding
            model["decoder"] = dict(
                width=tensors[f"{half}.mask_token"].shape[-1],
                depth=_depth(f"{half}.decoder_blocks", tensors),
                heads=decoder_heads or DECODER_HEADS,
            )
    known = [csmae_inputs.sensor(_INPUTS, registry.sensor(n)) for n in csmae_inputs.BANDS]
    return dict(
        kind=KIND,
        name=name,
        model=model,
        stacks={key: list(bands) for key, bands in csmae_inputs.BANDS.items()},
        sensors={s.name: registry.sensor_to_dict(s) for s in known},
    )


def _names(sensors: tuple[str, ...], config: Mapping[str, Any]) -> naming.Names:
    apart = config["model"].get("decoding") == "specific"
    stacks = [*naming.blocks("backbone.blocks", "encoder/common")]
    singles = [
        *naming.norm("backbone.norm", "encoder/common/norm"),
        *naming.norm("backbone.fc_norm", "encoder/fc_norm"),
    ]
    halves = [("decoder", f"decoder/of_{models.COMMON}")]
    for i, sensor in enumerate(sensors if len(sensors) == 2 else ()):
        own = f"encoder/stack_{sensor}"
        stacks += naming.blocks(f"backbone.blocks_s{i + 1}", f"{own}/transformer")
        singles += [
            (f"backbone.cls_token{_SUFFIX[i]}", f"{own}/cls_token"),
            *naming.linear(f"backbone.patch_embed{_SUFFIX[i]}.proj", f"{own}/embed"),
            *naming.norm(f"backbone.norm_s{i + 1}", f"{own}/transformer/norm"),
        ]
        halves.append((f"decoder_{_OTHER[i]}", f"decoder/of_{sensor}"))
        output = f"_{_OTHER[i]}.decoder_pred" if apart else f".decoder_pred_{_OTHER[i]}"
        singles += naming.linear(f"decoder{output}", f"heads/to_{sensor}")
    for theirs, ours in halves:
        stacks += naming.blocks(f"{theirs}.decoder_blocks", f"{ours}/transformer")
        singles += [
            (f"{theirs}.mask_token", f"{ours}/mask_token"),
            *naming.linear(f"{theirs}.decoder_embed", f"{ours}/embed"),
            *naming.norm(f"{theirs}.decoder_norm", f"{ours}/transformer/norm"),
        ]
    return naming.Names(software="CSMAE", stacks=tuple(stacks), singles=tuple(singles))


def _is_patches(path: str) -> bool:
    return re.fullmatch(r"encoder/stack_[^/]*/embed/kernel", path) is not None


def _channels(value: np.ndarray, pixels: int, last: bool) -> np.ndarray:
    """Returns outputs [..., P*P, C] as [..., C, P*P] where channels are `last`, or the reverse."""
    shape = (pixels, -1) if last else (-1, pixels)
    return value.reshape(*value.shape[:-1], *shape).swapaxes(-1, -2).reshape(value.shape)


def _depth(stack: str, tensors: Mapping[str, Any]) -> int:
    found = (re.match(rf"{re.escape(stack)}\.(\d+)\.", key) for key in tensors)
    return 1 + max((int(m[1]) for m in found if m), default=-1)
