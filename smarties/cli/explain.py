"""`smarties explain`: why a species model predicts what it does, in Shapley values.

Groups of predictors (or single ones) share out a prediction at each place of a table, or with
--metric what the model gains over knowing nothing; over rasters, maps of it. Up to 10 players all
coalitions are asked for; of more, orders in Latin squares, and values have standard errors.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.cli import explain_maps, explain_pictures
from smarties.inference import explaining, places, shapley, species_columns, species_games


def main(argv: Sequence[str], load: Any = None) -> None:
    """Writes a folder of values and pictures; raises `UserError`.

    Args:
      load: (weights) -> `species_games.Model`; that of trained models by default.
    """
    arguments = _parser().parse_args(argv)
    _check(arguments)
    model = (load or species_columns.load)(arguments.weights)
    how = explaining.How(
        by=arguments.by, hidden=arguments.hide, squares=arguments.squares, seed=arguments.seed,
        rows=arguments.rows,
    )  # fmt: skip
    if arguments.rasters:
        explain_maps.write(arguments, model, how)
        return
    table = places.table(arguments.places)
    if not table.num_rows:
        raise errors.UserError(f"{arguments.places}: no row: give one place at least")
    values = places.numbers(
        table, model.predictors, arguments.places, arguments.missing_ok, levels=model.levels
    )
    if arguments.metric:
        found, outputs, left_out = _metric(arguments, model, values, how, table)
        names = None
    else:
        chosen = species_games.chosen(model, arguments.species)
        outputs, left_out = [str(model.species[i]) for i in chosen], []
        names = _names(table, arguments.id, arguments.places)
        found = explaining.of_predictions(model, values, chosen, how)
    seen = values[:, [list(model.predictors).index(p) for p in found.names]].T if (
        how.by == "predictors" and names is not None
    ) else None  # fmt: skip
    about = _about(arguments, found, left_out)
    _write(arguments, found, outputs, names, about, seen)
    _print(arguments, found, outputs, left_out)


def _metric(arguments: argparse.Namespace, model: Any, values: np.ndarray, how: Any, table: Any):
    """Returns (values, names of outputs, species that cannot be evaluated)."""
    file = arguments.presences or arguments.places
    there = places.table(arguments.presences) if arguments.presences else table
    if there.num_rows != len(values):
        raise errors.UserError(
            f"{file}: {there.num_rows} rows but {len(values)} places: row i is of place i"
        )
    chosen = species_games.chosen(model, arguments.species)
    if not arguments.species:  # all that the table knows of
        chosen = np.array([i for i in chosen if model.species[i] in there.column_names], int)
        if not len(chosen):
            raise errors.UserError(f"{file}: no column is named after a species of the model")
    presences = places.presences(there, [str(model.species[i]) for i in chosen], file)
    fine = explaining.evaluated(presences)
    if not fine.any():
        raise errors.UserError(f"{file}: no species has both a presence and an absence")
    left_out = [str(model.species[i]) for i in chosen[~fine]]
    chosen, presences = chosen[fine], presences[:, fine]
    found = explaining.of_metric(model, values, presences, chosen, how, arguments.metric)
    return found, [*(str(model.species[i]) for i in chosen), explaining.MEAN], left_out


def _names(table: Any, column: str | None, where: str) -> list[str]:
    if column is None:
        return [str(i) for i in range(1, table.num_rows + 1)]
    if column not in table.column_names:
        raise errors.UserError(f"{where}: {errors.unknown('column', column, table.column_names)}")
    return [str(x) for x in table[column].to_pylist()]


def _about(arguments: argparse.Namespace, found: shapley.Values, left_out: list) -> dict[str, Any]:
    return {
        "weights": str(arguments.weights),
        "places": str(arguments.places),
        "worth": arguments.metric or "suitability",
        "by": arguments.by,
        "hidden": list(arguments.hide),
        "players": list(found.names),
        "coalitions": found.evaluated,
        "exact": found.errors is None,
        "seed": arguments.seed,
        "not_evaluated": left_out,
    }


def _write(
    arguments: argparse.Namespace,
    found: shapley.Values,
    outputs: Sequence[str],
    names: Sequence[str] | None,
    about: dict[str, Any],
    seen: np.ndarray | None,
) -> None:
    """Writes the folder beside its place, then gives it its name."""
    from pyarrow import csv, parquet

    out = Path(arguments.out)
    try:
        with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}.") as part:
            folder = Path(part) / "done"
            folder.mkdir()
            rows = explaining.rows(found, outputs, names)
            if arguments.format == "csv":
                csv.write_csv(rows, folder / "values.csv")
            else:
                parquet.write_table(rows, folder / "values.parquet")
            (folder / "explanation.json").write_text(json.dumps(about, indent=1))
            explain_pictures.write(folder, found, outputs, names, about["worth"], seen)
            os.replace(folder, out)
    except OSError as error:
        raise errors.UserError(f"{out} cannot be written ({error.strerror or error})") from error


def _print(arguments: argparse.Namespace, found: shapley.Values, outputs, left_out) -> None:
    for k, name in list(enumerate(outputs))[-10:]:
        values = found.values[..., k]
        if values.ndim == 2:
            values = np.abs(values).mean(1)
        order = np.argsort(-np.abs(values), kind="stable")[:8]
        text = ", ".join(f"{found.names[i]} {values[i]:+.4f}" for i in order)
        print(f"{name}: {text}")
    if left_out:
        print(f"not evaluated, without a presence or an absence: {', '.join(left_out)}")
    sure = "exact" if found.errors is None else f"largest standard error {found.errors.max():.2g}"
    print(f"{arguments.out}: {found.evaluated:,} coalitions, {sure}")


def _check(arguments: argparse.Namespace) -> None:
    out = Path(arguments.out)
    if not out.absolute().parent.is_dir():
        raise errors.UserError(f"--out {out}: its folder does not exist")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise errors.UserError(f"--out {out} is there already: give a new name, or remove it")
    if arguments.rasters and arguments.metric:
        raise errors.UserError("--metric is of --places with presences, not of --rasters")
    if arguments.presences and not arguments.metric:
        raise errors.UserError("--presences are for --metric: give both, or neither")
    if not arguments.metric and not arguments.species:
        raise errors.UserError("--species: name those whose predictions to explain, or --metric")
    if arguments.squares < 2 or arguments.rows < 1:
        raise errors.UserError("--squares must be at least 2 and --rows at least 1")


def _list(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smarties explain", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("weights", help="a run of a species model")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--places", metavar="TABLE",
                       help="CSV or Parquet with the predictors as named columns")  # fmt: skip
    where.add_argument("--rasters", nargs="+", metavar="FILE.tif",
                       help="map: bands, or files of one band, named after predictors")  # fmt: skip
    parser.add_argument("--points", metavar="TABLE", help="to draw on maps: longitude, latitude, "
                        "and species where there are several")  # fmt: skip
    parser.add_argument("--suitability_only", action="store_true", help="of maps")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="made; must be new")
    parser.add_argument("--species", type=_list, default=(), metavar="A,B")
    parser.add_argument("--by", choices=("groups", "predictors"), default="groups")
    parser.add_argument("--hide", type=_list, default=(), metavar="A,B", help="groups never seen")
    parser.add_argument("--metric", choices=explaining.METRICS, help="in place of predictions")
    parser.add_argument("--presences", metavar="TABLE", help="for --metric: a column of 0 and 1 "
                        "for each species, row i of place i (default: in --places)")  # fmt: skip
    parser.add_argument("--id", metavar="COLUMN", help="names of places (default: row numbers)")
    parser.add_argument("--missing_ok", action="store_true", help="not all predictors are there")
    parser.add_argument("--squares", type=int, default=8, help="Latin squares of many players")
    parser.add_argument("--seed", type=int, default=0, help="of the squares")
    parser.add_argument("--rows", type=int, default=species_games.ROWS, help="predictions at once")
    parser.add_argument("--format", choices=("csv", "parquet"), default="csv")
    return parser
