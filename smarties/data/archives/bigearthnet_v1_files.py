"""Which patches of BigEarthNet v1 there are: folders, lists of splits, pairs, and JSON files."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

from smarties import errors
from smarties.data.archives import archive, bigearthnet_patches
from smarties.data.archives.bigearthnet_patches import S1, S2

Item = tuple[str, ...]  # names of a patch's images, by the order of the kinds asked for
_THREADS = 16  # for many small files: these wait for the disk


def index(
    folders: Mapping[str, Path],
    lists: Mapping[str, str | Path],
    exclude: Sequence[str | Path],
    pairs: str | Path | None,
    check: Callable[[Item], object],
) -> tuple[dict[str, list[Item]], list[archive.Omission]]:
    """Returns the items of each split, and what was left out and why.

    Args:
      folders: of the kinds of images (`S2`, `S1`) to read, in this order; or of `S1` alone.
      lists: by split; {} for all patches as "train".
      exclude: lists of patches to leave out.
      pairs: list of pairs; None where the lists or the JSON files tell them.
      check: raises `Unreadable` for an item to leave out; used without lists.

    Raises:
      UserError: a missing folder or list, or a list with anything but names of patches.
    """
    found = {kind: _names(folder) for kind, folder in folders.items()}
    parts = {split: read_list(file) for split, file in lists.items()}
    rows = [row for part in parts.values() for row in part]
    omitted: list[archive.Omission] = []
    twins: dict[str, dict[str, str]] = {}
    if S1 in found and (rows or S2 in found):
        told = [row for row in rows + (read_list(pairs) if pairs else []) if len(row) == 2]
        if not pairs and (not rows or any(not set(row) >= set(found) for row in rows)):
            told += _pairs(folders[S1], found[S1] - {row[S1] for row in told}, omitted)
        twins = _twins([pair for pair in told if pair[S1] in found[S1]], found, omitted)
    if not parts:
        kind = next(iter(found))
        parts = {"train": [{kind: name} for name in sorted(found[kind])]}
    unwanted = {name: file for file in exclude for row in read_list(file) for name in row.values()}
    splits: dict[str, list[Item]] = {split: [] for split in parts}
    for split, part in parts.items():
        for row in part:
            name = row.get(S2) or row[S1]
            names = {**row, **twins.get(name, {})}
            reason = _missing(names, found, unwanted)
            if reason:
                omitted.append(archive.Omission(file=name, reason=reason))
            else:
                splits[split].append(tuple(names[kind] for kind in found))
    if not lists:
        splits = {split: _checked(items, check, omitted) for split, items in splits.items()}
    return splits, omitted


def read_list(file: str | Path) -> list[dict[str, str]]:
    """Returns the patches of a text or CSV file, {kind: name} of each line; a header is skipped.

    Raises:
      UserError: no such file, or a line without a patch's name, or with a path.
    """
    rows = []
    try:
        lines = Path(file).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UserError(f"{file}: missing or no text ({error})") from error
    for number, line in enumerate(lines, 1):
        words = [word for word in re.split(r"[,;\s]+", line.replace('"', " ")) if word]
        if not words or (number == 1 and not re.search(r"S[12][A-D]_", line)):
            continue
        row = {}
        for word in (word for word in words if re.search(r"S[12][A-D]_", word)):
            try:
                row[S1 if bigearthnet_patches.parse(word).mission[1] == "1" else S2] = word
            except errors.UserError as error:
                raise errors.UserError(f"{file}, line {number}: {error}") from error
        if not row:
            raise errors.UserError(f"{file}, line {number}: {line[:80]!r} names no patch")
        rows.append(row)
    return rows


def describe(folder: Path) -> dict[str, Any]:
    """Returns a patch's JSON file, with "labels", "coordinates" and "projection" at the least.

    Sentinel-1 files have "lly" for "lry" and "acquisition_time" for "acquisition_date"; here they
    have Sentinel-2's names.

    Raises:
      Unreadable: a missing or truncated file, or one without these keys.
    """
    file = folder / f"{folder.name}_labels_metadata.json"
    try:
        described = json.loads(file.read_text())
        corners = described["coordinates"]
        corners["lry"] = float(corners.pop("lly") if "lly" in corners else corners["lry"])
        for key in ("ulx", "uly", "lrx"):
            corners[key] = float(corners[key])
        labels, projection = described["labels"], described["projection"]
        if not isinstance(projection, str) or not all(isinstance(name, str) for name in labels):
            raise TypeError("labels and projection must be text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.Unreadable(f"{file}: missing, truncated or incomplete ({error!r})") from error
    if "acquisition_time" in described:
        described["acquisition_date"] = described.pop("acquisition_time")
    return described


def _missing(
    names: Mapping[str, str], found: Mapping[str, set[str]], unwanted: Mapping[str, str | Path]
) -> str:
    """Returns why a patch is to be left out, "" if it is not."""
    for name in names.values():
        if name in unwanted:
            return f"listed in {unwanted[name]}"
    for kind, known in found.items():
        if kind not in names:
            return f"no image of {kind} belongs to it"
        if names[kind] not in known:
            return f"listed or paired, but there is no folder {names[kind]} of {kind}"
    return ""


def _pairs(root: Path, names: set[str], omitted: list[archive.Omission]) -> list[dict[str, str]]:
    """Returns the pairs that the JSON files of Sentinel-1 patches tell."""

    def corresponding(name: str) -> dict[str, str] | str:
        try:
            return {S2: str(describe(root / name)["corresponding_s2_patch"]), S1: name}
        except errors.Unreadable as error:
            return str(error)
        except KeyError:
            return f"{root / name}: its JSON names no corresponding_s2_patch"

    ordered = sorted(names)
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(corresponding, ordered))
    for name, result in zip(ordered, results, strict=True):
        if isinstance(result, str):
            omitted.append(archive.Omission(file=name, reason=result))
    return [result for result in results if not isinstance(result, str)]


def _twins(
    pairs: list[dict[str, str]], found: Mapping[str, set[str]], omitted: list[archive.Omission]
) -> dict[str, dict[str, str]]:
    """Returns each pair by both of its names; the first counts where two claim a patch."""
    twins: dict[str, dict[str, str]] = {}
    for pair in pairs:
        taken = twins.get(pair[S2], pair)
        if taken != pair:
            reason = f"{pair[S2]} is already paired with {taken[S1]}"
            omitted.append(archive.Omission(file=pair[S1], reason=reason))
            continue
        twins[pair[S2]] = twins[pair[S1]] = pair
        if S2 in found and pair[S2] not in found[S2]:
            reason = f"no Sentinel-2 patch {pair[S2]} for it"
            omitted.append(archive.Omission(file=pair[S1], reason=reason))
    return twins


def _checked(
    items: list[Item], check: Callable[[Item], object], omitted: list[archive.Omission]
) -> list[Item]:
    """Returns the items that pass a check."""

    def wrong(item: Item) -> str:
        try:
            check(item)
        except errors.Unreadable as error:
            return str(error)
        return ""

    with futures.ThreadPoolExecutor(_THREADS) as pool:
        reasons = list(pool.map(wrong, items))
    for item, reason in zip(items, reasons, strict=True):
        if reason:
            omitted.append(archive.Omission(file=item[0], reason=reason))
    return [item for item, reason in zip(items, reasons, strict=True) if not reason]


def _names(root: Path) -> set[str]:
    try:
        return set(os.listdir(root))
    except OSError as error:
        raise errors.UserError(f"no such folder: {root}: put the patches there") from error
