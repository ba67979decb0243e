"""Weights as safetensors: tensors in released names, and in the metadata one JSON of what they are.

A file without our metadata, as of other software, tells its sizes by its shapes.
"""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
from safetensors import numpy as files

from smarties.errors import UserError
from smarties.interchange import released
from smarties.models import build, mixup, positions
from smarties.spectrum import mixing, registry
from smarties.typing import Tree

FORMAT = 1
HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}  # of the encoder, by its width
DECODER_HEADS = 16
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")

_KEY = "smarties"
_NEEDED = ("format", "name", "step", "rule", "spectrum", "model", "sensors")
_DOWNSTREAM = ("fc_norm/", "head/")  # parameters that the auto-encoder has not
_NO_DECODER = {"width": 4, "depth": 1, "heads": 1}  # stands in where only the encoder was kept


def config_of(
    *,
    name: str,
    model: Mapping[str, Any],
    rule: mixing.Rule,
    spectrum: str = "smarties-v1",
    sensors: Mapping[str, Any] | None = None,
    step: int | None = None,
) -> dict[str, Any]:
    """Returns the metadata of a model, JSON-able.

    Args:
      model: the section of a configuration; without "decoder" where only the encoder was kept.
      rule, spectrum: of the mixing matrices.
      sensors: trained on, in full, by name.
    """
    return dict(
        format=FORMAT, name=name, step=step, rule=rule, spectrum=spectrum,
        model=dict(model), sensors=dict(sensors or {}),
    )  # fmt: skip


def autoencoder(config: Mapping[str, Any]):
    """Returns the `AutoEncoder` of metadata; without a decoder there, one that means nothing."""
    ranges = len(registry.spectrum(config["spectrum"]))
    return build.autoencoder_from(ranges=ranges, **{"decoder": _NO_DECODER, **config["model"]})


def shapes(config: Mapping[str, Any]) -> Tree:
    """Returns the parameters of a model as `ShapeDtypeStruct`s."""
    whole = autoencoder(config)
    row = np.eye(whole.encoder.ranges, dtype=np.float32)[:1]
    patches = jnp.zeros((1, 4, 1, whole.pixels))

    def init(key):
        drawn = mixup.draw(key, 1, 4, 0.5, 0.5)
        return whole.init(key, ((patches, patches),), ((row, row),), (drawn,))["params"]

    tree = jax.eval_shape(init, jax.random.key(0))
    return tree if "decoder" in config["model"] else {"encoder": tree["encoder"]}


def encoder_only(params: Tree, config: Mapping[str, Any]) -> tuple[Tree, dict[str, Any]]:
    """Returns parameters and metadata without decoder and reconstruction heads."""
    model = {key: value for key, value in config["model"].items() if key != "decoder"}
    return {"encoder": params["encoder"]}, {**config, "model": model}


