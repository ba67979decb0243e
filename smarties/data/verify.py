"""What prepared records hold: checksums, shapes, shares of valid and finite pixels, labels."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import publishing, records


@dataclasses.dataclass(kw_only=True)
class Report:
    """What was found.

    Attributes:
      counts: examples of each split.
      corrupt: a line for everything that is not what was written.
      valid: share of valid pixels of each sensor.
      finite: share of its valid pixels that are finite in all bands.
      labels: examples of each class, by split.
      omitted: examples that were left out when the records were written.
    """

    counts: dict[str, int]
    corrupt: list[str] = dataclasses.field(default_factory=list)
    valid: dict[str, float] = dataclasses.field(default_factory=dict)
    finite: dict[str, float] = dataclasses.field(default_factory=dict)
    labels: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    omitted: int = 0


def verify(
    source: records.Records, progress: Callable[[Iterable[Any]], Iterable[Any]] = iter
) -> Report:
    """Returns what a pass over all records finds; `progress` wraps the iteration over them."""
    report = Report(
        counts={split: len(part) for split, part in source.splits.items()},
        omitted=source.index["omitted"],
    )
    pixels = {name: np.zeros(3, np.int64) for name in source.sensors}
    for split, part in source.splits.items():
        labels, start = np.zeros(len(source.classes), np.int64), part.start
        digest, damaged = publishing.begin_digest(source.index), len(report.corrupt)
        for shard in source.index["splits"][split]:
            end = start + shard["count"]
            checksums = bytearray()
            for index in progress(range(start, end)):
                try:
                    checksums += publishing.checksum(_seen(source, index, pixels, labels))
                except errors.Unreadable as error:
                    report.corrupt.append(str(error))
            whole = hashlib.sha256(checksums).hexdigest() == shard["checksum"]
            if not whole and len(report.corrupt) == damaged:
                report.corrupt.append(
                    f"{source.directory / shard['file']}: not the records that were written: "
                    f"copy the file again"
                )
            digest.update(checksums)
            start = end
        if len(report.corrupt) == damaged and digest.hexdigest() != source.index["digests"][split]:
            report.corrupt.append(
                f"{source.directory / records.INDEX}: classes, sensors or layout are not those "
                f"that were written: copy the file again"
            )
        report.labels[split] = dict(zip(source.classes, map(int, labels), strict=True))
    for name, (all_, valid, finite) in pixels.items():
        report.valid[name] = valid / max(all_, 1)
        report.finite[name] = finite / max(valid, 1)
    return report


def _seen(source: records.Records, index: int, pixels, labels: np.ndarray) -> bytes:
    """Returns a record; counts what is in it."""
    record, example = source.read(index)
    for name, mask in example["valid"].items():
        finite = np.isfinite(example["images"][name][mask]).all(-1).sum()
        pixels[name] += (mask.size, mask.sum(), finite)
    if len(labels) and "labels" in example:
        given = example["labels"]
        labels += given if given.ndim else np.arange(len(labels)) == given
    return record
