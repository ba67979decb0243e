"""The labelled examples of an evaluation: opened at once, read when their numbers are needed."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import part, sources, subsets
from smarties.inference import protocol


class Splits:
    """The splits of a configuration's `data` section.

    A split is a source of its own, or a rule for `data.source`, see `subsets.split`.

    Attributes:
      digest: hash of what fixes the examples and their labels.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        labelled: Sequence[str],
        seed: int,
        maps: Mapping[str, Any] | None = None,
    ):
        """Opens the sources.

        Args:
          data: the section.
          labelled: regimes, see `subsets.labelled`.
          seed: of rules and regimes.
          maps: the section `segmentation`, where labels are maps, whose pixels are judged: a row
            of a part's labels then has all classes of a map.

        Raises:
          UserError: a missing source, or no names of classes.
        """
        self._data, self._labelled, self._seed, self._maps = data, labelled, seed, maps
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
    def table(self) -> np.ndarray:
        """The index [256] in `classes`, or `part.IGNORE`, of each index of a map."""
        table = np.full(256, part.IGNORE, np.uint8)
        for new, name in enumerate(self.classes):
            table[self._classes.index(name)] = new
        return table

    @functools.cached_property
    def train(self) -> subsets.Part:
        """The training examples that some regime has labels of."""
        return self.parts["train"].take(self._regimes[0])

    def regime(self, amount: str) -> np.ndarray:
        """Returns which rows of `train` have labels in a regime."""
        return self._regimes[1][amount]

    @functools.cached_property
    def _regimes(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        whole, chosen = self.parts["train"], {}
        for amount in self._labelled:
            few = subsets.labelled(whole, amount, self._seed)
            chosen[amount] = np.flatnonzero(np.isin(whole.indices, few.indices))
        needed = np.unique(np.concatenate(list(chosen.values())))
        return needed, {amount: np.searchsorted(needed, rows) for amount, rows in chosen.items()}

    @functools.cached_property
    def _read(self) -> tuple[dict[str, subsets.Part], tuple[str, ...]]:
        key, ignore = self._data["labels"], None if self._maps is None else part.IGNORE

        def read(source):
            return subsets.read(source, key, self._classes, ignore=ignore)

        parts, names = {}, {}
        for split, source in self._own.items():
            parts[split], names[split] = read(source)
        if self._shared is not None:
            whole, ids = read(self._shared)
            cut = subsets.split(whole, ids, self._rules, self._seed)
            parts |= cut
            names |= {split: ids[some.indices] for split, some in cut.items()}
        needed = ("train", "test")
        if self._maps is not None:  # classes that the test lacks count in no mean there
            needed = ("train",)
            sides = {n: np.shape(sources.first(p.source)[key]) for n, p in parts.items()}
            part.check_apart(names, sides, self._maps["shared_scenes"])
        return subsets.without_empty(parts, self._classes, self._data["leave_out_empty"], needed)

    def _names(self) -> tuple[str, ...]:
        names = self._data["classes"] or getattr(self.source("train"), "classes", ())
        if len(names) < 2:
            raise errors.UserError(
                "data.classes is not given, and the source has no names of classes: list them"
            )
        if len(set(names)) < len(names):
            raise errors.UserError("data.classes names a class twice")
        if self._maps is not None and len(names) > part.IGNORE:
            raise errors.UserError(f"{len(names)} classes: a map has {part.IGNORE} at most")
        return tuple(names)

    def _digest(self) -> str:
        data = {k: v for k, v in self._data.items() if k not in ("source", "splits", "classes")}
        own = {name: source.identity() for name, source in sorted(self._own.items())}
        shared = self._shared.identity() if self._shared is not None else None
        drawn = self._seed if any("share" in rule for rule in self._rules.values()) else None
        return protocol.digest((data, self._classes, self._rules, own, shared, drawn))
