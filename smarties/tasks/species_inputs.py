"""What a species model is given: predictors by name, in which units, and what fills the gaps.

It travels with a checkpoint, so that neither the order of columns nor their scale is ever guessed.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data.tables.table import Scale, Table
from smarties.errors import UserError, unknown
from smarties.models import masksdm

Missing = Literal["mask", "mean", "median"]
MISSING: tuple[Missing, ...] = ("mask", "mean", "median")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of a species model, and what it says.

    Attributes:
      predictors, levels, groups, species: as of `tables.table.Table`.
      vectors: {name: width} of predictors that are vectors.
      scale: of the scalar predictors.
      missing: what stands for hidden and missing entries: "mask" the model's token; "mean" or
        "median" that of training rows (the commonest level, and of vectors the mean).
      fill: {name: values} of these, standardised, where not "mask".
    """

    predictors: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    vectors: Mapping[str, int]
    groups: Mapping[str, tuple[str, ...]]
    species: tuple[str, ...]
    scale: Scale
    missing: Missing = "mask"
    fill: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, table: Table, train: np.ndarray, missing: Missing) -> "Inputs":
        """Returns those of a table, with statistics of the rows `train`."""
        scale = Scale.of(table, train)
        fill = {} if missing == "mask" else _fill(table, train, scale, missing)
        return cls(
            predictors=table.predictors,
            levels=dict(table.levels),
            vectors={name: vector.shape[1] for name, vector in table.vectors.items()},
            groups=dict(table.groups),
            species=table.species,
            scale=scale,
            missing=missing,
            fill=fill,
        )

    @property
    def tokens(self) -> tuple[str, ...]:
        """Names of all predictors, in the order of masks [B, T]: scalars, then vectors."""
        return (*self.predictors, *self.vectors)

    def model(self, sizes: Mapping[str, Any]) -> masksdm.MaskSDM:
        """Returns the module for these inputs."""
        return masksdm.MaskSDM(
            levels=tuple(len(self.levels.get(name, ())) for name in self.predictors),
            vectors=tuple(self.vectors.values()),
            species=len(self.species),
            **sizes,
        )

    def numbers_of_groups(self) -> np.ndarray:
        """Returns the number of the group of each predictor [T]; one in none is its own."""
        of = {name: k for k, names in enumerate(self.groups.values()) for name in names}
        count = len(self.groups)
        numbers = [of.get(name, count + i) for i, name in enumerate(self.tokens)]
        return np.unique(numbers, return_inverse=True)[1]

    def known(self, names: Sequence[str], where: str) -> np.ndarray:
        """Returns which predictors [T] are among `names` of predictors and groups."""
        everything = (*self.groups, *self.tokens)
        for name in names:
            if name not in everything:
                raise unknown(f"predictor or group of {where}", name, everything)
        members = {member for name in names for member in self.groups.get(name, (name,))}
        return np.array([name in members for name in self.tokens])

    def values(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Returns [B, F] for the model from columns by name, in any order; more are ignored.

        Levels are given by name; one that training had not counts as missing.

        Raises:
          UserError: a predictor that is not among the columns.
        """
        found = []
        for name in self.predictors:
            if name not in columns:
                raise unknown("predictor (no such column)", name, columns)
            column = columns[name]
            if name in self.levels:
                where = {level: i for i, level in enumerate(self.levels[name])}
                column = [where.get(str(level), np.nan) for level in column]
            found.append(np.asarray(column, np.float32))
        return np.stack(found, 1)

    def given(self, values, vectors: tuple, keep) -> tuple[jax.Array, tuple, jax.Array | None]:
        """Returns (values, vectors, keep) as the module takes them, of standardised values."""
        if self.missing == "mask":
            return values, vectors, keep
        count = len(self.predictors)
        shown = jnp.ones((len(values), len(self.tokens)), bool) if keep is None else keep
        fill = jnp.asarray([self.fill[name][0] for name in self.predictors])[None]
        values = jnp.where(shown[:, :count] & ~jnp.isnan(values), values, fill)
        filled = []
        for i, (name, vector) in enumerate(zip(self.vectors, vectors, strict=True)):
            there = shown[:, count + i] & jnp.isfinite(vector).all(1)
            filled.append(jnp.where(there[:, None], vector, jnp.asarray(self.fill[name])[None]))
        return values, tuple(filled), None

    def plain(self) -> dict[str, Any]:
        """Returns the inputs, JSON-able."""
        return {
            "predictors": list(self.predictors),
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "vectors": dict(self.vectors),
            "groups": {name: list(names) for name, names in self.groups.items()},
            "species": list(self.species),
            "scale": self.scale.plain(),
            "missing": self.missing,
            "fill": {name: np.asarray(fill).tolist() for name, fill in self.fill.items()},
        }

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> "Inputs":
        """Returns what `plain` wrote; raises `UserError` where it is not whole."""
        try:
            return cls(
                predictors=tuple(plain["predictors"]),
                levels={name: tuple(levels) for name, levels in plain["levels"].items()},
                vectors=dict(plain["vectors"]),
                groups={name: tuple(names) for name, names in plain["groups"].items()},
                species=tuple(plain["species"]),
                scale=Scale.read(plain["scale"]),
                missing=plain["missing"],
                fill={n: np.asarray(fill, np.float32) for n, fill in plain["fill"].items()},
            )
        except (KeyError, TypeError) as error:
            raise UserError(f"this checkpoint describes no species model: {error}") from error


def _fill(table: Table, train: np.ndarray, scale: Scale, missing: Missing) -> dict[str, np.ndarray]:
    found = {}
    middle = scale.mean if missing == "mean" else scale.median
    for i, name in enumerate(table.predictors):
        value = (middle[i] - scale.mean[i]) / scale.std[i]
        if name in table.levels:
            levels = table.values[train, i]
            value = np.bincount(levels[~np.isnan(levels)].astype(int), minlength=1).argmax()
        found[name] = np.array([value], np.float32)
    for name, vector in table.vectors.items():
        found[name] = np.nanmean(vector[train], 0)
    return found
