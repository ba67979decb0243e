"""What a species model is worth to a coalition of its predictors: the games of Shapley values.

A predictor outside the coalition is hidden as the model hides what is missing, so a coalition is
one prediction: no background data, and no assumption that predictors are independent.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from smarties.errors import UserError, unknown
from smarties.inference import shapley
from smarties.metrics import species

ROWS = 4096  # predictions at once
MEMORY = 1_000_000_000  # bytes of scores a metric may hold


class Model(Protocol):
    """A trained species model.

    Attributes:
      predictors: F names, in the order of the columns.
      groups: {name: names of its predictors}.
      species: S names.
    """

    @property
    def predictors(self) -> Sequence[str]: ...
    @property
    def groups(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def species(self) -> Sequence[str]: ...

    def predict(self, values: Any, keep: Any) -> Any:
        """Returns logits [B, S] of values [B, F], NaN where missing; keep [B, F] hides the rest."""
        ...


@dataclasses.dataclass(frozen=True)
class Players:
    """Who plays: single predictors or groups of them; nobody else is ever seen by the model.

    Attributes:
      names: of the d players.
      members: bool [d, F], the predictors of each.
    """

    names: tuple[str, ...]
    members: np.ndarray

    def keep(self, masks: np.ndarray) -> np.ndarray:
        """Returns bool [M, F]: the predictors that coalitions [M, d] may see."""
        return (masks @ self.members.astype(np.float32)) > 0


def groups(model: Model, hidden: Sequence[str] = ()) -> Players:
    """Returns the model's groups as players; a predictor in none is a player of its own.

    Args:
      hidden: groups (or predictors in none) that stay hidden throughout.

    Raises:
      UserError: an unknown group, or a group of what is no predictor.
    """
    column = {name: i for i, name in enumerate(model.predictors)}
    within = {name for members in model.groups.values() for name in members}
    every = {**model.groups, **{name: (name,) for name in column if name not in within}}
    for name in hidden:
        if name not in every:
            raise unknown("group of predictors", name, every)
    names = tuple(name for name in every if name not in hidden)
    members = np.zeros((len(names), len(column)), bool)
    for i, name in enumerate(names):
        for member in every[name]:
            if member not in column:
                raise unknown(f"predictor of group {name!r}", member, column)
            members[i, column[member]] = True
    return Players(names, members)


def predictors(model: Model, hidden: Sequence[str] = ()) -> Players:
    """Returns each predictor as a player, but those of the groups `hidden`."""
    among = np.flatnonzero(groups(model, hidden).members.any(0)).tolist()
    names = tuple(model.predictors[i] for i in among)
    return Players(names, np.eye(len(model.predictors), dtype=bool)[among])


def chosen(model: Model, names: Sequence[str]) -> np.ndarray:
    """Returns the numbers of species by name; all for no name. Raises `UserError`: unknown."""
    number = {name: i for i, name in enumerate(model.species)}
    for name in names:
        if name not in number:
            raise unknown("species", name, number)
    return np.array([number[name] for name in names] if names else range(len(number)), int)


def suitability(
    model: Model, values: np.ndarray, keep: np.ndarray, which: np.ndarray, rows: int = ROWS
) -> np.ndarray:
    """Returns float32 [M, n, s] in 0..1: suitabilities under M masks, in batches of equal shape.

    Args:
      values: [n, F], NaN where missing.
      keep: [M, F] bool.
      which: [s], numbers of species to return.
      rows: predictions at once; a coalition's places and other coalitions share a batch.
    """
    total = len(keep) * len(values)
    rows = min(rows, 1 << (total - 1).bit_length())  # a power of two: few shapes to compile for
    found = np.empty((total, len(which)), np.float32)
    values = np.asarray(values, np.float32)
    for first in range(0, total, rows):
        index = np.minimum(np.arange(first, first + rows), total - 1)
        mask, place = np.divmod(index, len(values))
        logits = model.predict(values[place], keep[mask])[:, which]
        found[first : first + rows] = logits[: total - first]
    np.clip(found, -80, 80, out=found)
    return (1 / (1 + np.exp(-found))).reshape(len(keep), len(values), len(which))


def predictions(
    model: Model, players: Players, values: np.ndarray, which: np.ndarray, rows: int = ROWS
) -> shapley.Game:
    """Returns the game whose worth is the suitability, [M, n, s], at places `values` [n, F]."""
    return lambda masks: suitability(model, values, players.keep(masks), which, rows)


def metric(
    model: Model,
    players: Players,
    values: np.ndarray,
    presences: Any,
    which: np.ndarray,
    *,
    name: str = "auc",
    rows: int = ROWS,
    progress: Callable[[int], None] = lambda done: None,
) -> shapley.Game:
    """Returns the game whose worth is a metric of each species, [M, s].

    Args:
      values: [n, F] of the sites of the evaluation.
      presences: [n, s] of the species `which`, an array or sparse; all can be evaluated.
      name: of `species.METRICS`.
      progress: told the coalitions of each call when they are evaluated.

    Raises:
      UserError: a species without a presence or without an absence.
    """
    count = np.asarray((presences != 0).sum(0)).ravel()
    bad = [
        str(model.species[s]) for s, k in zip(which, count, strict=True) if not 0 < k < len(values)
    ]
    if bad:
        raise UserError(
            f"species {', '.join(bad[:5])}{' and others' if bad[5:] else ''}: without a presence "
            "or without an absence among the sites; leave them out"
        )
    step = max(1, MEMORY // max(4 * len(values) * len(which), 1))  # coalitions held at once

    def game(masks: np.ndarray) -> np.ndarray:
        found = []
        for first in range(0, len(masks), step):
            keep = players.keep(masks[first : first + step])
            for scores in suitability(model, values, keep, which, rows):
                found.append(species.scores(presences, scores, (name,))[name])
            progress(len(keep))
        return np.stack(found)

    return game
