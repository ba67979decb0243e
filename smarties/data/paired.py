"""Two sources as one, by a list of pairs: the images of both, what else is known from the first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smarties import errors
from smarties.data import pairs as lists
from smarties.data import sources


class Paired(sources.Source):
    """Examples of a list of pairs.

    Attributes:
      sensors: names, those of the first source before those of the second.
      definitions: the sensors by name.
      classes: label names of the first.
      splits: the range of examples of each split of the list.
      list: the pairs, and how they were found.
    """

    def __init__(
        self,
        pairs: str | Path,
        first: Mapping[str, Any],
        second: Mapping[str, Any],
        *,
        sha256: str | None = None,
    ):
        """Opens both sources; they are read when an example is.

        Args:
          pairs: file that `smarties data pairs` has written.
          first, second: kind and arguments of the sources, see `sources.source`.
          sha256: the digest the list must have; None to trust the file's own.

        Raises:
          UserError: another list, a name that no example has, or a sensor that both have.
        """
        self.list = lists.read_list(pairs, sha256)
        self._sources = tuple(sources.source(**given) for given in (first, second))
        one, two = self._sources
        for sensor in one.sensors:
            if sensor in two.sensors:
                raise errors.UserError(
                    f"{pairs}: both sources have {sensor}: read it from one only"
                )
        self.sensors = (*one.sensors, *two.sensors)
        self.definitions = {
            **getattr(one, "definitions", {}), **getattr(two, "definitions", {})
        }  # fmt: skip
        self.classes = getattr(one, "classes", ())
        self.published = tuple(name for s in self._sources for name in sources.published(s))
        places = [dict(zip(_names(source), range(len(source)), strict=True))
                  for source in self._sources]  # fmt: skip
        self._pairs = []
        self.splits: dict[str, range] = {}
        for split in dict.fromkeys(pair.split for pair in self.list.pairs):
            start = len(self._pairs)
            for pair in self.list.pairs:
                if pair.split == split:
                    both = zip((pair.first, pair.second), places, strict=True)
                    self._pairs.append([_place(name, known, pairs) for name, known in both])
            self.splits[split or "train"] = range(start, len(self._pairs))

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> sources.Example:
        """Returns pair `index`: images and masks of both, all else of the first."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        one, two = (s[i] for s, i in zip(self._sources, self._pairs[index], strict=True))
        both = {key: {**one[key], **two[key]} for key in ("images", "valid")}
        return {**one, **both, "id": f"{one['id']}|{two['id']}"}

    def identity(self) -> dict[str, Any]:
        """Returns the list's digest and the sources'."""
        found = [source.identity() for source in self._sources]
        return {"kind": "paired", "list": self.list.sha256, "sources": found}


def _names(source: sources.Source) -> list[str]:
    """Returns the ids of a source, without reading an example where it is an archive."""
    names = getattr(source, "names", None)
    return names() if names else [source[i]["id"] for i in range(len(source))]


def _place(name: str, places: Mapping[str, int], where: str | Path) -> int:
    if name not in places:
        raise errors.UserError(f"{where}: no example is called {name!r}: make the list again")
    return places[name]
