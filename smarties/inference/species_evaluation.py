"""A species model beside its baselines, for every subset of predictors of a configuration."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from smarties.errors import UserError
from smarties.inference import species_baselines
from smarties.inference.species import SpeciesModel
from smarties.metrics import species as metrics
from smarties.tasks import species

FILLS = ("mean", "median")


def rows(
    task: species.Species,
    models: Sequence[SpeciesModel] = (),
    methods: Sequence[species_baselines.Method] = species_baselines.METHODS,
    part: str = "test",
) -> Iterator[dict[str, Any]]:
    """Yields {"method", "missing", "subset", "part", "species", "seconds", metric: mean ...}.

    "missing" is how predictors outside the subset are treated: as the model does, filled with the
    "mean" or "median" of training rows, or "oracle" where one model was fitted for the subset.

    Args:
      task: of the table and its split.
      models: trained on the same rows.
      methods: baselines.
      part: which rows are judged.

    Raises:
      UserError: a model of other columns or training rows, or a part without rows.
    """
    judged, train = task.rows[part], task.rows["train"]
    if not len(judged):
        raise UserError(f"the split has no {part} rows: give them a share")
    counted, truth = task.evaluated(), task.presence[judged]

    def row(method: str, missing: str, subset: str, predicted: np.ndarray, start: float):
        means = metrics.macro(metrics.scores(truth, predicted), counted)
        return {
            "method": method, "missing": missing, "subset": subset, "part": part,
            "species": int(counted.sum()), "seconds": time.perf_counter() - start, **means,
        }  # fmt: skip

    for model in models:
        check(task, model)
        for subset, known in task.subsets.items():
            start = time.perf_counter()
            found = task.predict(model.params, judged, known)
            yield row("model", model.inputs.missing, subset, found, start)
    design = species_baselines.Design.of(
        task.stream.values, task.model.levels, tuple(task.stream.vectors.values())
    )
    fills = {kind: design.fill(kind, train) for kind in FILLS}
    for method in methods:
        for kind, fill in fills.items():
            start = time.perf_counter()
            whole = np.ones(len(task.inputs.tokens), bool)
            predict = species_baselines.fit(
                method, design.rows(train, whole, fill), task.presence[train]
            )
            for subset, known in task.subsets.items():
                predicted = predict(design.rows(judged, known, fill))
                yield row(method, kind, subset, predicted, start)
        for subset, known in task.subsets.items():
            if known.all() or not known.any():
                continue
            start, fill = time.perf_counter(), fills["mean"]
            predict = species_baselines.fit(
                method, design.rows(train, known, fill), task.presence[train]
            )
            yield row(method, "oracle", subset, predict(design.rows(judged, known, fill)), start)


def check(task: species.Species, model: SpeciesModel) -> None:
    """Raises `UserError` unless a model has the columns, species and training rows of a task."""
    own, other = task.inputs, model.inputs
    for key in ("predictors", "species", "levels", "vectors"):
        if getattr(own, key) != getattr(other, key):
            raise UserError(f"these weights have other {key} than the configuration's table")
    if not np.allclose(own.scale.mean, other.scale.mean, rtol=1e-6):
        raise UserError(
            "these weights were trained on other rows: give the configuration, and its split, that "
            "they were trained with"
        )


def table(found: Sequence[dict[str, Any]], metric: str = "auc") -> list[tuple[str, ...]]:
    """Returns the lines of a table: methods down, subsets across, 100 times the metric."""
    subsets = list(dict.fromkeys(row["subset"] for row in found))
    ways = list(dict.fromkeys((row["method"], row["missing"]) for row in found))
    values = {(r["method"], r["missing"], r["subset"]): f"{100 * r[metric]:.1f}" for r in found}
    lines = [("method", "missing", *subsets)]
    return lines + [(*way, *(values.get((*way, subset), "") for subset in subsets)) for way in ways]
