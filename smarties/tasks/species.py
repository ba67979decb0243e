"""Species from what is known of a place: MaskSDM on tables.

[arXiv 2503.13057, doi 10.1111/2041-210x.70200]
"""

import dataclasses
import functools
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import pipeline
from smarties.data.tables.examples import Rows
from smarties.data.tables.table import Table
from smarties.errors import UserError, unknown
from smarties.losses import species as losses
from smarties.models import flops, hiding
from smarties.tasks import species_inputs
from smarties.typing import Key, Tree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """The `task` section of a configuration of species.

    Attributes:
      masking: which predictors are hidden in training, see `hiding.draw`.
      missing: what hidden and missing predictors become, see `species_inputs.Inputs`; all but
        "mask" are baselines.
      fewest: presences a species needs in each part to count in the means.
    """

    name: str = "species"
    masking: hiding.Law = "batch"
    missing: species_inputs.Missing = "mask"
    fewest: int = 1

    def __post_init__(self):
        for key, known in (("masking", hiding.LAWS), ("missing", species_inputs.MISSING)):
            if getattr(self, key) not in known:
                raise unknown(f"task.{key}", getattr(self, key), known)
        if self.missing != "mask" and self.masking != "none":
            raise UserError("task.missing fills in what is missing: task.masking must be 'none'")


