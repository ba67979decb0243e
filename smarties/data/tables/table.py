"""A table of places: predictors by name, and a sparse matrix of the species found."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from smarties.errors import UserError, unknown

SPREAD = 1e-4  # added to standard deviations [arXiv 2503.13057, code]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Places with predictors and species.

    Attributes:
      predictors: names of the columns of `values`; those of vectors are in `vectors` alone.
      values: [n, F] float32 in the units of the source, NaN where missing; of a categorical
        predictor the index of its level.
      levels: {name: its levels in order} of categorical predictors.
      vectors: {name: [n, E] float32} of predictors that are vectors.
      groups: {name: names of predictors and vectors}; each is in one group or none.
      species: names of the columns of `presence`.
      presence: [n, S], uint8 compressed by row: 1 where a species was found.
      coordinates: [n, 2], x and y or longitude and latitude.
      degrees: whether coordinates are longitude and latitude.
      sites: [n] names.
      part: [n], "train", "validation" or "test" where the source says, else "".
    """

    predictors: tuple[str, ...]
    values: np.ndarray
    species: tuple[str, ...]
    presence: sparse.csr_array
    coordinates: np.ndarray
    degrees: bool
    sites: np.ndarray
    levels: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    vectors: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    part: np.ndarray | None = None

    def __post_init__(self):
        known = (*self.predictors, *self.vectors)
        if not len(self.values) or not known or not self.species:
            raise UserError(
                f"a table of {len(self.values)} places, {len(known)} predictors and "
                f"{len(self.species)} species: must have some of each"
            )
        if twice := sorted({n for n in known if known.count(n) > 1}):
            raise UserError(f"predictor {twice[0]!r} is there twice: names must differ")
        seen: dict[str, str] = {}
        for group, names in self.groups.items():
            for name in names:
                if name not in known:
                    raise unknown(f"predictor of group {group!r}", name, known)
                if name in seen:
                    raise UserError(
                        f"predictor {name!r} is in groups {seen[name]!r} and {group!r}: one is "
                        "right"
                    )
                seen[name] = group

    def __len__(self) -> int:
        return len(self.values)

    @property
    def tokens(self) -> tuple[str, ...]:
        """Names of all predictors, in the order of masks [B, T]: scalars, then vectors."""
        return (*self.predictors, *self.vectors)

    def rows(self, index: np.ndarray) -> "Table":
        """Returns the table of some places."""
        return dataclasses.replace(
            self,
            values=self.values[index],
            presence=self.presence[index],
            coordinates=self.coordinates[index],
            sites=self.sites[index],
            vectors={name: vector[index] for name, vector in self.vectors.items()},
            part=None if self.part is None else self.part[index],
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """How numbers are standardised: (x - mean) / (std + 1e-4), by statistics of training rows.

    Attributes:
      mean, std, median: [F] in the units of the source; of levels 0, 1 and 0.
    """

    mean: np.ndarray
    std: np.ndarray
    median: np.ndarray

    @classmethod
    def of(cls, table: Table, train: np.ndarray) -> "Scale":
        """Returns the statistics of the rows `train`, missing entries left out.

        Raises:
          UserError: a number that has one value, or none, in these rows.
        """
        values = table.values[train].astype(np.float64)
        number = np.array([name not in table.levels for name in table.predictors], bool)
        there = ~np.isnan(values)
        low = values.min(0, initial=np.inf, where=there)
        high = values.max(0, initial=-np.inf, where=there)
        for i in np.flatnonzero(number):
            name = table.predictors[i]
            if not low[i] < high[i]:
                said = f"is {low[i]:g}" if there[:, i].any() else "is missing"
                raise UserError(
                    f"predictor {name!r} {said} in all {len(values)} training rows and tells "
                    "nothing: leave it out"
                )
        mean, std = np.zeros(len(number)), np.ones(len(number))
        median = np.zeros(len(number))
        mean[number] = np.nanmean(values[:, number], 0)
        std[number] = np.nanstd(values[:, number], 0) + SPREAD
        median[number] = np.nanmedian(values[:, number], 0)
        return cls(mean=mean, std=std, median=median)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Returns values [n, F] standardised, float32; NaN stay."""
        return ((values - self.mean) / self.std).astype(np.float32)

    def plain(self) -> dict[str, list[float]]:
        """Returns the statistics, JSON-able."""
        return {f.name: getattr(self, f.name).tolist() for f in dataclasses.fields(self)}

    @classmethod
    def read(cls, plain: Mapping[str, Sequence[float]]) -> "Scale":
        """Returns what `plain` wrote."""
        return cls(**{name: np.asarray(values) for name, values in plain.items()})
