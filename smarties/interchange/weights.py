"""Weights as safetensors: tensors in released names, and in the metadata one JSON of what they are.

A file without our metadata, as of other software, tells its sizes by its shapes.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
from safetensors import numpy as files

from smarties.errors import UserError
from smarties.interchange import agreement, csmae, pickles, released, sizes
from smarties.models import build, mixup
from smarties.models import csmae as csmae_model
from smarties.spectrum import mixing
from smarties.typing import Tree

FORMAT = 1
CSMAE = csmae.KIND

_KEY = "smarties"
_NEEDED = ("format", "name", "step", "rule", "spectrum", "model", "sensors")
_OWN = "own_names"  # in the metadata: shapes of the tensors that the release has no name for
_DOWNSTREAM = ("fc_norm.", "head.")  # tensors that the auto-encoder has not


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

    Others may be added: "average", "classes" (names in the order of the head's outputs), "data"
    (`fingerprint` of what it was trained on), "licence".

    Args:
      model: the section of a configuration; without "decoder" where only the encoder was kept.
      rule, spectrum: of the mixing matrices.
      sensors: trained on, in full, by name.
    """
    return dict(
        format=FORMAT, name=name, step=step, rule=rule, spectrum=spectrum,
        model=dict(model), sensors=dict(sensors or {}),
    )  # fmt: skip


