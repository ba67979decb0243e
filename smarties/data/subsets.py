"""Which examples of a source are learnt from and which are held out, and how many have labels.

Everything is a pure function of labels, ids and a seed.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import pipeline, sources

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Some examples of a source, and their labels.

    Attributes:
      source: they are of.
      indices: [n] in it.
      labels: uint8 [n, L], 1 where a class is present.
      multi: whether an example may have several classes, or none.
    """

    source: sources.Source
    indices: np.ndarray
    labels: np.ndarray
    multi: bool

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, rows: np.ndarray) -> "Part":
        """Returns only these rows, in this order."""
        return dataclasses.replace(self, indices=self.indices[rows], labels=self.labels[rows])


def read(
    source: sources.Source,
    key: str,
    classes: Sequence[str],
    indices: Sequence[int] | None = None,
    present: float = 0.0,
    ignore: int | None = None,
) -> tuple[Part, np.ndarray]:
    """Returns examples with the labels `key`, and their ids [n].

    Args:
      source: each example has `key`: an index, uint8 [L] with 1 where a class is present, or a map
        [H, W] of indices, of which the most frequent counts, or all with enough pixels.
      key: e.g. "labels".
      classes: names, L of them.
      indices: which; None for all.
      present: share of a map's pixels above which a class counts; 0 for the most frequent alone.
      ignore: labels are maps, where this stands for no class, and all classes of a map count.

    Raises:
      UserError: no such key, or labels that do not fit the classes.
    """
    chosen = np.arange(len(source)) if indices is None else np.asarray(indices, int)
    first = sources.first(source)
    if key not in first:
        known = [k for k, v in first.items() if k not in ("images", "valid", "id")]
        raise errors.unknown("key of labels in the source's examples", key, known)
    rank = np.ndim(first[key])
    if ignore is not None and rank != 2:
        raise errors.UserError(
            f"{key} of example {first['id']} is no map [H, W]: data.labels must name one"
        )
    rows, ids = [], []
    for batch, count in pipeline.sequential(source, chosen.tolist()):
        for value, name in zip(batch[key][:count], batch["id"][:count], strict=True):
            where = f"{key} of example {name}"
            rows.append(_row(np.asarray(value), len(classes), where, present, ignore))
            ids.append(str(name))
    labels = np.stack(rows) if rows else np.zeros((0, len(classes)), np.uint8)
    multi = rank == 1 or ignore is not None or (rank > 1 and present > 0)
    return Part(source, chosen, labels, multi), np.array(ids)


def unlabelled(source: sources.Source) -> tuple[Part, np.ndarray]:
    """Returns all examples as of one class, and their ids [n]."""
    ids = [
        str(name) for batch, count in pipeline.sequential(source) for name in batch["id"][:count]
    ]
    return Part(source, np.arange(len(ids)), np.ones((len(ids), 1), np.uint8), True), np.array(ids)


def _row(
    value: np.ndarray, classes: int, where: str, present: float, ignore: int | None
) -> np.ndarray:
    """Returns uint8 [L] of one example's labels."""
    if value.ndim == 1:
        if len(value) != classes:
            raise errors.UserError(f"{where}: {len(value)} labels, but {classes} classes")
        if not np.isin(value, (0, 1)).all():
            raise errors.UserError(f"{where}: {max(value, key=abs)} is not 0 or 1")
        return value.astype(np.uint8)
    flat = value.ravel() if ignore is None else np.unique(value[value != ignore])
    for label in (flat.min(), flat.max()) if len(flat) else ():
        if not 0 <= label < classes:
            raise errors.UserError(
                f"{where}: {label} is none of {classes} classes: labels are 0 to {classes - 1}"
            )
    counts = np.bincount(flat.astype(int), minlength=classes)
    if ignore is not None or (value.ndim and present):
        return (counts > present * flat.size).astype(np.uint8)
    return (np.arange(classes) == counts.argmax()).astype(np.uint8)


def split(
    part: Part, ids: np.ndarray, rules: Mapping[str, Mapping[str, Any]], seed: int
) -> dict[str, Part]:
    """Returns a part of a source cut into the splits of some rules.

    Args:
      part, ids: see `read`.
      rules: by split, exactly one of
        ids    a regular expression that is found in the example's id
        of     the name of a split that the source itself has
        share  of what the other rules leave, stratified by class
      seed: of what `share` draws.

    Raises:
      UserError: an unknown rule, a split without examples, or an example in two splits.
    """
    taken: dict[str, np.ndarray] = {}
    free = np.ones(len(part), bool)
    for name, rule in rules.items():
        if len(rule) != 1 or next(iter(rule)) not in ("ids", "of", "share"):
            raise errors.UserError(f"split {name} is {dict(rule)}: give one of ids, of and share")
        if "share" in rule:
            continue
        taken[name] = _named(part, ids, rule)
        if not free[taken[name]].all():
            twice = ids[taken[name][~free[taken[name]]][0]]
            raise errors.UserError(f"example {twice} of split {name} is in another split too")
        free[taken[name]] = False
    shares = {name: float(rule["share"]) for name, rule in rules.items() if "share" in rule}
    if shares and (min(shares.values()) <= 0 or sum(shares.values()) > 1 + 1e-9):
        raise errors.UserError(f"splits have shares {shares}: above 0, and 1 at most in sum")
    rest = np.flatnonzero(free)
    order = _stratified(part.labels[rest], np.random.default_rng(seed))
    place = (np.arange(len(rest)) + 0.5) / max(len(rest), 1)
    start = 0.0
    for name, share in shares.items():
        inside = (place >= start) & (place < start + share)
        taken[name] = np.sort(rest[order[inside]])
        start += share
    for name, rows in taken.items():
        if not len(rows):
            raise errors.UserError(f"split {name} has no example by its rule {dict(rules[name])}")
    return {name: part.take(taken[name]) for name in rules}


