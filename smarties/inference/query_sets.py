"""The images that ask and the images that are asked for, and which of these are the same place."""

import functools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from smarties import errors
from smarties.data import sources, subsets
from smarties.inference import protocol

Name = Literal["query", "archive"]
SETS: tuple[Name, Name] = ("query", "archive")


class Sets:
    """The query and the archive set of a configuration's `data` section.

    Each is a source of its own, or a rule for `data.source`, see `subsets.split`. Without an
    archive the queries are that too. They are opened at once, and read when needed.

    Attributes:
      sources: by set.
      classes: names; ("",) without labels.
      digest: hash of what fixes the examples and their labels.
    """

    def __init__(self, data: Mapping[str, Any], labels: bool, seed: int):
        """Opens the sources.

        Args:
          data: the section.
          labels: whether they are needed.
          seed: of rules.

        Raises:
          UserError: a missing or empty source, or no names of classes.
        """
        self._data, self._seed = data, seed
        self._key = data["labels"] if labels else None
        given = data["splits"]
        self._own = {name: sources.source(**rule) for name, rule in given.items() if "kind" in rule}
        self._rules = {name: dict(rule) for name, rule in given.items() if name not in self._own}
        if self._rules and "source" not in data:
            raise errors.UserError(
                f"data.splits.{next(iter(self._rules))} is a rule: data.source must say of what"
            )
        self._shared = sources.source(**data["source"]) if self._rules else None
        asked = self._own.get("query", self._shared)
        assert asked is not None
        there = self._own.get("archive", self._shared if "archive" in self._rules else asked)
        assert there is not None
        self.sources = dict(zip(SETS, (asked, there), strict=True))
        for name, source in self.sources.items():
            if not len(source):
                raise errors.UserError(f"the {name} is empty: its source has no examples")
        self.classes = self._names() if labels else ("",)
        self.digest = self._digest()

    @property
    def query(self) -> subsets.Part:
        """The queries."""
        return self._read["query"][0]

    @property
    def archive(self) -> subsets.Part:
        """The archive."""
        return self._read["archive"][0]

    def ids(self, name: Name) -> np.ndarray:
        """Returns the ids [n] of the examples of a set."""
        return self._read[name][1]

    @functools.cached_property
    def places(self) -> np.ndarray:
        """The row of the archive [Q] that is the same place as a query, by its id; -1 for none.

        Ids mean places: two sources that call different places alike are not to be searched.
        """
        row = {name: i for i, name in enumerate(self.ids("archive").tolist())}
        return np.array([row.get(name, -1) for name in self.ids("query").tolist()])

    @functools.cached_property
    def _read(self) -> dict[str, tuple[subsets.Part, np.ndarray]]:
        found = {name: self._labelled(source) for name, source in self._own.items()}
        if self._shared is not None:
            whole, ids = self._labelled(self._shared)
            row = {int(index): i for i, index in enumerate(whole.indices)}
            for name, part in subsets.split(whole, ids, self._rules, self._seed).items():
                found[name] = part, ids[[row[int(index)] for index in part.indices]]
        return {"archive": found["query"], **found}

    def _labelled(self, source: sources.Source) -> tuple[subsets.Part, np.ndarray]:
        if self._key is None:
            return subsets.unlabelled(source)
        return subsets.read(source, self._key, self.classes, present=self._data["present"])

    def _names(self) -> tuple[str, ...]:
        names = tuple(self._data["classes"] or getattr(self.sources["archive"], "classes", ()))
        if len(names) < 2 or len(set(names)) < len(names):
            raise errors.UserError(
                f"data.classes is {names}, and the source has no names of classes: list two or "
                "more, none twice"
            )
        return names

    def _digest(self) -> str:
        kept = {k: v for k, v in self._data.items() if k not in ("source", "splits", "classes")}
        labels = (kept, self.classes) if self._key is not None else None
        own = {name: source.identity() for name, source in sorted(self._own.items())}
        shared = self._shared.identity() if self._shared is not None else None
        drawn = self._seed if any("share" in rule for rule in self._rules.values()) else None
        return protocol.digest((labels, self._rules, own, shared, drawn))
