"""A model as a folder the hub hosts as it is, and folders the hub has.

    model.safetensors   tensors in released names
    config.json         what the model is: sizes, spectrum, sensors in full, classes, data
    README.md           the model card

Where config.json is ours it stands for the metadata in the file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smarties.errors import UserError
from smarties.interchange import card, weights, whole
from smarties.typing import Tree

HUB = "hf:"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def write(path: str | Path, params: Tree, config: Mapping[str, Any]) -> None:
    """Writes the folder, whole or not at all; raises `UserError` where it cannot be written."""
    with whole.folder(Path(path)) as part:
        weights.write(part / WEIGHTS, params, config)
        write_config(part, config)
        (part / CARD).write_text(card.text(params, config))


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Writes config.json."""
    (folder / CONFIG).write_text(json.dumps(dict(config), indent=2) + "\n")


def read(
    folder: Path, heads: int | None = None, decoder_heads: int | None = None
) -> tuple[Tree, dict[str, Any]]:
    """Returns (parameters, metadata) of a folder with one safetensors file; see `weights.read`."""
    return weights.read(weights_of(folder), heads, decoder_heads, config_of(folder))


def weights_of(folder: Path) -> Path:
    """Returns model.safetensors, or the only safetensors file; raises `UserError` for none."""
    found = sorted(folder.glob("*.safetensors"))
    if folder / WEIGHTS in found:
        return folder / WEIGHTS
    if len(found) != 1:
        names = f": {', '.join(file.name for file in found)}" if found else ""
        raise UserError(f"{folder} has {len(found)} safetensors files{names}; name one of them")
    return found[0]


def config_of(folder: Path) -> dict[str, Any] | None:
    """Returns what config.json says, or None where it is missing or of other software.

    Raises:
      UserError: it is no JSON, or of ours and lacks a key.
    """
    try:
        content = json.loads((folder / CONFIG).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / CONFIG} is not JSON ({error}): export it again") from error
    if not isinstance(content, dict) or not {"format", "spectrum"} & content.keys():
        return None
    try:
        return weights.config_from(json.dumps(content))
    except UserError as error:
        raise UserError(f"{folder / CONFIG}: {error}") from error


def fetch(name: str, download: bool) -> Path:
    """Returns the local folder of "hf:owner/name" or "hf:owner/name@revision".

    Args:
      download: whether the network may be used; otherwise only the local cache is.

    Raises:
      UserError: no huggingface_hub, no such name or revision, or it is not in the cache.
    """
    repository, _, revision = name.removeprefix(HUB).partition("@")
    try:
        import huggingface_hub  # type: ignore
    except ImportError as error:
        raise UserError(
            f"{name} needs huggingface_hub: pip install 'smarties[hub]', or give the path of a "
            "folder or .safetensors file"
        ) from error
    try:
        folder = huggingface_hub.snapshot_download(
            repository, revision=revision or None, local_files_only=not download,
            allow_patterns=["*.safetensors", CONFIG],
        )  # fmt: skip
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = (
            "check the name, the revision and the network"
            if download
            else "not in the local cache; --download (download=True) may fetch it"
        )
        raise UserError(f"{name}: {hint} ({reason})") from error
    return Path(folder)
