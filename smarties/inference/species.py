"""A trained species model: scores of species from any subset of its predictors."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from smarties.errors import UserError
from smarties.models import masksdm
from smarties.tasks import species_inputs
from smarties.typing import Array, Tree

KEY = "species_model"  # of a checkpoint's metadata


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SpeciesModel:
    """A species model at work.

    Attributes:
      inputs: what it is given, by name and in which units.
      module, params: the network.
    """

    inputs: species_inputs.Inputs
    module: masksdm.MaskSDM
    params: Tree

    @property
    def predictors(self) -> tuple[str, ...]:
        """Names of the columns of values, in order; of `keep` vectors follow."""
        return self.inputs.predictors

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """{name: its predictors}."""
        return self.inputs.groups

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the scores, in order."""
        return self.inputs.species

    def predict(
        self, values: Array, keep: Array | None = None, vectors: tuple[Array, ...] = ()
    ) -> jax.Array:
        """Returns scores [B, S]; their sigmoid is suitability, balanced: 0.5 is neutral.

        Args:
          values: [B, F] in the units of training, as `inputs.values` makes of columns; NaN where
            missing.
          keep: [B, T], False where a predictor is hidden; None hides none.
          vectors: [B, E] each, in the order of `inputs.vectors`; without them they are missing.

        Raises:
          UserError: another number of columns.
        """
        count = len(self.predictors)
        if values.ndim != 2 or values.shape[1] != count:
            raise UserError(
                f"values have shape {values.shape}: [places, {count}] would be right, columns in "
                f"the order {', '.join(self.predictors)}"
            )
        if not vectors:
            vectors = tuple(
                jnp.full((len(values), width), jnp.nan) for width in self.inputs.vectors.values()
            )
        return self._scores(self.params, jnp.asarray(values, jnp.float32), vectors, keep)

    @functools.partial(jax.jit, static_argnums=0)
    def _scores(self, params: Tree, values: jax.Array, vectors: tuple, keep: Array | None):
        scale = self.inputs.scale
        standard = (values - jnp.asarray(scale.mean, jnp.float32)[None]) / jnp.asarray(
            scale.std, jnp.float32
        )[None]
        shown = None if keep is None else jnp.asarray(keep)
        return self.module.apply({"params": params}, *self.inputs.given(standard, vectors, shown))


def is_run(path: Path) -> bool:
    """Returns whether a folder is a run that trained a species model."""
    try:
        return json.loads((path / "config.json").read_text())["task"]["name"] == "species"
    except (OSError, ValueError, KeyError, TypeError):
        return False


def of_run(
    path: Path, restore: Callable[..., Any], step: int | None = None, average: bool | None = None
) -> SpeciesModel:
    """Returns the model of a run.

    Args:
      path: of the run.
      restore: `smarties.loading.restore`.
      step, average: see `smarties.load`.
    """

    def shapes(meta: Mapping[str, Any]) -> Tree:
        inputs, module = _described(path, meta)
        widths = (len(inputs.predictors), *inputs.vectors.values())
        values, *vectors = (jax.ShapeDtypeStruct((1, width), jnp.float32) for width in widths)
        return jax.eval_shape(module.init, jax.random.key(0), values, tuple(vectors))["params"]

    params, meta, _ = restore(path, shapes, step, average)
    inputs, module = _described(path, meta)
    return SpeciesModel(inputs=inputs, module=module, params=params)


def _described(
    path: Path, meta: Mapping[str, Any]
) -> tuple[species_inputs.Inputs, masksdm.MaskSDM]:
    if KEY not in meta:
        raise UserError(f"{path}: its checkpoint describes no species model")
    inputs = species_inputs.Inputs.read(meta[KEY]["inputs"])
    return inputs, inputs.model({**meta[KEY]["sizes"], "kernel": "xla"})
