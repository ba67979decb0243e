"""`smarties evaluate` of a configuration of species: the model beside its baselines."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from smarties import errors, loading, tasks
from smarties.cli import configuration
from smarties.inference import results, species_evaluation
from smarties.inference.species import SpeciesModel


def is_of_species(config: str) -> bool:
    """Returns whether a configuration file is of the task species."""
    task = configuration.load(config, (), lambda given: given).get("task")
    return hasattr(task, "get") and task.get("name") == "species"


def main(arguments: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Appends a row for each method and subset to the results, and prints them as a table."""
    config = configuration.load(arguments.config, overrides)
    task = tasks.make(config)
    models = []
    for path in (arguments.weights or "").split(",") if arguments.weights else ():
        model = loading.load(path)
        if not isinstance(model, SpeciesModel):
            raise errors.UserError(f"{path} is no species model: give a run of the task species")
        models.append(model)
    path = Path(arguments.results)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = []
    for row in species_evaluation.rows(task, models):
        found.append(row)
        print(f"{row['method']}, {row['missing']}, {row['subset']}: {row['auc']:.4f}", flush=True)
        with path.open("a") as file:
            file.write(json.dumps({"config": config.name, "seed": config.seed, **row}) + "\n")
    print(f"\nmean AUC of {found[0]['species']} species, %")
    print(results.text(species_evaluation.table(found)))
