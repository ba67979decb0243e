"""Labelled examples as streams of the pipeline: which labels, which split, and how few of them."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Any, Literal

import numpy as np

from smarties import errors
from smarties.data import sources

Kind = Literal["single", "multi", "map"]
KINDS: tuple[Kind, ...] = ("single", "multi", "map")
_MAPS = ("map", "land_cover")
_CHECKED = 100_000  # examples whose labels are all read before training, to find empty classes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labelled:
    """Some examples of a source, with images of some sensors and labels of one kind.

    Attributes:
      source: where the examples come from.
      indices: which.
      sensors: names of those whose images are given.
      kind: "single", the index of a class, int32; "multi", float32 [L], 1 where a class is there;
        "map", int32 [H, W], class indices or `ignore`.
      classes: names in the order of their indices.
      ignore: label of pixels without a class.
      examples_per_batch: in a global batch.
    """

    source: sources.Source
    indices: tuple[int, ...]
    sensors: tuple[str, ...]
    kind: Kind
    classes: tuple[str, ...]
    ignore: int = 255
    examples_per_batch: int = 1

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns example `index`: {"images": {sensor}, "valid": {sensor}, "labels", "id"}.

        Raises:
          UserError: labels of another kind or number of classes, or out of range.
        """
        example = self.source[self.indices[index]]
        return {
            "images": {name: example["images"][name] for name in self.sensors},
            "valid": {name: example["valid"][name] for name in self.sensors},
            "labels": labels(example, self.kind, len(self.classes), self.ignore),
            "id": example["id"],
        }

    def presence(self) -> np.ndarray:
        """Returns bool [n, L], which classes are in which example; reads them all."""

        def one(index: int) -> np.ndarray:
            try:
                found = self[index]["labels"]
            except errors.Unreadable:
                return np.zeros(len(self.classes), bool)
            if self.kind == "multi":
                return found > 0
            return np.isin(np.arange(len(self.classes)), found)

        with futures.ThreadPoolExecutor(4) as readers:
            return np.stack(list(readers.map(one, range(len(self)))))

    def identity(self) -> dict[str, Any]:
        """Returns what fixes the examples, JSON-able."""
        digest = hashlib.sha256(np.asarray(self.indices, np.int64).tobytes()).hexdigest()
        return {
            "kind": self.kind, "classes": list(self.classes), "sensors": list(self.sensors),
            "examples": digest, "examples_per_batch": self.examples_per_batch,
            "source": self.source.identity(),
        }  # fmt: skip


def labels(example: Mapping[str, Any], kind: Kind, classes: int, ignore: int) -> np.ndarray:
    """Returns the labels of an example as `Labelled` says.

    A single label is that of the example, or else the most frequent class of its map.

    Raises:
      UserError: there are none of this kind, of another number of classes, or out of range.
    """
    where, given = example["id"], example.get("labels")
    if kind == "multi":
        if given is None or np.shape(given) != (classes,):
            raise errors.UserError(
                f"{where}: labels are {_words(given)}, but there are {classes} classes: several "
                "labels are 0 or 1 for each class of data.classes"
            )
        if not np.isin(given, (0, 1)).all():
            raise errors.UserError(f"{where}: labels hold other values than 0 and 1")
        return np.asarray(given, np.float32)
    image = kind == "single" and given is not None and np.shape(given) == ()
    found = given if image else next((example[key] for key in _MAPS if key in example), None)
    if found is None:
        raise errors.UserError(
            f"{where}: labels are {_words(given)}, and there is no map: task.labels "
            f"{kind!r} needs {'a class index' if kind == 'single' else 'a map of classes'}"
        )
    found = np.asarray(found).astype(np.int32)
    strange = (found < 0) | (found >= classes)
    if not image:
        strange &= found != ignore
    if strange.any():
        raise errors.UserError(
            f"{where}: label {found[strange].flat[0]} is out of range: {classes} classes are "
            f"0 to {classes - 1}" + ("" if image else f", and {ignore} where none is known")
        )
    if image or kind == "map":
        return found
    if (found == ignore).all():
        raise errors.Unreadable(f"{where}: its map has no class anywhere: leave it out")
    return np.asarray(np.bincount(found[found != ignore], minlength=classes).argmax(), np.int32)


def _words(value: Any) -> str:
    return "missing" if value is None else f"{np.asarray(value).dtype} {np.shape(value)}"


