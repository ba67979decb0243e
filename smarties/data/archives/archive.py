"""What an archive is: a published dataset as it lies on disk, read one example at a time.

A reader is a file with a class and its card, and a line in `smarties/data/archives/__init__.py`.
Opening lists names only; pixels are read when an example is. So an archive may be of any size.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from smarties import errors
from smarties.data import checks, sources
from smarties.spectrum import bands, registry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """What one has to know of a dataset before using it.

    Attributes:
      title: as published, with the number of examples.
      task: what its labels are for, e.g. "multi-label classification", or "pretraining".
      units: of each sensor's stored numbers, scale and offset, and how radar was calibrated.
      citation: the paper.
      licence: of the data.
      size: of the archive, as text.
      url: where its owner hands it out.
      layout: the expected files below the root, one line each.
      checksums: of published files by name, "md5:..." or "sha256:..."; {} where none are published.
      tested: "real files", or "files written in its layout".
    """

    title: str
    task: str
    units: str
    citation: str
    licence: str
    size: str
    url: str
    layout: str
    checksums: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tested: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Omission:
    """An example that an archive should have and has not.

    Attributes:
      file: or folder, or metadata row, that is to blame.
      reason: what is wrong with it and what would be right, in one line.
    """

    file: str
    reason: str


class Archive(sources.Source):
    """Examples by split; subclasses list items when opened, name them, and read one.

    Attributes:
      root: the folder.
      sensors: names.
      definitions: the sensors by name.
      classes: label names in the order of their indices; () without labels.
      splits: the range of examples of each split.
      omitted: what opening found missing or contradictory.
      options: constructor arguments that change what is read, JSON-able.
    """

    CARD: ClassVar[Card]
    DATASET: ClassVar[str] = ""  # the published dataset, where versions of it must not be mixed

    def __init__(
        self,
        root: str | Path,
        splits: Mapping[str, Sequence[Any]],
        *,
        sensors: Sequence[str | bands.Sensor],
        classes: Sequence[str] = (),
        omitted: Sequence[Omission] = (),
        options: Mapping[str, Any] | None = None,
    ):
        """Keeps what a subclass has found.

        Args:
          root: the folder.
          splits: items of each split, in the order they are to be read; what an item is, is the
            subclass's affair. Of items of one name the first counts.
          sensors: names or definitions.
          classes, omitted, options: see the attributes.

        Raises:
          UserError: nothing was found.
        """
        self.root = Path(root)
        known = [registry.sensor(sensor) for sensor in sensors]
        self.definitions = {sensor.name: sensor for sensor in known}
        self.sensors = tuple(self.definitions)
        self.classes, self.options = tuple(classes), dict(options or {})
        self.omitted = list(omitted)
        self._items: list[Any] = []
        self.splits: dict[str, range] = {}
        seen: dict[str, str] = {}
        for split, items in splits.items():
            start = len(self._items)
            for item in items:
                name = self.name(item)
                if name in seen:
                    where = f"in {split}" if seen[name] == split else f"in {seen[name]} and {split}"
                    self.omitted.append(
                        Omission(file=name, reason=f"the id appears twice, {where}")
                    )
                    continue
                seen[name] = split
                self._items.append(item)
            self.splits[split] = range(start, len(self._items))
        if not self._items:
            first = f", e.g. {self.omitted[0].file}: {self.omitted[0].reason}" if omitted else ""
            raise errors.UserError(
                f"{self.root}: no example of {type(self).__name__}{first}: `smarties data info` "
                f"says how its files must lie"
            )

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> sources.Example:
        """Returns example `index`.

        Raises:
          Unreadable: a missing, truncated or contradictory file, or numbers of another unit; the
            error names the file.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        item = self._items[index]
        example = {**self.read(item), "id": self.name(item)}
        for sensor, image in example["images"].items():
            where = f"{self.root}: {example['id']}"
            try:
                checks.check_image(image, example["valid"][sensor], self.definitions[sensor], where)
            except errors.Unreadable:
                raise
            except errors.UserError as error:
                raise errors.Unreadable(str(error)) from error
        return example

    @property
    def published(self) -> tuple[str, ...]:
        """DATASET:SPLIT or DATASET of what is read, to tell leakage by; () where none is known."""
        names = (f"{self.DATASET}:{split}".removesuffix(":all") for split in self.splits)
        return tuple(names) if self.DATASET else ()

    def names(self) -> list[str]:
        """Returns the ids of all examples."""
        return [self.name(item) for item in self._items]

    def name(self, item: Any) -> str:
        """Returns the id of an item: the archive's own name for it, the same on every machine."""
        raise NotImplementedError

    def told(self, item: Any) -> str:
        """Returns all that opening has told of an item, partners and labels too, for `identity`."""
        return repr(item)

    def read(self, item: Any) -> sources.Example:
        """Returns the example of an item, without its id.

        Keys and shapes are the same for all items of an archive:
          images      {sensor: [H, W, C]} in the archive's numbers and dtype, all the bands
          valid       {sensor: [H, W] bool}; pixels elsewhere are 0
          labels      uint8 [L] with 1 where a class is present; int64 scalar, the index of a class
          map         uint8 or uint16 [H, W], the class of each pixel, where there is one
          location    float32 [2], longitude and latitude of the centre, degrees WGS 84
          time        float64, seconds since 1970-01-01 UTC; NaN where not recorded
          crs         text, authority code or WKT of the first sensor's grid; "" without
          transform   float64 [6], pixel to ground, the affine coefficients a..f of that grid

        Raises:
          Unreadable: a missing, truncated or contradictory file, named.
        """
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """Returns the options and a digest of the items by split; pixels are not read for it."""
        digest = hashlib.sha256()
        roots = (f"{self.root.resolve()}/", f"{self.root}/")  # the same wherever the archive lies
        for split, part in self.splits.items():
            digest.update(f"{split}\n".encode())
            for i in part:
                told = self.told(self._items[i])
                for root in roots:
                    told = told.replace(root, "")
                digest.update(f"{self.name(self._items[i])} {told}\n".encode())
        return {
            "kind": type(self).__name__,
            "options": self.options,
            "splits": {split: len(part) for split, part in self.splits.items()},
            "digest": digest.hexdigest(),
        }


def inside(root: str | Path, path: str | Path) -> Path:
    """Returns the path below a root that a list or an archive names.

    Raises:
      UserError: the path leaves the root.
    """
    whole = (Path(root) / path).resolve()
    if not whole.is_relative_to(Path(root).resolve()):
        raise errors.UserError(f"{path}: leaves its root {root}: only paths below it are read")
    return whole


def multi_hot(present: Sequence[str], classes: Sequence[str], where: str) -> np.ndarray:
    """Returns uint8 [L], 1 where a class is present.

    Raises:
      Unreadable: an unknown class.
    """
    labels = np.zeros(len(classes), np.uint8)
    for name in present:
        if name not in classes:
            raise errors.Unreadable(f"{where}: {errors.unknown('label', name, classes)}")
        labels[classes.index(name)] = 1
    return labels
