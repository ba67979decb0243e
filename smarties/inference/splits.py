"""The labelled examples of an evaluation: opened at once, read when their numbers are needed."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import sources, subsets
from smarties.inference import protocol


class Splits:
    """The splits of a configuration's `data` section.

    A split is a source of its own, or a rule for `data.source`, see `subsets.split`.

    Attributes:
      digest: hash of what fixes the examples and their labels.
    """

    def __init__(self, data: Mapping[str, Any], labelled: Sequence[str], seed: int):
        """Opens the sources.

        Args:
          data: the section.
          labelled: regimes, see `subsets.labelled`.
          seed: of rules and regimes.

        Raises:
          UserError: a missing source, or no names of classes.
        """
        self._data, self._labelled, self._seed = data, labelled, seed
        cut = data["splits"]
        self._own = {name: sources.source(**rule) for name, rule in cut.items() if "kind" in rule}
        self._rules = {name: dict(rule) for name, rule in cut.items() if name not in self._own}
        self._shared = (
            sources.source(**data["source"]) if self._rules and "source" in data else None
        )
        if self._rules and self._shared is None:
            raise errors.UserError(
                f"data.splits.{next(iter(self._rules))} is a rule: data.source must say of what"
            )
        self._classes = self._names()
        self.digest = self._digest()

    def source(self, split: str) -> sources.Source:
        """Returns the source a split is of."""
        source = self._own.get(split, self._shared)
        assert source is not None
        return source

    @property
    def parts(self) -> dict[str, subsets.Part]:
        """The splits with their labels."""
        return self._read[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that count."""
        return self._read[1]

    @functools.cached_property
    def train(self) -> subsets.Part:
        """The training examples that some regime has labels of."""
        return self.parts["train"].take(self._regimes[0])

    def regime(self, amount: str) -> np.ndarray:
        """Returns which rows of `train` have labels in a regime."""
        return self._regimes[1][amount]

    @functools.cached_property
    def _regimes(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        part, chosen = self.parts["train"], {}
        for amount in self._labelled:
            few = subsets.labelled(part, amount, self._seed)
            chosen[amount] = np.flatnonzero(np.isin(part.indices, few.indices))
        needed = np.unique(np.concatenate(list(chosen.values())))
        return needed, {amount: np.searchsorted(needed, rows) for amount, rows in chosen.items()}

    @functools.cached_property
    def _read(self) -> tuple[dict[str, subsets.Part], tuple[str, ...]]:
        key = self._data["labels"]
        parts = {n: subsets.read(s, key, self._classes)[0] for n, s in self._own.items()}
        if self._shared is not None:
            whole, ids = subsets.read(self._shared, key, self._classes)
            parts |= subsets.split(whole, ids, self._rules, self._seed)
        return subsets.without_empty(parts, self._classes, self._data["leave_out_empty"])

    def _names(self) -> tuple[str, ...]:
        names = self._data["classes"] or getattr(self.source("train"), "classes", ())
        if len(names) < 2:
            raise errors.UserError(
                "data.classes is not given, and the source has no names of classes: list them"
            )
        if len(set(names)) < len(names):
            raise errors.UserError("data.classes names a class twice")
        return tuple(names)

    def _digest(self) -> str:
        data = {k: v for k, v in self._data.items() if k not in ("source", "splits", "classes")}
        own = {name: source.identity() for name, source in sorted(self._own.items())}
        shared = self._shared.identity() if self._shared is not None else None
        drawn = self._seed if any("share" in rule for rule in self._rules.values()) else None
        return protocol.digest((data, self._classes, self._rules, own, shared, drawn))
