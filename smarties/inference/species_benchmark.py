"""How fast species are evaluated and explained, beside loops over scikit-learn and shap.

The model is a small one of the same kind: a token for each predictor, one token for what is hidden,
their mean, two layers. It costs little, so that what is compared is how it is asked; the numbers
of coalitions that are needed do not depend on it.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse
from sklearn import metrics

from smarties import errors, machine
from smarties.inference import benchmark, shapley, species_games
from smarties.inference.benchmark import Row, row
from smarties.metrics import species

GROUPS, PREDICTORS, WIDTH = 6, 61, 64
LOOP = 100  # species of the loop, from which all are reckoned
TOLERANCE = 0.05  # of the values' size: what a sampler must reach to count as exact
PROBE, MOST = 32, 2048  # permutations from which the number needed is reckoned, and its limit


@dataclasses.dataclass(frozen=True)
class Toy:
    """A model with random weights; see `species_games.Model`."""

    weights: Any
    predictors: tuple[str, ...]
    groups: dict[str, tuple[str, ...]]
    species: tuple[str, ...]

    def predict(self, values: Any, keep: Any) -> np.ndarray:
        return np.asarray(_logits(self.weights, values, keep))


@jax.jit
def _logits(weights: Any, values: jax.Array, keep: jax.Array) -> jax.Array:
    there = keep & jnp.isfinite(values)
    tokens = jax.nn.relu(
        jnp.where(there, values, 0)[..., None] * weights["slope"][None] + weights["base"][None]
    )
    mean = jnp.where(there[..., None], tokens, weights["mask"][None, None]).mean(1)
    return jnp.tanh(4 * mean @ weights["hidden"]) @ weights["head"]


def toy(count: int = 1, seed: int = 0) -> Toy:
    """Returns a model of so many species."""
    rng = np.random.default_rng(seed)
    shapes = dict(slope=(PREDICTORS, WIDTH), base=(PREDICTORS, WIDTH), mask=(WIDTH,),
                  hidden=(WIDTH, WIDTH), head=(WIDTH, count))  # fmt: skip
    weights = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    weights["head"] /= WIDTH**0.5
    names = tuple(f"x{i}" for i in range(PREDICTORS))
    groups = {f"group {i}": names[i::GROUPS] for i in range(GROUPS)}
    return Toy(weights, names, groups, tuple(f"species {i}" for i in range(count)))


def compare(sites: int, count: int, places: int, squares: int, repeats: int) -> list[Row]:
    """Returns AUC beside a loop, and exact and sampled Shapley values beside shap.

    Args:
      sites, count: of the evaluation: rows and species.
      places: whose predictions are explained.
      squares: Latin squares over `PREDICTORS`.
      repeats: rounds.

    Raises:
      UserError: no shap.
    """
    try:
        import shap
    except ModuleNotFoundError as error:
        raise errors.UserError(
            "bench species needs shap: pip install 'smarties[explain]'"
        ) from error
    values = np.random.default_rng(1).normal(size=(places, PREDICTORS)).astype(np.float32)
    model = toy()
    return [
        *_auc(sites, count, repeats),
        *_groups(shap, model, values, repeats),
        *_predictors(shap, model, values, squares, repeats),
    ]


def _auc(sites: int, count: int, repeats: int) -> list[Row]:
    rng = np.random.default_rng(0)
    scores = rng.random((sites, count), np.float32)
    there: Any = sparse.random_array((sites, count), density=0.002, format="csc", rng=1)
    there.data[:] = 1
    some = [s for s in range(count) if there.indptr[s + 1] > there.indptr[s]][:LOOP]
    dense = there[:, some].toarray() > 0
    found: dict[str, Any] = {}

    def ours() -> None:
        found["ours"] = species.scores(there, scores, ("auc",))["auc"]

    def loop() -> None:
        pairs = zip(dense.T, scores[:, some].T, strict=True)
        found["loop"] = [metrics.roc_auc_score(truth, score) for truth, score in pairs]

    rounds = benchmark.turns({"ours": _timed(ours), "loop": _timed(loop)}, repeats)
    whole = [s * count / len(some) for s in rounds["loop"]]
    of = f"{count:,} species x {sites:,} sites"
    return [
        row("species", f"AUC, {of}", "s", rounds["ours"]),
        row("species", f"scikit-learn's loop, reckoned from {len(some)}", "s", whole),
        row("species", "AUC, loop / ours", "x", _ratio(whole, rounds["ours"])),
        row("species", "AUC, peak memory of the process", "GB", machine.peak_memory() / 1e9),
        row("species", "AUC, largest difference", "",
            float(np.abs(found["ours"][some] - found["loop"]).max())),
    ]  # fmt: skip


def _groups(shap: Any, model: Toy, values: np.ndarray, repeats: int) -> list[Row]:
    """Returns the exact sweep over groups beside shap's sampling of the same game."""
    players = species_games.groups(model)
    game = species_games.predictions(model, players, values, np.array([0]))
    want = shapley.exact(game, players.names).values[..., 0].T  # [n, d]
    ours = _timed(lambda: shapley.exact(game, players.names))
    tolerance = TOLERANCE * float(np.sqrt(np.mean(want**2)))
    asked = functools.partial(_permuted, shap, model, players, values)
    return _until(f"{GROUPS} groups, {len(values)} places, all 64 coalitions", ours, asked, want,
                  tolerance, 2**GROUPS, repeats)  # fmt: skip