def _named(part: Part, ids: np.ndarray, rule: Mapping[str, Any]) -> np.ndarray:
    if "ids" in rule:
        return np.flatnonzero([re.search(rule["ids"], name) is not None for name in ids])
    known = getattr(part.source, "splits", {})
    if rule["of"] not in known:
        raise errors.unknown("split of the source", rule["of"], known)
    return np.flatnonzero(np.isin(part.indices, np.array(known[rule["of"]])))


def _stratified(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns an order in which any interval has about the classes' shares, by rarest class."""
    rarity = np.where(labels > 0, labels.sum(0)[None], len(labels) + 1).argmin(1)
    tie = rng.random(len(labels))
    place = np.empty(len(labels))
    for group in np.unique(rarity):
        rows = np.flatnonzero(rarity == group)
        place[rows] = (np.argsort(np.argsort(tie[rows])) + rng.random()) / len(rows)
    return np.lexsort((tie, place))


def without_empty(
    parts: Mapping[str, Part],
    classes: Sequence[str],
    leave_out: bool,
    needed: Sequence[str] = ("train", "test"),
) -> tuple[dict[str, Part], tuple[str, ...]]:
    """Returns the splits with the classes that have an example in all `needed`, and these.

    Args:
      parts: by split, those needed among them.
      classes: names.
      leave_out: drop the other classes, and single-label examples of them.
      needed: splits.

    Raises:
      UserError: there is an empty class, and it is not to be left out.
    """
    kept = np.ones(len(classes), bool)
    for split in needed:
        there = parts[split].labels.any(0)
        if not leave_out and not there.all():
            names = ", ".join(classes[i] for i in np.flatnonzero(~there).tolist())
            raise errors.UserError(
                f"split {split} has no example of {names}: give some, or set "
                "data.leave_out_empty=True to leave such classes out"
            )
        kept &= there
    if kept.sum() < 2:
        raise errors.UserError(f"fewer than two classes have an example in {', '.join(needed)}")
    found = {}
    for name, part in parts.items():
        rows = np.arange(len(part)) if part.multi else np.flatnonzero(part.labels[:, kept].any(1))
        found[name] = dataclasses.replace(part.take(rows), labels=part.labels[rows][:, kept])
    return found, tuple(name for name, keep in zip(classes, kept, strict=True) if keep)


def labelled(part: Part, amount: str, seed: int) -> Part:
    """Returns the examples of a training split that have labels in a regime.

    A smaller share is part of a larger one of the same seed. Every class that is there keeps an
    example: of a share as many as rounding gives it, of "k-shot" k where there are so many.

    Args:
      part: the split.
      amount: "100%", "1%", ... or "5-shot": so many examples of each class.
      seed: of the choice.

    Raises:
      UserError: another text, or nothing.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%|(\d+)-shot", amount)
    value = float(found[1] or found[2]) if found else 0.0
    if not found or value <= 0 or (found[1] and value > 100):
        raise errors.UserError(f'labelled is {amount!r}: give e.g. "100%", "1%" or "5-shot"')
    if value == 100 and found[1]:
        return part
    rng = np.random.default_rng(seed)
    order = _stratified(part.labels, rng) if found[1] else rng.permutation(len(part))
    kept = np.zeros(len(part), bool)
    share = max(1, round(len(part) * value / 100)) if found[1] else 0
    kept[order[:share]] = True
    need = 1 if found[1] else int(value)
    for label in np.argsort(
        part.labels.sum(0), kind="stable"
    ).tolist():  # rare classes choose first
        mine = order[part.labels[order, label] > 0]
        lack = need - int((part.labels[kept, label] > 0).sum())
        if lack > 0:
            kept[mine[~kept[mine]][:lack]] = True
    return part.take(np.flatnonzero(kept))


def noisy(labels: np.ndarray, share: float, multi: bool, seed: int) -> np.ndarray:
    """Returns labels [n, L] of which a share is wrong.

    Single labels become one of the other classes; of multi-labels each class's entries are drawn
    from its other examples, so that its frequency stays.

    Raises:
      UserError: a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise errors.UserError(f"label noise of {share}: a share, 0 to 1")
    rng = np.random.default_rng(seed)
    n, classes = labels.shape
    made = labels.copy()
    if multi:
        hit = rng.random(labels.shape) < share
        for column in range(classes):
            rows = np.flatnonzero(hit[:, column])
            made[rows, column] = labels[rng.permutation(n)[: len(rows)], column]
        return made
    rows = np.flatnonzero(rng.random(n) < share)
    moved = (labels[rows].argmax(1) + rng.integers(1, max(classes, 2), len(rows))) % classes
    made[rows] = np.eye(classes, dtype=labels.dtype)[moved]
    return made
