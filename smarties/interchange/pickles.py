"""PyTorch's own files, which are pickles: read where PyTorch is, and then weights only.

A pickle can run any program when read. `torch.load(weights_only=True)` builds tensors and
containers and refuses everything else.
"""

import pickle
from pathlib import Path

import numpy as np

from smarties.errors import UserError

SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")

_WRAPPERS = ("model", "state_dict")  # names under which training scripts keep the weights
_PREFIXES = ("module.", "model.")  # of every key, left by wrappers of the module


def read(path: Path) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dict by name, float32.

    Raises:
      UserError: PyTorch is not installed; the file holds more than weights, or no state dict.
    """
    try:
        import torch  # type: ignore
    except ImportError as error:
        raise UserError(
            f"{path} is a pickle, which can run any program when read: pip install "
            "'smarties[torch]' to convert its weights alone with `smarties import`"
        ) from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as weights alone ({str(error).splitlines()[0]}): save its "
            "state dict with torch.save, or with safetensors.torch.save_file"
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no state dict: a mapping of names to tensors is needed")
    for prefix in _PREFIXES:
        if all(str(key).startswith(prefix) for key in content):
            content = {key.removeprefix(prefix): value for key, value in content.items()}
    others = [key for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise UserError(f"{path}: {str(others[0])!r} is no tensor: save a state dict alone")
    return {key: value.float().contiguous().numpy() for key, value in content.items()}