def _predictors(shap: Any, model: Toy, values: np.ndarray, squares: int, repeats: int) -> list[Row]:
    """Returns Latin squares over single predictors beside shap's permutations."""
    players = species_games.predictors(model)
    game = species_games.predictions(model, players, values, np.array([0]))
    truth = shapley.sampled(game, players.names, squares=16 * squares, seed=99)
    want = truth.values[..., 0].T
    found = shapley.sampled(game, players.names, squares=squares)
    error = _rmse(found.values[..., 0].T, want)
    ours = _timed(lambda: shapley.sampled(game, players.names, squares=squares))
    asked = functools.partial(_permuted, shap, model, players, values)
    stated = float(np.sqrt(np.mean(found.errors**2))) if found.errors is not None else np.nan
    return [
        *_until(f"{PREDICTORS} predictors, {len(values)} places, {squares} Latin squares", ours,
                asked, want, error, found.evaluated, repeats),
        row("species", f"{PREDICTORS} predictors, error found / error stated", "", error / stated),
    ]  # fmt: skip


def _until(
    name: str, ours: Callable[[], float], asked: Callable[[int], np.ndarray], want: np.ndarray,
    error: float, coalitions: int, repeats: int,
) -> list[Row]:  # fmt: skip
    """Returns our time beside that of shap with so many permutations that it errs as much.

    Args:
      error: root mean square that is allowed: ours, or `TOLERANCE` beside exact values.
      coalitions: that ours asks for.
    """
    probe = _rmse(asked(PROBE), want)  # errors shrink by the root of the number
    count = int(np.clip(np.ceil(PROBE * (probe / error) ** 2), 1, MOST))
    reached = _rmse(asked(count), want)
    rounds = benchmark.turns({"ours": ours, "shap": _timed(lambda: asked(count))}, repeats)
    theirs = count * (2 * want.shape[1] + 1)
    return [
        row("species", name, "s", rounds["ours"]),
        row("species", f"shap, {count} permutations, error / allowed {reached / error:.2g}", "s",
            rounds["shap"]),
        row("species", "shap / ours, time", "x", _ratio(rounds["shap"], rounds["ours"])),
        row("species", "shap / ours, coalitions", "x", theirs / coalitions),
    ]  # fmt: skip


def _permuted(
    shap: Any, model: Toy, players: species_games.Players, values: np.ndarray, count: int
) -> np.ndarray:
    """Returns [n, d] of shap's permutation explainer, asking the model as shap's users do.

    A row is a place's number, once for each player; hidden ones are NaN.
    """
    which, d = np.array([0]), len(players.names)

    def function(rows: np.ndarray) -> np.ndarray:
        shown = np.isfinite(rows)
        place = np.nanmax(np.where(shown, rows, 0), 1).astype(int)
        size = 1 << (len(rows) - 1).bit_length()  # one shape to compile for
        index = np.minimum(np.arange(size), len(rows) - 1)
        logits = model.predict(values[place[index]], players.keep(shown[index]))
        return 1 / (1 + np.exp(-logits[: len(rows), which[0]].astype(np.float64)))

    def masker(mask: np.ndarray, row: np.ndarray) -> tuple[np.ndarray]:
        return (np.where(mask, row, np.nan)[None],)

    explainer = shap.explainers.Permutation(function, masker, seed=0)
    rows = np.arange(len(values))[:, None] * np.ones((1, d))
    return explainer(rows, max_evals=count * (2 * d + 1), batch_size=10**6, silent=True).values


def _timed(run: Callable[[], Any]) -> Callable[[], float]:
    def once() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return once


def _ratio(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _rmse(found: np.ndarray, want: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(found - want))))
