"""A trained species model as one of named columns: its vectors, which no table has, stay hidden."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smarties.errors import UserError
from smarties.inference import species


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """See `species_games.Model`; `levels` are those of categorical columns, by name."""

    model: species.SpeciesModel

    @property
    def predictors(self) -> Sequence[str]:
        return self.model.predictors

    @property
    def species(self) -> Sequence[str]:
        return self.model.species

    @property
    def levels(self) -> Mapping[str, Sequence[str]]:
        return self.model.inputs.levels

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        known = set(self.predictors)
        found = {
            group: tuple(name for name in names if name in known)
            for group, names in self.model.groups.items()
        }
        return {group: names for group, names in found.items() if names}

    def predict(self, values: Any, keep: Any) -> Any:
        hidden = len(self.model.inputs.vectors)
        return self.model.predict(values, np.pad(keep, ((0, 0), (0, hidden))))


def load(path: str) -> Columns:
    """Returns the model of a run; raises `UserError` where it trained no species model."""
    import smarties

    model = smarties.load(path)
    if not isinstance(model, species.SpeciesModel):
        raise UserError(f"{path} is no species model: give a run of the task 'species'")
    return Columns(model)