class Species:
    """A `training.task.Task`: learns where species are, whichever predictors are known."""

    unit = "places"

    def __init__(
        self,
        *,
        recipe: Recipe,
        model: Mapping[str, Any],
        table: Table,
        rows: Mapping[str, np.ndarray],
        batch_size: int,
        identity: Mapping[str, Any],
        seed: int = 0,
        reading: Mapping[str, Any] | None = None,
        subsets: Mapping[str, tuple[str, ...]] | None = None,
        batch: int = 1024,
    ):
        """Standardises the table by its training rows.

        Args:
          recipe, model: sections of the configuration; the model's sizes, without what the table
            says.
          table: all places.
          rows: "train", "validation" and "test", which of them.
          batch_size, seed: of training.
          identity: what fixes the data, JSON-able.
          reading: options of `pipeline.pair_batches`.
          subsets: {name: predictors or groups} that are evaluated beside all of them.
          batch: places that are predicted at a time.

        Raises:
          UserError: a predictor that is constant in training, unknown names in subsets.
        """
        self.recipe, self.rows, self.presence = recipe, rows, table.presence
        self.inputs = species_inputs.Inputs.of(table, rows["train"], recipe.missing)
        self.model = self.inputs.model(model)
        self._sizes = dict(model)
        self._identity, self._seed, self._reading = identity, seed, dict(reading or {})
        self._batch, self._told = batch, False
        counts = np.asarray(table.presence[rows["train"]].sum(0), np.float32)
        self._weights = tuple(map(np.asarray, losses.weights(counts, len(rows["train"]))))
        self.stream = Rows(
            self.inputs.scale.apply(table.values), table.vectors, table.presence, rows["train"],
            batch_size,
        )  # fmt: skip
        self.subsets = {"all": self.inputs.known(self.inputs.tokens, "all")} | {
            name: self.inputs.known(members, f"evaluate.subsets.{name}")
            for name, members in (subsets or {}).items()
        }

    def init(self, key: Key) -> Tree:
        """Returns the parameters."""
        widths = (len(self.inputs.predictors), *self.inputs.vectors.values())
        values, *vectors = (jnp.zeros((1, width)) for width in widths)
        return self.model.init(key, values, tuple(vectors))["params"]

    def loss(self, params: Tree, batch: Tree, key: Key) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the mean over places of the full weighted loss, and the share of entries kept."""
        part = batch["train"]
        hide_key, drop_key = jax.random.split(key)
        group = self.inputs.numbers_of_groups()
        keep = hiding.draw(self.recipe.masking, hide_key, len(part["values"]), group)
        vectors = tuple(part["vectors"][name] for name in self.inputs.vectors)
        inputs = self.inputs.given(part["values"], vectors, keep)
        logits: Any = self.model.apply({"params": params}, *inputs, rngs={"dropout": drop_key})
        value = losses.full_weighted(logits, part["presence"], *self._weights)
        return value.mean(), {"kept": keep.mean()}

    def batches(
        self, split: str, rank: int, world: int, start_step: int
    ) -> Iterator[dict[str, Any]]:
        """Yields this process's batches of training rows."""
        del split
        return pipeline.pair_batches(
            {"train": self.stream}, seed=self._seed, rank=rank, world=world,
            start_step=start_step, **self._reading,
        )  # fmt: skip

    def batch_spec(self) -> Tree:
        """Returns the global batch as `jax.ShapeDtypeStruct`s."""
        return pipeline.batch_spec({"train": self.stream})

    def data_identity(self) -> dict[str, Any]:
        """Returns what fixes the data order."""
        return {
            **self._identity,
            "predictors": list(self.inputs.tokens),
            "species": len(self.inputs.species),
            "rows": {name: len(rows) for name, rows in self.rows.items()},
        }

    def examples_per_epoch(self) -> int:
        """Returns the number of training rows."""
        return len(self.stream)

    def flops(self) -> float:
        """Returns the operations of one training step."""
        model, tokens = self.model, len(self.inputs.tokens)
        products = 4 * model.width**2 + 2 * model.width * model.hidden
        blocks = model.depth * (2 * tokens * products + 4 * tokens**2 * model.width)
        embedding = 4 * tokens * model.frequencies * model.width
        each = blocks + embedding + 2 * model.width * model.species
        return float(flops.BACKWARD * self.stream.examples_per_batch * each)

    def metadata(self) -> dict[str, Any]:
        """Returns what a checkpoint carries: what predicts from columns by their names."""
        return {"species_model": {"sizes": self._sizes, "inputs": self.inputs.plain()}}

    @functools.partial(jax.jit, static_argnums=0)
    def _logits(self, params: Tree, values: jax.Array, vectors: tuple, keep: jax.Array):
        return self.model.apply({"params": params}, *self.inputs.given(values, vectors, keep))

    def predict(self, params: Tree, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Returns scores [n, S] of places by the predictors that are `known` [T], float32."""
        found = []
        for first in range(0, len(rows), self._batch):
            some = rows[first : first + self._batch]
            padded = np.pad(some, (0, self._batch - len(some)), "edge")
            vectors = tuple(vector[padded] for vector in self.stream.vectors.values())
            keep = np.broadcast_to(known, (len(padded), len(known)))
            logits = self._logits(params, self.stream.values[padded], vectors, keep)
            found.append(np.asarray(logits)[: len(some)])
        return np.concatenate(found)

    def evaluated(self) -> np.ndarray:
        """Returns which species [S] have enough presences, and an absence, in every part."""
        parts = [self.presence[rows] for rows in self.rows.values() if len(rows)]
        counts = [(np.asarray(part.sum(0)), part.shape[0]) for part in parts]
        fewest = max(1, self.recipe.fewest)
        return np.all([(found >= fewest) & (found < n) for found, n in counts], 0)

    def evaluate(self, params: Tree, step: int, directory: Path | None) -> dict[str, float]:
        """Returns {part/subset/metric: mean over species} of the held-out parts.

        Species that a part lacks, or that are everywhere in it, count in no mean, and are named
        once on stderr.
        """
        from smarties.metrics import species as metrics

        del step, directory
        counted, values = self.evaluated(), {}
        self._name_left_out(counted)
        for part, rows in self.rows.items():
            if part == "train" or not len(rows) or not counted.any():
                continue
            truth = self.presence[rows]
            for name, known in self.subsets.items():
                each = metrics.scores(truth, self.predict(params, rows, known))
                found = metrics.macro(each, counted)
                values |= {f"{part}/{name}/{metric}": value for metric, value in found.items()}
        return values

    def _name_left_out(self, counted: np.ndarray) -> None:
        left = [name for name, ok in zip(self.inputs.species, counted, strict=True) if not ok]
        if left and not self._told:
            said = ", ".join(left[:10]) + (f" and {len(left) - 10} more" if len(left) > 10 else "")
            print(
                f"warning: {len(left)} of {len(counted)} species lack presences or absences in a "
                f"part and count in no mean: {said}",
                file=sys.stderr,
            )
        self._told = True