def fingerprint(content: Any) -> str:
    """Returns "sha256:..." of the JSON of something, keys sorted."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def shapes(config: Mapping[str, Any]) -> Tree:
    """Returns the parameters of a model as `ShapeDtypeStruct`s, heads of other tasks left out."""
    tree = _shapes(build.described(config))
    return tree if "decoder" in config["model"] else {"encoder": tree["encoder"]}


def _shapes(whole: Any) -> Tree:
    if isinstance(whole, csmae_model.Csmae):
        return jax.eval_shape(lambda key: csmae_model.init(whole, key), jax.random.key(0))
    row = np.eye(whole.encoder.ranges, dtype=np.float32)[:1]
    patches = jnp.zeros((1, 4, 1, whole.pixels))

    def init(key):
        drawn = mixup.draw(key, 1, 4, 0.5, 0.5)
        return whole.init(key, ((patches, patches),), ((row, row),), (drawn,))["params"]

    return jax.eval_shape(init, jax.random.key(0))


def renamed(params: Tree, config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns tensors in released names of parameters of NumPy, as views where that is possible."""
    if config.get("kind") == CSMAE:
        return csmae.renamed(params, config)
    return released.renamed(params, config["model"]["image_size"] // config["model"]["patch"])


def encoder_only(params: Tree, config: Mapping[str, Any]) -> tuple[Tree, dict[str, Any]]:
    """Returns parameters and metadata without decoder and reconstruction heads."""
    model = {key: value for key, value in config["model"].items() if key != "decoder"}
    kept = {key: value for key, value in params.items() if key not in ("decoder", "heads")}
    return kept, {**config, "model": model}


def write(path: str | Path, params: Tree, config: Mapping[str, Any]) -> None:
    """Writes a file whole or not at all; raises `UserError` where it cannot be written."""
    path = Path(path)
    agreement.check_classes(config.get("classes"), params)
    tensors = {
        k: np.ascontiguousarray(v, v.dtype if "/" in k else np.float32)
        for k, v in renamed(jax.device_get(params), config).items()
    }
    own = {key: list(tensor.shape) for key, tensor in tensors.items() if "/" in key}
    metadata = {**config, _OWN: own} if own else dict(config)
    part = path.with_name(f"{path.name}.part")
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a directory")
        files.save_file(tensors, part, metadata={_KEY: json.dumps(metadata)})
        os.replace(part, path)
    except (OSError, safetensors.SafetensorError) as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written ({error}): give another file") from error


def read(
    path: str | Path,
    heads: int | None = None,
    decoder_heads: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> tuple[Tree, dict[str, Any]]:
    """Returns (parameters, metadata) of a file of ours, or of one in released names.

    Args:
      path: of the file; a pickle of PyTorch's is read where PyTorch is, weights only.
      heads, decoder_heads: which shapes do not tell; for files without our metadata only. By
        default as published models of the same width have.
      config: metadata in place of the file's own.

    Raises:
      UserError: missing, truncated or foreign files; keys that are missing or too many, sizes that
        do not fit together, classes without outputs: all of them, in one line.
    """
    path = Path(path)
    tensors, metadata = _tensors(path)
    try:
        own = config_from(metadata[_KEY]) if _KEY in metadata else None
        wanted = (own or {}).pop(_OWN, {})
        described = dict(config) if config is not None else own
        if described is None:
            described = _told(tensors, path.stem, heads, decoder_heads)
        elif heads or decoder_heads:
            raise UserError("the file knows its sizes: leave heads out")
        check(tensors, described, wanted)
        params = parameters(tensors, described)
        agreement.check_classes(described.get("classes"), params)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return params, described


def parameters(tensors: Mapping[str, Any], config: Mapping[str, Any], arrays: Any = np) -> Tree:
    """Returns parameters from tensors in released names.

    Args:
      tensors: as `renamed` makes them; position tables are not needed.
      config: metadata.
      arrays: the module of the tensors, NumPy or that of JAX.
    """
    if config.get("kind") == CSMAE:
        return csmae.read(tensors, config, arrays)
    return released.read(tensors, arrays)


def check(
    tensors: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    own: Mapping[str, Any] | None = None,
) -> None:
    """Returns when tensors in released names are those of a model of these sizes.

    Args:
      own: shapes of tensors beyond the release, which must be there too.

    Raises:
      UserError: lists the keys that are missing, too many, or of another shape.
    """
    try:
        zero = np.zeros((), np.float32)
        hollow = jax.tree.map(lambda x: np.broadcast_to(zero, x.shape), shapes(config))
        want = {k: v.shape for k, v in renamed(hollow, config).items()}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"its metadata describes no model ({error}): export it again") from error
    if "norm.weight" not in tensors and "fc_norm.weight" in tensors:
        want = {k.replace("norm.", "fc_norm.") if k.startswith("norm.") else k: v
                for k, v in want.items()}  # fmt: skip
    want |= {key: tuple(shape) for key, shape in (own or {}).items()}
    found = {k: v.shape for k, v in tensors.items() if not re.fullmatch(released.SKIPPED, k)}
    downstream = [key for key in found if key.startswith(_DOWNSTREAM) and key not in want]
    tables = [key for key in {**found, **want} if csmae.is_table(key)]
    agreement.check_keys(found, want, optional=(*downstream, *tables, *released.POSITIONS))


def _told(
    tensors: Mapping[str, np.ndarray], name: str, heads: int | None, decoder_heads: int | None
) -> dict[str, Any]:
    """Returns the metadata of tensors without any."""
    if not csmae.is_one(tensors):
        return config_of(
            name=name, model=sizes.model(tensors, heads, decoder_heads), rule="released"
        )
    told = csmae.described(tensors, name, heads, decoder_heads)
    made = config_of(name=name, model=told["model"], rule="linear", sensors=told["sensors"])
    return {**made, "kind": told["kind"], "stacks": told["stacks"]}


def _tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    if not path.is_file():
        raise UserError(f"no such file or run directory: {path}")
    if path.suffix.lower() in pickles.SUFFIXES:
        return pickles.read(path), {}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            metadata = file.metadata() or {}
    except (OSError, ValueError, TypeError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is truncated, or no safetensors file of numbers NumPy has ({error}): get it "
            "again, or write it as float32"
        ) from error
    return {k: v if "/" in k else v.astype(np.float32) for k, v in tensors.items()}, metadata


def check_params(params: Tree, config: Mapping[str, Any]) -> None:
    """Returns when parameters are those of a model of these sizes; see `check`."""
    named = renamed(jax.device_get(params), config)
    check(named, config, {key: value.shape for key, value in named.items() if "/" in key})
    agreement.check_classes(config.get("classes"), params)


def config_from(text: str) -> dict[str, Any]:
    """Returns metadata from their JSON; raises `UserError` for what are none of ours."""
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