def part_of(source: sources.Source, split: str | None, part: Sequence[float]) -> tuple[int, ...]:
    """Returns the indices of a split of a source, or of a part of it.

    Args:
      source: of the examples.
      split: by name; None or "" for all.
      part: (from, to), shares 0..1 of the examples in a fixed random order, for data without
        splits of their own. (0, 1) is all, in the order of the source.

    Raises:
      UserError: an unknown split, no such part, or nothing left.
    """
    splits = getattr(source, "splits", {})
    if split and split not in splits:
        raise errors.unknown("split", split, splits)
    indices = np.asarray(splits[split] if split else range(len(source)), np.int64)
    start, stop = part
    if not 0 <= start < stop <= 1:
        raise errors.UserError(f"part {tuple(part)} must be two shares, 0 <= from < to <= 1")
    if (start, stop) != (0, 1):
        order = np.random.default_rng(0).permutation(indices)
        indices = np.sort(order[round(start * len(order)) : round(stop * len(order))])
    if not len(indices):
        raise errors.UserError(f"split {split!r}, part {tuple(part)}: no example is left")
    return tuple(map(int, indices))


def few(stream: Labelled, share: float = 1.0, shots: int = 0, seed: int = 0) -> Labelled:
    """Returns the stream with few of its examples, each class in its share, drawn by `seed`.

    Args:
      stream: all of them.
      share: of the examples of each class, 0..1. Of a smaller share are also those of a larger.
      shots: examples of each class, in place of a share; of several labels, at least as many.
      seed: of the draw.

    Raises:
      UserError: an impossible share, or a class without an example.
    """
    if not 0 < share <= 1 or shots < 0 or (shots and share < 1):
        raise errors.UserError(
            f"data.share {share} must be above 0 and at most 1, data.shots {shots} 0 or more, and "
            "only one of them given"
        )
    if share == 1 and not shots and len(stream) > _CHECKED:
        return stream
    present = stream.presence()
    count = present.sum(0)
    empty = [name for name, n in zip(stream.classes, count, strict=True) if not n]
    if empty:
        raise errors.UserError(
            f"no training example of class {empty[0]!r} ({len(empty)} such): give some, or leave "
            "the class out of data.classes"
        )
    if share == 1 and not shots:
        return stream
    quota = np.minimum(shots, count) if shots else np.maximum(1, np.round(share * count))
    chosen = draw(present, quota.astype(int), seed)
    return dataclasses.replace(stream, indices=tuple(stream.indices[i] for i in chosen))


def draw(present: np.ndarray, quota: np.ndarray, seed: int) -> list[int]:
    """Returns rows of present [n, L] in order, of each class at least `quota` [L], few more.

    The rarest class is filled first, so that of several labels the frequent ones come by the way.
    [iterative stratification, Sechidis et al. 2011]
    """
    order = np.random.default_rng(seed).permutation(len(present))
    taken = np.zeros(len(present), bool)
    for label in np.argsort(present.sum(0), kind="stable"):
        missing = quota[label] - present[taken, label].sum()
        free = order[present[order, label] & ~taken[order]]
        taken[free[: max(0, missing)]] = True
    return np.flatnonzero(taken).tolist()


class StandIn:
    """Blank examples of some sensors, for data that are not here: shapes without contents."""

    def __init__(self, sensors: Sequence[Any], size: int, kind: Kind, classes: int):
        self._sensors = {sensor.name: sensor for sensor in sensors}
        self.sensors = tuple(self._sensors)
        self._size, self._kind, self._classes = size, kind, classes

    def __len__(self) -> int:
        return self._classes

    def __getitem__(self, index: int) -> sources.Example:
        side = (self._size, self._size)
        label = {
            "single": {"labels": np.int64(index)},
            "multi": {"labels": np.eye(self._classes, dtype=np.uint8)[index]},
            "map": {"map": np.full(side, index, np.uint8)},
        }
        images = {
            name: np.zeros((*side, len(sensor.bands)), sensor.bands[0].dtype)
            for name, sensor in self._sensors.items()
        }
        valid = {name: np.ones(side, bool) for name in images}
        return {"images": images, "valid": valid, "id": str(index), **label[self._kind]}

    def identity(self) -> dict[str, Any]:
        return {"kind": "stand-in"}
