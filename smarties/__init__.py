"""Sensor-agnostic remote-sensing foundation models in JAX.

    import smarties
    model = smarties.load("runs/x")                            # or weights, or "hf:owner/name"
    z = model.embed(images, sensor="sentinel2-l2a")            # [B, H, W, C] -> [B, D]

Nothing heavy is imported before it is used.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from smarties.errors import UserError

if TYPE_CHECKING:
    from smarties.loading import load
    from smarties.spectrum.registry import sensors

    __version__: str

__all__ = ["UserError", "__version__", "load", "sensors"]

_HOMES = {"load": "smarties.loading", "sensors": "smarties.spectrum.registry"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("smarties")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'smarties' has no attribute {name!r}")
