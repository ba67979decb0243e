"""Tasks that adapt a model, from a configuration."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import config_dict

from smarties.data import labelled, pipeline, sources
from smarties.errors import UserError, unknown
from smarties.spectrum import registry
from smarties.spectrum.bands import Sensor
from smarties.tasks import adaptation, classification, segmentation
from smarties.tasks import recipe as recipes

TASKS = {
    "classification": classification.Classification,
    "segmentation": segmentation.Segmentation,
}
# Reads pretrained weights: what it returns has `params` and `config`, as `inference.model.Model`.
Load = Callable[[str], Any]

_DATA = {
    "source": None, "split": "", "part": (0.0, 1.0), "share": 1.0, "shots": 0, "seed": None,
    "sensors": (), "bands": {}, "classes": (), "ignore": 255,
}  # fmt: skip
_EVALUATE = {"every": 0, "sets": {}, "missing": (), "batch": 32}
_SET = ("source", "split", "part")
_RUNTIME = ("dtype", "kernel", "remat", "unroll")


def make(config: config_dict.ConfigDict, data: bool, load: Load | None) -> adaptation.Adaptation:
    """Returns the task of a configuration.

    Args:
      config: resolved or not.
      data: False has blank examples stand for data and random weights for pretrained ones, which
        are then not looked for.
      load: reads `task.weights`.

    Raises:
      UserError: unknown keys, weights of other sizes than the section `model` says, bands a sensor
        does not have, classes that differ from those of the data, or whatever the task refuses.
    """
    plain = config.to_dict()
    _known("task", plain["task"], [f.name for f in dataclasses.fields(recipes.Recipe)])
    recipe = recipes.Recipe(**plain["task"])
    encoder, model = None, dict(plain.get("model", {}))
    if recipe.weights and data:
        if load is None:
            raise ValueError("tasks.make needs load= to read task.weights")
        pretrained = load(recipe.weights)
        if pretrained.config.get("kind"):
            raise UserError(
                f"{recipe.weights} is of {pretrained.config['kind']}, whose encoder is judged "
                "frozen (smarties evaluate): this task adapts encoders of SMARTIES"
            )
        encoder = _numpy(pretrained.params["encoder"])
        model = _agreed(model, pretrained.config["model"], recipe.weights)
        recipe = dataclasses.replace(
            recipe, rule=pretrained.config["rule"], spectrum=pretrained.config["spectrum"]
        )
    model.pop("decoder", None)
    for key in ("image_size", "patch", "encoder"):
        if key not in model:
            raise UserError(f"model.{key} is missing: give it, or task.weights that know it")
    return TASKS[recipe.name](
        recipe=recipe,
        model=model,
        data=_data(plain, recipe, model, data),
        seed=plain.get("seed", 0),
        encoder=encoder,
    )


def _numpy(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _numpy(value) for name, value in tree.items()}
    return np.asarray(tree)


def _agreed(given: dict[str, Any], own: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns the model section of weights, with what only says how it runs from `given`."""
    for key, value in given.items():
        if key in (*_RUNTIME, "decoder"):
            continue
        if key not in own or own[key] != value:
            raise UserError(
                f"model.{key} is {value}, but {where} has {own.get(key)}: leave it out, or take "
                "other weights"
            )
    return {**own, **{key: given[key] for key in _RUNTIME if key in given}}


def _known(section: str, given: Mapping[str, Any], known) -> None:
    for key in given:
        if key not in known:
            raise unknown(
                "configuration key", f"{section}.{key}", [f"{section}.{k}" for k in known]
            )


