"""Durations in steps, epochs or examples; the learning rate of every step."""

from collections.abc import Mapping
from typing import Any

import optax

from smarties import errors

SCHEDULES = ("cosine", "constant", "steps")
DROPS = (0.6, 0.8)  # of a run, where "steps" divides the rate by ten


def duration(
    config: Mapping[str, Any], prefix: str, batch_size: int, examples_per_epoch: int | None
) -> int:
    """Returns a duration in steps from the one of {prefix}steps, {prefix}epochs, {prefix}examples.

    None or 0 is "not given"; none given is 0 steps; examples are rounded to whole steps. Raises
    `UserError` when several are given, or epochs of a task that has none (no `examples_per_epoch`).
    """
    names = [f"{prefix}{unit}" for unit in ("steps", "epochs", "examples")]
    given: dict[str, Any] = {name: config[name] for name in names if config.get(name)}
    if len(given) > 1:
        raise errors.UserError(
            f"configuration gives {' and '.join(given)}: give exactly one (0 means not given)"
        )
    for name, value in given.items():
        if value < 0:
            raise errors.UserError(f"configuration key {name} is {value}: must not be negative")
        if name.endswith("steps"):
            return int(value)
        if name.endswith("examples"):
            return round(value / batch_size)
        if not examples_per_epoch:
            raise errors.UserError(
                f"configuration gives {name}, but this task does not say how many examples an "
                f"epoch has: give {prefix}steps or {prefix}examples"
            )
        return round(value * examples_per_epoch / batch_size)
    return 0


def peak(optimizer: Mapping[str, Any], batch_size: int) -> float:
    """Returns the highest rate: learning_rate, or base_learning_rate * batch_size / 256."""
    names = ("learning_rate", "base_learning_rate")
    given = [name for name in names if optimizer.get(name) is not None]
    if len(given) != 1:
        raise errors.UserError(
            f"configuration section optimizer gives {' and '.join(given) or 'no learning rate'}: "
            "give exactly one of learning_rate and base_learning_rate"
        )
    rate = optimizer[given[0]]
    return rate * batch_size / 256 if given[0] == "base_learning_rate" else rate


def learning_rate(kind: str, highest: float, warmup: int, steps: int) -> optax.Schedule:
    """Returns step -> learning rate: linear from 0 in `warmup` steps, then cosine to 0 at `steps`.

    `constant` keeps `highest` after the warm-up; `steps` divides it by ten at `DROPS` of the run.
    """
    if kind not in SCHEDULES:
        raise errors.unknown("optimizer.schedule", kind, SCHEDULES)
    if warmup > steps:
        raise errors.UserError(
            f"the warm-up of {warmup} steps is longer than the run of {steps} steps: shorten "
            "optimizer.warmup_* or lengthen the run"
        )
    if kind == "cosine" and steps > warmup:
        after = optax.cosine_decay_schedule(highest, steps - warmup)
    elif kind == "steps":
        drops = {round(share * steps) - warmup: 0.1 for share in DROPS}
        after = optax.piecewise_constant_schedule(highest, drops)
    else:
        after = optax.constant_schedule(highest)
    return optax.join_schedules([optax.linear_schedule(0.0, highest, warmup), after], [warmup])
