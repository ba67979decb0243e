"""Tasks on tables, from a configuration."""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from smarties.data import pipeline
from smarties.data.tables import sources, splits, splotopen
from smarties.errors import UserError, unknown
from smarties.models import masksdm
from smarties.tasks import species

_DATA = ("table", "split")
_EVALUATE = ("every", "subsets", "batch")
_OF_THE_TABLE = ("levels", "vectors", "species", "parent", "name")


def make(config: Any, data: bool) -> species.Species:
    """Returns the task of a configuration; `data` False has blank rows stand for the table.

    Raises:
      UserError: unknown keys, or what the table, its split or the task refuse.
    """
    plain = config.to_dict()
    _known("task", plain["task"], [f.name for f in dataclasses.fields(species.Recipe)])
    model = [f.name for f in dataclasses.fields(masksdm.MaskSDM) if f.name not in _OF_THE_TABLE]
    _known("model", plain["model"], model)
    reading = [
        name
        for name, parameter in inspect.signature(pipeline.pair_batches).parameters.items()
        if parameter.default is not parameter.empty and name not in ("rank", "world", "start_step")
    ]
    _known("data", plain["data"], (*_DATA, *reading))
    evaluate = plain.get("evaluate", {})
    _known("evaluate", evaluate, _EVALUATE)
    given = dict(plain["data"].get("table") or {})
    if "kind" not in given:
        raise UserError("data.table.kind is missing: say which table of places")
    split = dict(plain["data"].get("split") or {})
    _known("data.split", split, [k for k in inspect.signature(splits.split).parameters][1:])
    if data:
        table = sources.table(**given)
        rows = splits.split(table, **split)
    else:
        table = splotopen.blank()
        rows = splits.split(table)
    return species.Species(
        recipe=species.Recipe(**plain["task"]),
        model=plain["model"],
        table=table,
        rows=rows,
        batch_size=plain.get("batch_size") or 1,
        seed=plain.get("seed", 0),
        # Where the table lies does not change what is in it.
        identity={
            "table": {k: v for k, v in given.items() if k not in ("root", "file")},
            "split": {k: list(v) if isinstance(v, tuple) else v for k, v in split.items()},
        },
        reading={key: value for key, value in plain["data"].items() if key in reading},
        subsets=(evaluate.get("subsets") or {}) if data else {},
        batch=evaluate.get("batch", 1024),
    )


def _known(section: str, given: Mapping[str, Any], known) -> None:
    for key in given:
        if key not in known:
            raise unknown(
                "configuration key", f"{section}.{key}", [f"{section}.{k}" for k in known]
            )
