"""Shapley values of a species model, from places to a table: exact where that is possible."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from smarties.errors import UserError
from smarties.inference import shapley, species_games

EXACT = 10  # players up to which all coalitions are asked for: 1,024
MEAN = "mean over species"
METRICS = ("auc", "ap", "tss")  # those that a model which knows nothing has, too


@dataclasses.dataclass(frozen=True, kw_only=True)
class How:
    """How values are found.

    Attributes:
      by: who plays, "groups" or "predictors".
      hidden: groups that the model never sees.
      squares: Latin squares, where there are more than `EXACT` players.
      seed: of these.
      rows: predictions at once.
    """

    by: str = "groups"
    hidden: tuple[str, ...] = ()
    squares: int = 8
    seed: int = 0
    rows: int = species_games.ROWS

    def players(self, model: species_games.Model) -> species_games.Players:
        found = getattr(species_games, self.by)(model, self.hidden)
        if not found.names:
            raise UserError("all predictors are hidden: none is left to explain by")
        return found

    def solve(self, game: shapley.Game, names: Sequence[str], batch: int) -> shapley.Values:
        if len(names) <= EXACT:
            return shapley.exact(game, names, batch=batch, interactions=True)
        return shapley.sampled(game, names, squares=self.squares, seed=self.seed, batch=batch)


def of_predictions(
    model: species_games.Model, values: np.ndarray, chosen: np.ndarray, how: How
) -> shapley.Values:
    """Returns values [d, n, s] of the suitability for species `chosen` [s] at places [n, F]."""
    players = how.players(model)
    game = species_games.predictions(model, players, values, chosen, how.rows)
    batch = max(1, species_games.MEMORY // max(8 * len(values) * len(chosen), 1))
    return how.solve(game, players.names, batch)


def of_metric(
    model: species_games.Model,
    values: np.ndarray,
    presences: Any,
    chosen: np.ndarray,
    how: How,
    name: str = "auc",
) -> shapley.Values:
    """Returns values [d, s + 1] of a metric over sites [n, F]; last, those of its mean.

    Args:
      presences: [n, s] of the species `chosen`.
      name: of `METRICS`.

    Raises:
      UserError: a species without a presence or an absence, see `evaluated`.
    """
    players = how.players(model)
    each = species_games.metric(model, players, values, presences, chosen, name=name, rows=how.rows)

    def game(masks: np.ndarray) -> np.ndarray:
        found = each(masks)  # the mean is a column, for its error does not follow from theirs
        return np.column_stack([found, found.mean(1)])

    return how.solve(game, players.names, 2**EXACT)


def evaluated(presences: np.ndarray) -> np.ndarray:
    """Returns bool [s]: species with a presence and an absence among the rows [n, s]."""
    count = (presences > 0).sum(0)
    return (count > 0) & (count < len(presences))


def rows(found: shapley.Values, outputs: Sequence[str], places: Sequence[Any] | None) -> Any:
    """Returns the pyarrow table of values: a row for each place, species and player.

    Columns: place (where there are any), species, player, value, error (where sampled), empty and
    full, the worth of no player and of all.

    Args:
      outputs: s names of species, the last axis of the values.
      places: n names of places, or None for the values of a metric.
    """
    import pyarrow

    d, shape = len(found.names), found.empty.shape
    grid = np.indices((*shape, d)).reshape(len(shape) + 1, -1)  # by place, species, then player

    def last(values: np.ndarray) -> np.ndarray:
        return np.moveaxis(values, 0, -1).ravel()

    columns: dict[str, Any] = {}
    if places is not None:
        columns["place"] = pyarrow.array(list(places)).take(pyarrow.array(grid[0]))
    columns["species"] = pyarrow.array(list(outputs)).take(pyarrow.array(grid[-2]))
    columns["player"] = pyarrow.array(list(found.names)).take(pyarrow.array(grid[-1]))
    columns["value"] = last(found.values)
    if found.errors is not None:
        columns["error"] = last(found.errors)
    for name, worth in (("empty", found.empty), ("full", found.full)):
        columns[name] = np.repeat(worth.ravel(), d)
    return pyarrow.table(columns)