def write(path: str | Path, params: Tree, config: Mapping[str, Any]) -> None:
    """Writes a file whole or not at all; raises `UserError` where it cannot be written."""
    path = Path(path)
    model = config["model"]
    tensors = released.write(jax.device_get(params), model["image_size"] // model["patch"])
    part = path.with_name(f"{path.name}.part")
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a directory")
        files.save_file(tensors, part, metadata={_KEY: json.dumps(config)})
        os.replace(part, path)
    except (OSError, safetensors.SafetensorError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written ({error}): give another file") from error


def read(
    path: str | Path, heads: int | None = None, decoder_heads: int | None = None
) -> tuple[Tree, dict[str, Any]]:
    """Returns (parameters, metadata) of a file of ours, or of one in released names.

    Args:
      path: of the file.
      heads, decoder_heads: which shapes do not tell; for files without our metadata only. By
        default as published models of the same width have.

    Raises:
      UserError: missing, truncated, foreign or pickled files; sizes that do not fit together.
    """
    path = Path(path)
    tensors, metadata = _tensors(path)
    try:
        params = released.read(tensors)
        if _KEY in metadata:
            if heads or decoder_heads:
                raise UserError("the file knows its sizes: leave heads out")
            config = _config(metadata[_KEY])
        else:
            config = _inferred(path.stem, params, tensors, heads, decoder_heads)
        _check(params, config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return params, config


def _tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if path.suffix.lower() in PICKLES:
        raise UserError(
            f"{path} is a pickle, which can run any program when read: load it once with "
            "torch.load(..., weights_only=True) and write it with safetensors.torch.save_file"
        )
    if not path.is_file():
        raise UserError(f"no such file or run directory: {path}")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            return {k: v.astype(np.float32) for k, v in tensors.items()}, file.metadata() or {}
    except (OSError, ValueError, TypeError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is truncated, or no safetensors file of numbers NumPy has ({error}): get it "
            "again, or write it as float32"
        ) from error


def _config(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
        missing = [key for key in _NEEDED if key not in config]
    except (json.JSONDecodeError, TypeError) as error:
        raise UserError(f"its metadata is not JSON ({error}): export it again") from error
    if config.get("format", 0) > FORMAT:
        raise UserError(
            f"format {config['format']} is of a newer smarties than this (format {FORMAT})"
        )
    if missing:
        raise UserError(f"its metadata lacks {missing[0]!r}: export it again")
    return config


def _inferred(
    name: str,
    params: Tree,
    tensors: Mapping[str, np.ndarray],
    heads: int | None,
    decoder_heads: int | None,
) -> dict[str, Any]:
    for key in (
        "cls_token",
        "pos_embed",
        "spectrum_projection.spectrum_embeds.0.proj.weight",
        "blocks.0.norm1.weight",
    ):
        if key not in tensors:
            raise UserError(f"{key!r} is missing: no whole SMARTIES encoder")
    width = tensors["cls_token"].shape[-1]
    if heads is None and width not in HEADS:
        raise UserError(f"no published model has width {width}: give heads= (--heads)")
    kernel = params["encoder"]["projection"]["kernel"]
    patch, grid = math.isqrt(kernel.shape[1]), math.isqrt(tensors["pos_embed"].shape[1] - 1)
    spectrum = registry.spectrum()
    if len(kernel) != len(spectrum):
        raise UserError(
            f"{len(kernel)} spectral projections, but {spectrum.name} has {len(spectrum)} ranges"
        )
    _check_positions(tensors, grid)
    encoder = dict(width=width, depth=_depth(params["encoder"]), heads=heads or HEADS[width])
    model = dict(image_size=grid * patch, patch=patch, encoder=encoder)
    if "mask_token" in tensors:
        model["decoder"] = dict(
            width=tensors["mask_token"].shape[-1],
            depth=_depth(params["decoder"]),
            heads=decoder_heads or DECODER_HEADS,
        )
    return config_of(name=name, model=model, rule="released", spectrum=spectrum.name)


def _depth(half: Tree) -> int:
    return len(half["transformer"]["blocks"]["norm1"]["scale"]) if "transformer" in half else 0


def _check_positions(tensors: Mapping[str, np.ndarray], grid: int) -> None:
    """The tables are computed and never read, so a file with others must not pass."""
    for key in ("pos_embed", "decoder_pos_embed"):
        if key in tensors:
            table = tensors[key][0]
            want = np.pad(positions.sincos_2d((grid, grid), table.shape[-1]), ((1, 0), (0, 0)))
            if table.shape != want.shape or not np.allclose(table, want, atol=1e-3):
                raise UserError(
                    f"{key} is not the sin-cos table of a square grid: no released SMARTIES model"
                )


def _check(params: Tree, config: Mapping[str, Any]) -> None:
    """Raises `UserError` for the first parameter that is missing, too many, or of another shape."""
    try:
        want = _leaves(shapes(config))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"its metadata describes no model ({error}): export it again") from error
    found = {k: v for k, v in _leaves(params).items() if not k.startswith(_DOWNSTREAM)}
    for name in sorted(want.keys() | found.keys()):
        have, need = (tuple(side[name].shape) if name in side else None for side in (found, want))
        if have != need:
            raise UserError(
                f"parameter {name!r} is {_words(have)}, "
                f"but a model of these sizes has it {_words(need)}"
            )


def _words(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else f"of shape {shape}"


def _leaves(tree: Tree) -> dict[str, Any]:
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(k, simple=True, separator="/"): leaf for k, leaf in flat}
