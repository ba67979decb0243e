"""The configuration of a run: its keys, their defaults, and what a resumed run may change."""

import json
from collections.abc import Iterable
from typing import Any

from ml_collections import config_dict

from smarties import errors

Config = Any  # a ConfigDict; its fields are read by name

# What every run has, by section. The sections task and model belong to the task, and so do the
# keys of `evaluate` and `data` that are not here. A type stands for "not given", as 0 does for a
# duration.
DEFAULTS: dict[str, Any] = {
    "name": "run",
    "seed": 0,
    "steps": int,
    "epochs": float,
    "examples": int,
    "batch_size": int,
    "optimizer": {
        "kind": "adamw",  # or "schedule_free"
        "learning_rate": float,
        "base_learning_rate": float,  # of a batch of 256
        "warmup_steps": int,
        "warmup_epochs": float,
        "warmup_examples": int,
        "schedule": "cosine",
        "weight_decay": 0.05,
        "decay": "kernels",
        "beta1": 0.9,
        "beta2": 0.95,
        "epsilon": 1e-8,
        "clip_norm": 0.0,
        "accumulate": 1,
        "ema": 0.0,
        "skip_limit": 10,  # batches of a run that may have no finite loss and gradient
    },
    "mesh": {"data": -1, "fsdp": 1, "tensor": 1},
    "checkpoint": {
        "every": 1000,
        "keep": 3,  # the last ones; 0 keeps all
        "keep_every": 0,  # and multiples of this, for good
        "best": "",  # a number of the evaluation: its best step is reported and loaded
        "on_failure": "stop",  # or "continue", when the disk is full or gone
    },
    "log": {
        "every": 50,
        "norms_every": 500,  # parameter, gradient and update norms by block
        "hang_minutes": 30.0,  # without a step, and the run ends; 0 waits for ever
        "profile": (0, 0),  # first step and the one after the last, for the profiler
        "tensorboard": False,
        "wandb": False,
    },
    "evaluate": {"every": 0},
    "data": {
        "workers": 0,  # processes that read
        "threads": 4,  # that read, in each
        "prefetch": 8,  # batches made ahead, in each
        "unreadable_share": 0.0,  # of the examples, how many a run may go without
    },
}
_OF_THE_TASK = ("task", "model")
_SHARED = ("evaluate", "data")  # with the task, which has keys of its own there

# These change how a run is carried out, not what it computes.
FREE = (
    "mesh.",
    "checkpoint.",
    "log.",
    "evaluate.",
    "optimizer.skip_limit",
    "data.workers",
    "data.threads",
    "data.prefetch",
    "data.unreadable_share",
)


def resolve(config: Config, defaults: dict[str, Any] | None = None) -> Config:
    """Returns a copy of `config` with every default filled in; an unknown key is a `UserError`.

    Args:
      config: of a run, or of what else has `defaults`, whose section `data` is left open too.
      defaults: in place of `DEFAULTS`.
    """
    known, others = (defaults, ()) if defaults else (DEFAULTS, _OF_THE_TASK)
    resolved: Any = config_dict.ConfigDict(config)
    with resolved.unlocked():
        for section, fields in known.items():
            if isinstance(fields, dict):
                resolved[section] = resolved.get(section, config_dict.ConfigDict())
                own = tuple(resolved[section]) if section in _SHARED else ()
                _fill(resolved[section], f"{section}.", fields, own)
        top = {key: value for key, value in known.items() if not isinstance(value, dict)}
        _fill(resolved, "", top, (*known, *others))
    return resolved


def _fill(section: Config, prefix: str, defaults: dict[str, Any], others: Iterable[str]) -> None:
    """Completes a section in place; a key in neither `defaults` nor `others` is refused."""
    for key in section:
        if key not in defaults and key not in others:
            known = [f"{prefix}{name}" for name in (*defaults, *others)]
            raise errors.unknown("configuration key", f"{prefix}{key}", known)
    for key, default in defaults.items():
        value = section.get(key)
        kind = default if isinstance(default, type) else type(default)
        if value is None:
            _replace(section, key, _open(default))
        elif kind is float and type(value) is int:
            _replace(section, key, float(value))  # so that 0.5 can replace 1
        elif type(value) is not kind:
            raise errors.UserError(
                f"configuration key {prefix}{key} is {value!r}: must be {kind.__name__}"
            )


def _replace(section: Config, key: str, value: Any) -> None:
    """Sets a field anew; assigning to it would keep its old type."""
    if key in section:
        del section[key]
    section[key] = value


def _open(default: Any) -> Any:
    return config_dict.placeholder(default) if default in (int, float) else default


def plain(config: Config) -> dict[str, Any]:
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
