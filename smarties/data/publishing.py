"""Finished shards to a dataset: gathered, described, and put in place whole or not at all.

Shards wait in `OUT/NAME/.VERSION-parts`. Publishing happens under a lock, one job after the other;
whatever a killed one has left is put in order by the next.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smarties import errors
from smarties.data import builder, records, sources
from smarties.spectrum import registry

OMITTED = "omitted.jsonl"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a call has done.

    Attributes:
      directory: of the dataset; None while other shards are missing.
      written: examples of each split in the shards that are finished.
      omitted: {"split", "reason"} of each example that was not, and of what the source had omitted.
      finished, shards: how many there are, and how many there will be.
    """

    directory: Path | None
    written: Mapping[str, int]
    omitted: Sequence[Mapping[str, str]]
    finished: int
    shards: int


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a split: a range of examples of the source."""

    split: str
    number: int
    count: int  # of shards of the split
    examples: range

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}-of-{self.count:05d}"


def splits(source: sources.Source) -> Mapping[str, range]:
    """Returns the examples of each split; "all" becomes "train", as TFDS means another by it."""
    found = getattr(source, "splits", None) or {"train": range(len(source))}
    return {"train" if name == "all" else name: part for name, part in found.items()}


def parts_of(target: Path) -> Path:
    """Returns the folder where the shards of a dataset NAME/VERSION wait."""
    return target.with_name(f".{target.name}-parts")


@contextlib.contextmanager
def alone(target: Path) -> Iterator[None]:
    """Lets one job after the other look at a target and change it; mends what a killed one left.

    Raises:
      UserError: the file system has no locks.
    """
    with target.with_name(f".{target.name}-lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise errors.UserError(
                f"{target.parent}: its file system has no locks ({error.strerror}): let one "
                f"process write all shards, or choose another folder"
            ) from error
        aside = _aside(target)
        if aside.exists() and not target.exists():
            aside.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
        yield


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}-replaced")


def published(source: sources.Source, target: Path, shards: int | None) -> Outcome | None:
    """Returns the outcome of others that have made a target of the same source, else None.

    Args:
      source: of the examples.
      target: an existing dataset.
      shards: of each split; None for any number.
    """
    known = records.Records(target)
    made = [len(part) for part in known.index["splits"].values()]
    if known.index["source"] != source.identity() or shards and {*made} != {shards}:
        return None
    return Outcome(
        directory=target,
        written={name: len(part) for name, part in known.splits.items()},
        omitted=[json.loads(line) for line in (target / OMITTED).read_text().splitlines()],
        finished=sum(made),
        shards=sum(made),
    )


def gather(
    source: sources.Source,
    target: Path,
    plan: Mapping[str, Any],
    todo: Sequence[Shard],
    *,
    strict: bool,
    about: Mapping[str, str],
) -> Outcome:
    """Returns what the finished shards hold; publishes them when they are all there.

    Args:
      source: of the examples.
      target: the folder to make, or to replace.
      plan: of the parts.
      todo: all shards.
      strict: raise where an example was omitted.
      about: see `prepare.prepare`.

    Raises:
      UserError: nothing could be written, or with `strict` the first omission.
    """
    parts = parts_of(target)
    done = [shard for shard in todo if (parts / f"{shard.name}.json").exists()]
    entries = {s: json.loads((parts / f"{s.name}.json").read_text()) for s in done}
    omitted = [{"split": "", "reason": f"{o.file}: {o.reason}"} for o in omissions(source)]
    omitted += [{"split": s.split, "reason": text} for s in done for text in entries[s]["omitted"]]
    if strict and omitted:
        raise errors.UserError(f"{omitted[0]['reason']} (and nothing may be omitted: --strict)")
    written = dict.fromkeys(splits(source), 0)
    for shard in done:
        written[shard.split] += entries[shard]["count"]
    whole = len(done) == len(todo)
    if whole and not any(written.values()):
        shutil.rmtree(parts)
        raise errors.UserError(f"no example could be written: {omitted[0]['reason']}")
    if whole:
        _publish(source, target, plan, entries, omitted, about)
    return Outcome(
        directory=target if whole else None,
        written=written,
        omitted=omitted,
        finished=len(done),
        shards=len(todo),
    )


def omissions(source: sources.Source) -> Sequence[Any]:
    """Returns what an archive has found missing when it was opened."""
    return getattr(source, "omitted", ())


def _publish(source, target: Path, plan, entries, omitted, about) -> None:
    """Makes the dataset beside its place, and puts it there."""
    parts, index = parts_of(target), _index(source, plan, len(omitted))
    files: dict[str, list[tuple[Path, int]]] = {}
    for split in splits(source):
        of_split = [(shard, entry) for shard, entry in entries.items() if shard.split == split]
        if not any(entry["count"] for _, entry in of_split):
            continue  # TFDS knows no empty splits
        digest = begin_digest(index)
        index["splits"][split], files[split] = [], []
        for shard, entry in of_split:
            checksums = bytes.fromhex(entry["checksums"])
            digest.update(checksums)
            suffix = f"{shard.number:05d}-of-{shard.count:05d}"
            index["splits"][split].append({
                "file": f"{target.parent.name}-{split}.array_record-{suffix}",
                "count": entry["count"],
                "bytes": entry["bytes"],
                "checksum": hashlib.sha256(checksums).hexdigest(),
            })  # fmt: skip
            files[split].append((parts / f"{shard.name}.array_record", entry["count"]))
        index["digests"][split] = digest.hexdigest()
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in omitted)
    made = builder.build(
        target.parent.name,
        parts / "built",
        fields=plan["layout"],
        about={"description": f"Prepared by smarties from {plan['source']['kind']}.", **about},
        shards=files,
        extra={records.INDEX: json.dumps(index, indent=1), OMITTED: lines},
    )
    if target.exists():
        target.rename(_aside(target))
    made.rename(target)
    shutil.rmtree(_aside(target), ignore_errors=True)
    shutil.rmtree(parts, ignore_errors=True)


def _index(source: sources.Source, plan: Mapping[str, Any], omitted: int) -> dict[str, Any]:
    """Returns the contents of `smarties.json`, without the shards."""
    definitions = getattr(source, "definitions", {})
    known = {name: definitions.get(name) or registry.sensor(name) for name in source.sensors}
    return {
        "format": records.FORMAT,
        "sensors": {name: registry.sensor_to_dict(sensor) for name, sensor in known.items()},
        "classes": list(getattr(source, "classes", ())),
        "published": list(sources.published(source)),
        "source": plan["source"],
        "layout": plan["layout"],
        "splits": {},
        "digests": {},
        "omitted": omitted,
    }


def begin_digest(index: Mapping[str, Any]) -> Any:
    """Returns the hash of a split before its records' checksums: what the records mean.

    They do not name bands, classes and shapes themselves.
    """
    meaning = [index["layout"], index["sensors"], index["classes"]]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode())


def checksum(record: bytes) -> bytes:
    """Returns the four bytes by which a record is known."""
    return zlib.crc32(record).to_bytes(4, "little")
