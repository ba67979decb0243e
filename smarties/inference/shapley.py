"""Shapley values of any set function: exact over a few players, sampled over many.

A game is a function v(masks [M, d] bool) -> [M, ...] that says what each coalition (row) of d
players is worth: a metric, predictions at places, all species at once. Values have the players
first, [d, ...], then whatever v's values have. Source: Shapley 1953; interactions: Shapley-Taylor
(Dhamdhere et al. 2020), each shared by its pair, so that rows sum to the values, as in shap.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smarties.errors import UserError

Game = Callable[[np.ndarray], Any]
MOST = 16  # players of an exact sweep: 65,536 coalitions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Values:
    """What each player adds, on average over all orders in which players may come.

    Attributes:
      names: of the d players.
      values: [d, ...] float64; they sum to full - empty.
      empty, full: [...] worth of no player and of all.
      errors: [d, ...] standard errors of the values where these were sampled, else None.
      interactions: [d, d, ...] symmetric, rows sum to `values`, where they were asked for.
      evaluated: coalitions whose worth was asked for.
    """

    names: tuple[str, ...]
    values: np.ndarray
    empty: np.ndarray
    full: np.ndarray
    errors: np.ndarray | None = None
    interactions: np.ndarray | None = None
    evaluated: int = 0


def coalitions(players: int) -> np.ndarray:
    """Returns all coalitions, bool [2^d, d]: player i is in coalition s if bit i of s is set."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def weights(players: int) -> np.ndarray:
    """Returns float64 [d, 2^d]: Shapley values are this matrix times the worth of coalitions."""
    inside = coalitions(players).T
    size = inside.sum(0)
    factorial = np.array([math.factorial(n) for n in range(players + 1)], float)
    joined = factorial[np.maximum(size - 1, 0)] * factorial[players - size]
    missed = factorial[size] * factorial[np.maximum(players - size - 1, 0)]
    return np.where(inside, joined, -missed) / factorial[players]


def interaction_weights(players: int) -> np.ndarray:
    """Returns float64 [d, d, 2^d]: off the diagonal half the Shapley-Taylor index of each pair.

    On the diagonal stands the rest of a player's value: what it is worth alone.
    """
    inside = coalitions(players).T
    signs = np.where(inside, 1, -1)
    size = inside.sum(0)
    factorial = np.array([math.factorial(n) for n in range(players + 1)], float)
    pairs = np.zeros((players, players, 2**players))
    for i in range(players):
        for j in range(i):
            others = size - inside[i] - inside[j]
            weight = factorial[others] * factorial[players - 1 - others] / factorial[players]
            pairs[i, j] = pairs[j, i] = signs[i] * signs[j] * weight
    alone = weights(players) - pairs.sum(1)
    pairs[np.arange(players), np.arange(players)] = alone
    return pairs


def exact(
    game: Game, names: Sequence[str], *, batch: int = 2**MOST, interactions: bool = False
) -> Values:
    """Returns the Shapley values over all 2^d coalitions.

    Args:
      game: asked for `batch` coalitions at a time, or all where these are fewer.
      names: of the d players, at most `MOST`.
      interactions: whether to return those of pairs too.

    Raises:
      UserError: too many players.
    """
    players = len(names)
    if not 0 < players <= MOST:
        raise UserError(
            f"exact Shapley values of {players} players: 1 to {MOST} are possible; sample them, "
            "or group them"
        )
    worth = _worth(game, coalitions(players), batch)
    pairs = np.tensordot(interaction_weights(players), worth, 1) if interactions else None
    return Values(
        names=tuple(names),
        values=np.tensordot(weights(players), worth, 1),
        empty=worth[0],
        full=worth[-1],
        interactions=pairs,
        evaluated=len(worth),
    )


def square(players: int, rng: np.random.Generator) -> np.ndarray:
    """Returns int [d, d], rows are orders of players: each is once in every place over the rows.

    A cyclic Latin square with its columns shuffled, so that each row is a uniformly random order.
    """
    cyclic = np.add.outer(np.arange(players), np.arange(players)) % players
    return cyclic[:, rng.permutation(players)]


def sampled(
    game: Game,
    names: Sequence[str],
    *,
    squares: int,
    seed: int = 0,
    mirrored: bool = True,
    batch: int = 4096,
) -> Values:
    """Returns Shapley values estimated over orders stratified by Latin squares.

    Values sum to full - empty exactly. Squares are independent draws, so standard errors are those
    of a mean over squares.

    Args:
      game: asked for `batch` coalitions at a time, or a square's where these are fewer.
      names: of the d >= 2 players.
      squares: at least 2, for an error; a square costs d (d - 1) coalitions, twice if mirrored.
      seed: of the squares.
      mirrored: whether each order is also walked backwards, which takes out the error that
        interactions of pairs make. The published analysis does not.
      batch: coalitions at once; worth of one square is held.

    Raises:
      UserError: fewer than two players or squares.
    """
    players = len(names)
    if players < 2 or squares < 2:
        raise UserError(
            f"{squares} squares of {players} players: Latin squares need two players, and standard "
            "errors two squares"
        )
    rng = np.random.default_rng(seed)
    empty, full = _worth(game, np.arange(2)[:, None] * np.ones((1, players)) > 0, 2)
    mean, spread, each = np.zeros(()), np.zeros(()), players * (1 + mirrored)
    for done in range(1, squares + 1):
        orders = square(players, rng)
        if mirrored:
            orders = np.concatenate([orders, orders[:, ::-1]])
        gain = _gains(game, orders, empty, full, batch) - mean
        mean = mean + gain / done  # Welford: neither gains nor their squares are summed
        spread = spread + gain**2 * (1 - 1 / done)
    return Values(
        names=tuple(names),
        values=mean,
        empty=empty,
        full=full,
        errors=np.sqrt(spread / (squares - 1) / squares),
        evaluated=2 + squares * each * (players - 1),
    )


def _gains(
    game: Game, orders: np.ndarray, empty: np.ndarray, full: np.ndarray, batch: int
) -> np.ndarray:
    """Returns [d, ...]: what each player adds where it comes, on average over orders [r, d]."""
    count, players = orders.shape
    place = np.argsort(orders, 1)  # [r, d]: where each player comes
    masks = place[:, None] < np.arange(1, players)[None, :, None]  # the first 1..d-1 of an order
    worth = _worth(game, masks.reshape(-1, players), batch)
    worth = worth.reshape(count, players - 1, *empty.shape)
    ends = (
        np.broadcast_to(empty, (count, 1, *empty.shape)),
        np.broadcast_to(full, (count, 1, *full.shape)),
    )
    steps = np.diff(np.concatenate([ends[0], worth, ends[1]], 1), axis=1)
    return sum(step[at] for step, at in zip(steps, place, strict=True)) / count


def _worth(game: Game, masks: np.ndarray, batch: int) -> np.ndarray:
    """Returns v of masks [M, d], float64; asked in equal batches, the last filled with copies."""
    batch = min(batch, len(masks))
    found = []
    for first in range(0, len(masks), batch):
        index = np.minimum(np.arange(first, first + batch), len(masks) - 1)
        got = np.asarray(game(masks[index]), np.float64)
        if got.shape[:1] != (batch,):
            raise ValueError(f"a game of {batch} coalitions gave values {got.shape}")
        found.append(got[: len(masks) - first])
    return np.concatenate(found)