def _data(
    plain: Mapping[str, Any], recipe: recipes.Recipe, model: Mapping[str, Any], real: bool
) -> adaptation.Data:
    reading = [
        name
        for name, parameter in inspect.signature(pipeline.pair_batches).parameters.items()
        if parameter.default is not parameter.empty and name not in ("rank", "world", "start_step")
    ]
    _known("data", plain["data"], (*_DATA, *reading))
    given = {**_DATA, **plain["data"]}
    evaluate = {**_EVALUATE, **plain.get("evaluate", {})}
    _known("evaluate", evaluate, _EVALUATE)
    if real and not given["source"]:
        raise UserError("data.source is missing: say where examples come from")
    opened: dict[str, Any] = {}
    own = getattr(_opened(opened, given["source"]), "definitions", {}) if real else {}
    sensors, bands = _sensors(given, own, evaluate["missing"])

    def stream(entry: Mapping[str, Any]) -> labelled.Labelled:
        merged = {key: entry.get(key, _DATA[key]) for key in _SET}
        if not real:
            names = tuple(given["classes"]) or ("one", "other")
            blank = labelled.StandIn(
                list(sensors.values()), model["image_size"], recipe.labels, len(names)
            )
            return _stream(blank, {"split": "", "part": (0, 1)}, sensors, recipe, names, given)
        source = _opened(opened, merged["source"] or given["source"])
        return _stream(source, merged, sensors, recipe, _classes(source, given), given)

    batch = plain.get("batch_size") or 1
    train = dataclasses.replace(stream(given), examples_per_batch=batch)
    seed = plain.get("seed", 0) if given["seed"] is None else given["seed"]
    if real:
        train = labelled.few(train, given["share"], given["shots"], seed)
    sets = {}
    for name, entry in evaluate["sets"].items() if real else ():
        _known(f"evaluate.sets.{name}", entry, _SET)
        sets[name] = stream(entry)
    return adaptation.Data(
        train=train,
        sets=sets,
        sensors=sensors,
        bands=bands,
        reading={key: value for key, value in plain["data"].items() if key in reading},
        missing=tuple(evaluate["missing"]),
        batch=evaluate["batch"],
    )


def _sensors(
    given: Mapping[str, Any], own: Mapping[str, Sensor], missing: Sequence[str]
) -> tuple[dict[str, Sensor], dict[str, tuple[str, ...]]]:
    """Returns the sensors by name, as the source or else the registry has them, and their bands."""
    if not given["sensors"]:
        raise UserError("data.sensors is empty: name one or more sensors of the source")
    found = [own[name] if name in own else registry.sensor(name) for name in given["sensors"]]
    sensors = {sensor.name: sensor for sensor in found}
    for name in (*given["bands"], *missing):
        if name not in sensors:
            raise unknown("sensor of data.bands or evaluate.missing", name, sensors)
    if missing and len(sensors) == 1:
        raise UserError(f"evaluate.missing names the only sensor, {', '.join(sensors)}: leave it")
    return sensors, {n: s.select(given["bands"].get(n)).names for n, s in sensors.items()}


def _opened(known: dict[str, Any], entry: Mapping[str, Any]) -> Any:
    """Returns the source of a section, opened once."""
    key = repr(sorted(entry.items()))
    if key not in known:
        known[key] = sources.source(**entry)
    return known[key]


def _stream(source, entry, sensors: Mapping[str, Sensor], recipe, classes, given):
    for sensor in sensors.values():
        sources.check_sensor(source, sensor)
    return labelled.Labelled(
        source=source,
        indices=labelled.part_of(source, entry["split"], entry["part"]),
        sensors=tuple(sensors),
        kind=recipe.labels,
        classes=classes,
        ignore=given["ignore"],
    )


def _classes(source: Any, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the class names; those of the configuration must be those of the source."""
    named, own = tuple(given["classes"]), tuple(getattr(source, "classes", ()))
    if named and own and named != own:
        count = f"{len(named)} classes, the data have {len(own)}"
        strange = [name for name in named if name not in own] or [
            a for a, b in zip(named, own, strict=False) if a != b
        ]
        detail = f": {strange[0]!r} is none of theirs or in another place" if strange else ""
        raise UserError(
            f"data.classes names {count}{detail}; the order of the data is {', '.join(own)}"
        )
    if not (named or own):
        raise UserError("data.classes is empty, and the source names none: list them in order")
    return named or own
