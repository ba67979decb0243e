"""The configuration of a run: its keys, their defaults, and what a resumed run may change."""

import json
from typing import Any

from ml_collections import config_dict

from smarties import errors

_FLOAT, _INT = config_dict.placeholder(float), config_dict.placeholder(int)

# What the loop reads, by section. The sections task, model and data belong to the task, and so do
# all keys of `evaluate` but `every`. Durations: 0 or None is "not given".
DEFAULTS: dict[str, Any] = {
    "name": "run",
    "seed": 0,
    "steps": _INT,
    "epochs": _FLOAT,
    "examples": _INT,
    "batch_size": _INT,
    "optimizer": {
        "learning_rate": _FLOAT,
        "base_learning_rate": _FLOAT,  # of a batch of 256
        "warmup_steps": _INT,
        "warmup_epochs": _FLOAT,
        "warmup_examples": _INT,
        "schedule": "cosine",
        "weight_decay": 0.05,
        "decay": "kernels",
        "beta1": 0.9,
        "beta2": 0.95,
        "epsilon": 1e-8,
        "clip_norm": 0.0,
        "accumulate": 1,
        "ema": 0.0,
    },
    "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
    "checkpoint": {"every": 1000, "keep": 3},
    "log": {"every": 50, "tensorboard": False, "wandb": False},
    "evaluate": {"every": 0},
}
_OF_THE_TASK = ("task", "model", "data")

# These change how a run is carried out, not what it computes.
FREE = (
    "mesh.",
    "checkpoint.",
    "log.",
    "evaluate.",
    "data.workers",
    "data.threads",
    "data.prefetch",
)


def resolve(config: config_dict.ConfigDict) -> config_dict.ConfigDict:
    """Returns a copy of `config` with every default filled in; an unknown key is a `UserError`."""
    resolved = config_dict.ConfigDict(config)
    for key in resolved:
        if key not in DEFAULTS and key not in _OF_THE_TASK:
            raise errors.unknown("configuration key", key, (*DEFAULTS, *_OF_THE_TASK))
    with resolved.unlocked():
        for key, default in DEFAULTS.items():
            if isinstance(default, dict):
                _fill(resolved, key, default)
            elif key not in resolved:
                resolved[key] = default
    return resolved


def _fill(config: config_dict.ConfigDict, section: str, defaults: dict[str, Any]) -> None:
    given = config.get(section, config_dict.ConfigDict())
    for key in given:
        if key not in defaults and section != "evaluate":
            known = (f"{section}.{name}" for name in defaults)
            raise errors.unknown("configuration key", f"{section}.{key}", known)
    merged = config_dict.ConfigDict(defaults)
    with merged.unlocked():
        merged.update(given)
    config[section] = merged


def plain(config: config_dict.ConfigDict) -> dict[str, Any]:
    """Returns the configuration as JSON would give it back: dicts, lists, strings and numbers."""
    return json.loads(json.dumps(config.to_dict()))


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Returns {"a.b.c": value} of nested dicts; lists are values."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    items = [flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items()]
    return {key: value for part in items for key, value in part.items()}


def difference(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """Returns "key: old -> new" of the first key in which two nested dicts differ, or None."""
    was, now = flat(old), flat(new)
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            return f"{key} was {was.get(key)!r} and is now {now.get(key)!r}"
    return None


def fixed(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the part of a plain configuration that a resumed run must share, flat."""
    return {key: value for key, value in flat(config).items() if not key.startswith(FREE)}
