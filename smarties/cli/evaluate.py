"""`smarties evaluate`: frozen features, probed or searched by, always beside their baselines."""

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from smarties import errors, loading
from smarties.cli import configuration
from smarties.training import settings

RESULTS, SPECIES = "runs/results.jsonl", "runs/species.jsonl"


def main(argv: Sequence[str]) -> None:
    """Appends a row for each run that has none yet, and prints the table of these runs."""
    arguments, overrides = _parser().parse_known_args(argv)
    if importlib.util.find_spec("sklearn") is None:
        raise errors.UserError("evaluate needs scikit-learn: pip install 'smarties[evaluate]'")
    from smarties.cli import evaluate_species

    if evaluate_species.is_of_species(arguments.config):
        arguments.results = arguments.results or SPECIES
        evaluate_species.main(arguments, overrides)
        return
    arguments.results = arguments.results or RESULTS
    from smarties.inference import (
        dense,
        evaluation,
        protocol,
        results,
        retrieval,
        retrieval_protocol,
    )

    tasks = {
        protocol.CLASSIFICATION: (protocol.DEFAULTS, evaluation.Evaluation),
        protocol.SEGMENTATION: (protocol.DEFAULTS, dense.Segmentation),
        "retrieval": (retrieval_protocol.DEFAULTS, retrieval.Retrieval),
    }

    def resolve(config):
        nonlocal kind
        kind = config.get("task", kind)
        if kind not in tasks:
            raise errors.unknown("task of an evaluation", kind, tasks)
        return settings.resolve(config, tasks[kind][0])

    kind = protocol.CLASSIFICATION
    config = configuration.load(arguments.config, overrides, resolve).to_dict()
    loaded = loading.load(arguments.weights, heads=arguments.heads) if arguments.weights else None
    if config["task"] != kind:
        raise errors.UserError(f"task is {config['task']}, but {arguments.config} is of {kind}")
    trial = tasks[kind][1](config, loaded, arguments.weights or "")
    path = Path(arguments.results)
    known = {row["key"] for row in results.read(path)}
    keys = [trial.key(run) for run in trial.runs]
    there = sum(key in known for key in keys)
    if there and not arguments.again:
        print(f"{there} of {len(keys)} runs are in {path} already; --again does them again")
    for row in trial.rows(() if arguments.again else known):
        results.append(path, row)
        value, low, high = (100 * x for x in row["metrics"][row["select"]])
        print(
            f"{results.condition(row)}: {results.said(row)}, {row['probe']}: {row['select']} "
            f"{value:.1f} ({low:.1f} to {high:.1f}), {row['seconds']:.1f} s",
            flush=True,
        )
    rows = [row for row in results.read(path) if row["key"] in keys]
    print(f"\n{results.text([results.HEADER, *results.table(rows)])}")
    for lines in results.ways(rows):
        print(f"\n{results.text(lines)}")
    if arguments.figures:
        _draw(trial, rows, Path(arguments.figures))


def _draw(trial, rows, directory: Path) -> None:
    """Writes the pictures of rows, and of maps some beside the truth, into a folder."""
    from smarties.figures import evaluation, segmentation
    from smarties.inference import dense, results

    for file in evaluation.write(results.groups(rows), directory):
        print(file)
    if isinstance(trial, dense.Segmentation):
        shown = [(p.example, p.truth, p.maps) for p in trial.pictures(rows)]
        file = directory / f"{rows[0]['name']}-{trial.sensor.name}-maps.png"
        print(segmentation.write(shown, file, trial.sensor, trial.classes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties evaluate",
        allow_abbrev=False,
        description=__doc__,
        epilog="Any field of the configuration is set by --config.<field>=<value>, for example "
        "--config.sensor=landsat5-tm.",
    )
    parser.add_argument(
        "--config", required=True, metavar="FILE[:ARG]", help="Python file with get_config(arg)"
    )
    parser.add_argument(
        "--weights",
        metavar="RUN|WEIGHTS",
        help="run directory or weights file; else baselines only",
    )
    parser.add_argument("--heads", type=int, help="of the encoder, where a file does not tell")
    parser.add_argument(
        "--results", metavar="FILE", help=f"default: {RESULTS}; of species {SPECIES}"
    )
    parser.add_argument("--figures", metavar="DIR", help="also draw pictures into a folder")
    parser.add_argument("--again", action="store_true", help="do runs that have a row already")
    return parser
