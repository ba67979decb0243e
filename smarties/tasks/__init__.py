"""What is learnt: the tasks by name. Adding one = a file, a line here, a test.

A task's modules are imported when one is made: who only embeds needs no data pipeline.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, cast

from smarties.errors import UserError, unknown

TASKS = ("pretraining", "csmae", "classification", "segmentation", "species")


def _on_pairs(config: Any, data: bool) -> Any:
    from smarties.tasks import csmae, pretraining, probing, streams

    kind, recipe = {
        "pretraining": (pretraining.Pretraining, pretraining.Recipe),
        "csmae": (csmae.Csmae, csmae.Recipe),
    }[config.task.name]
    known = [f.name for f in dataclasses.fields(recipe)]
    given = cast(Any, config)
    for key in given.task:
        if key not in known:
            raise unknown("configuration key", f"task.{key}", [f"task.{k}" for k in known])
    plain = config.to_dict()
    evaluation = {k: v for k, v in plain.get("evaluate", {}).items() if k != "every"}
    if not data:
        evaluation = {}
        streams.stand_in(plain["data"], plain["model"]["image_size"])
    options = inspect.signature(probing.Probe).parameters
    for key in evaluation:
        if key not in options:
            raise unknown(
                "configuration key", f"evaluate.{key}", [f"evaluate.{k}" for k in options]
            )
    for key in ("source", "pairs"):
        if evaluation and key not in evaluation:
            raise UserError(f"evaluate needs the key {key!r}, or no key but 'every'")
    return kind(
        recipe=recipe(**plain["task"]),
        model=plain["model"],
        data=plain["data"],
        batch_size=given.batch_size,
        seed=given.seed,
        evaluation=evaluation or None,
    )


def make(config: Any, *, data: bool = True, load: Callable[[str], Any] | None = None) -> Any:
    """Returns the task a configuration names, a `training.task.Task`.

    Args:
      config: a ConfigDict, resolved or not.
      data: False leaves evaluation out and has simulated or blank images stand for data that are
        not here, and random for pretrained weights.
      load: reads the weights that `task.weights` names, as `smarties.load` does.

    Raises:
      UserError: an unknown task or key, or whatever the task refuses.
    """
    name = cast(Any, config).task.name
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    if name in ("pretraining", "csmae"):
        return _on_pairs(config, data)
    if name == "species":
        from smarties.tasks import tables

        return tables.make(config, data)
    from smarties.tasks import downstream

    return downstream.make(config, data, load)
