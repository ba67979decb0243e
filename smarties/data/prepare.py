"""Sources to records, shard by shard: by many processes or machines, and again after a kill.

Finished shards wait in `OUT/NAME/.VERSION-parts` beside the plan they belong to. Whoever finishes
the last one publishes the dataset. A shard holds the examples of a fixed range in their order, so
its bytes depend on the source and the number of shards alone.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python import (
    array_record_module,  # pyright: ignore[reportAttributeAccessIssue]: compiled, without stubs
)

from smarties import errors
from smarties.data import builder, checks, records, sources
from smarties.spectrum import registry

OPTIONS = "group_size:1,uncompressed"  # one record is one chunk: random access reads nothing else
SHARD_BYTES = 2**28
LEAST_SHARDS = 8  # of a split, where it has as many examples: work for several processes
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
class _Shard:
    split: str
    number: int
    count: int  # of shards of the split
    examples: range

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:05d}-of-{self.count:05d}"


class _Silent:
    def update(self, count: int) -> None: ...

    def close(self) -> None: ...


def prepare(
    source: sources.Source,
    out: str | Path,
    name: str,
    *,
    shards: int | None = None,
    only: tuple[int, int] | None = None,
    workers: int = 1,
    strict: bool = False,
    overwrite: bool = False,
    about: Mapping[str, str] | None = None,
    progress: Callable[[int], Any] = lambda total: _Silent(),
) -> Outcome:
    """Returns the outcome of writing the examples of a source to `out/NAME/VERSION`.

    Args:
      source: of the examples; of an `Archive` all splits, of others one, "train".
      out: folder of datasets; it is made.
      name: of the dataset; "-" becomes "_", as TFDS wants it.
      shards: files of each split; None for files of about 256 MB, eight or more.
      only: (I, N): write the I-th (from 0) of N shards of each split, for job arrays.
      workers: processes.
      strict: raise the first error instead of omitting the example.
      overwrite: replace a dataset of that name, or parts of another plan.
      about: description, homepage, citation and license for `dataset_info.json`.
      progress: makes, from the number of examples to do, what is told of each that is done.

    Raises:
      UserError: an existing or unwritable target, parts of another plan, no readable example, or
        with `strict` whatever is wrong with one.
    """
    target = Path(out) / _name(name) / builder.VERSION
    if target.exists() and not overwrite:
        if only and (found := _published(source, target, dict.fromkeys(_splits(source), only[1]))):
            return found  # another job was the last
        raise errors.UserError(f"{target} exists: choose another folder or name, or overwrite it")
    fields = builder.layout(sources.first(source))
    plan = _plan(source, fields, only[1] if only else shards)
    parts = _claim(target, plan, overwrite)
    todo = list(_shards(source, plan["shards"]))
    missing = [shard for shard in todo if not (parts / f"{shard.name}.json").exists()]
    chosen = [shard for shard in missing if only is None or shard.number == only[0]]
    bar = progress(sum(len(shard.examples) for shard in chosen))
    with contextlib.closing(bar):
        _write_all(source, fields, chosen, parts, workers, strict, bar.update)
    with _alone(target):
        if not parts.exists() and (found := _published(source, target, plan["shards"])):
            return found  # another job has just done it
        return _gather(source, target, parts, plan, todo, overwrite, about or {})


def _gather(source, target: Path, parts: Path, plan, todo, overwrite: bool, about) -> Outcome:
    """Returns what the finished shards hold; publishes them when they are all there."""
    done = [shard for shard in todo if (parts / f"{shard.name}.json").exists()]
    entries = {s: json.loads((parts / f"{s.name}.json").read_text()) for s in done}
    omitted = [{"split": "", "reason": f"{o.file}: {o.reason}"} for o in _omitted(source)]
    omitted += [{"split": s.split, "reason": text} for s in done for text in entries[s]["omitted"]]
    written = dict.fromkeys(_splits(source), 0)
    for shard in done:
        written[shard.split] += entries[shard]["count"]
    whole = len(done) == len(todo)
    if whole and not any(written.values()):
        shutil.rmtree(parts)
        raise errors.UserError(f"no example could be written: {omitted[0]['reason']}")
    if whole:
        _publish(source, target, parts, plan, entries, omitted, overwrite, about)
    return Outcome(
        directory=target if whole else None,
        written=written,
        omitted=omitted,
        finished=len(done),
        shards=len(todo),
    )


def _name(name: str) -> str:
    plain = name.replace("-", "_").lower()
    if not re.fullmatch("[a-z][a-z0-9_]*", plain):
        raise errors.UserError(f"name {name!r}: small letters, digits and _ make a dataset's name")
    return plain


def _splits(source: sources.Source) -> Mapping[str, range]:
    """Returns the examples of each split; "all" becomes "train", as TFDS means another by it."""
    splits = getattr(source, "splits", None) or {"train": range(len(source))}
    return {"train" if name == "all" else name: part for name, part in splits.items()}


def _omitted(source: sources.Source) -> Sequence[Any]:
    return getattr(source, "omitted", ())


def _plan(source: sources.Source, fields: builder.Layout, shards: int | None) -> dict[str, Any]:
    """Returns what the parts of a dataset must agree on, JSON-able."""
    if shards is not None and shards < 1:
        raise errors.UserError(f"{shards} shards: one or more are needed")
    size = sum(
        np.dtype(f["dtype"]).itemsize * int(np.prod(f["shape"], dtype=int))
        for f in fields
        if f["dtype"] != "text"
    )
    counts = {}
    for split, part in _splits(source).items():
        default = max(LEAST_SHARDS, -(-len(part) * size // SHARD_BYTES))
        counts[split] = shards or max(1, min(default, len(part)))
    return {"source": source.identity(), "layout": fields, "shards": counts}


def _shards(source: sources.Source, counts: Mapping[str, int]) -> Iterator[_Shard]:
    for split, part in _splits(source).items():
        n = counts[split]
        for k in range(n):
            some = part[len(part) * k // n : len(part) * (k + 1) // n]
            yield _Shard(split, k, n, some)


def _claim(target: Path, plan: Mapping[str, Any], overwrite: bool) -> Path:
    """Returns the folder of the parts of a plan, made or found."""
    parts = target.with_name(f".{target.name}-parts")
    file, text = parts / "plan.json", json.dumps(plan, indent=1, sort_keys=True)
    try:
        if file.exists() and file.read_text() != text:
            if not overwrite:
                raise errors.UserError(
                    f"{parts} holds parts of another source, layout or number of shards: give the "
                    f"same command again, or overwrite them"
                )
            shutil.rmtree(parts)
        parts.mkdir(parents=True, exist_ok=True)
        _write_text(file, text)
    except OSError as error:
        raise errors.UserError(
            f"{target}: cannot be written ({error.strerror}): choose a folder that is yours"
        ) from error
    return parts


def _write_text(file: Path, text: str) -> None:
    """Writes a file that is there with all its text or not at all."""
    part = file.with_name(f"{file.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(file)


def _write_all(source, fields, shards, parts: Path, workers: int, strict: bool, update) -> None:
    if workers < 2 or len(shards) < 2:
        for shard in shards:
            _write(source, fields, shard, parts, strict, update)
        return
    context = multiprocessing.get_context("spawn")
    counter, told = context.Value("q", 0), 0
    with futures.ProcessPoolExecutor(
        workers, context, _begin, (source, fields, parts, strict, counter)
    ) as pool:
        waiting = {pool.submit(_work, shard) for shard in shards}
        while waiting:
            done, waiting = futures.wait(waiting, 0.5, futures.FIRST_EXCEPTION)
            now = counter.value
            update(now - told)
            told = now
            for future in done:
                if error := future.exception():
                    pool.shutdown(cancel_futures=True)
                    raise error


def _begin(*state: Any) -> None:
    """Keeps in a worker what all its shards need."""
    global _state
    _state = state


def _work(shard: _Shard) -> None:
    source, fields, parts, strict, counter = _state

    def update(count: int) -> None:
        with counter.get_lock():
            counter.value += count

    _write(source, fields, shard, parts, strict, update)


def _write(source, fields, shard: _Shard, parts: Path, strict: bool, update) -> None:
    """Writes one shard, and when it is whole a file that says so."""
    encode, omitted, checksums = builder.Encoder(fields), [], bytearray()
    part, file = parts / f"{shard.name}.part", parts / f"{shard.name}.array_record"
    writer = array_record_module.ArrayRecordWriter(str(part), OPTIONS)
    for index in shard.examples:
        try:
            example = source[index]
            _check(example, fields, getattr(source, "definitions", {}))
        except errors.UserError as error:
            if strict:
                writer.close()
                raise
            omitted.append(str(error))
        else:
            record = encode(example)
            checksums += zlib.crc32(record).to_bytes(4, "little")
            writer.write(record)
        update(1)
    writer.close()
    part.replace(file)
    entry = {
        "count": len(checksums) // 4,
        "bytes": file.stat().st_size,
        "checksums": checksums.hex(),
        "omitted": omitted,
    }
    _write_text(parts / f"{shard.name}.json", json.dumps(entry))


def _check(example: sources.Example, fields: builder.Layout, definitions: Mapping) -> None:
    """Raises `UserError` for an example that does not belong into the dataset."""
    found = builder.layout(example)
    if found != fields:
        differ = [f for f in found if f not in fields] or [f for f in fields if f not in found]
        text = ", ".join(f"{'/'.join(f['path'])} {f['dtype']} {f['shape']}" for f in differ)
        raise errors.Unreadable(
            f"{example['id']}: {text} is not as in the first example: all examples of a dataset "
            f"have the same fields, shapes and dtypes"
        )
    for name, mask in example["valid"].items():
        if not np.any(mask):
            raise errors.Unreadable(f"{example['id']}: every pixel of {name} is invalid")
        sensor = definitions.get(name) or registry.sensor(name)
        checks.check_image(example["images"][name], mask, sensor, example["id"])


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Lets one job after the other publish a target."""
    file = target.with_name(f".{target.name}-lock")
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        file.unlink(missing_ok=True)


def _published(source: sources.Source, target: Path, shards: Mapping) -> Outcome | None:
    """Returns the outcome of jobs that have made a target of the same source, else None."""
    known = records.Records(target)
    made = {split: len(part) for split, part in known.index["splits"].items()}
    if known.index["source"] != source.identity() or not made.items() <= dict(shards).items():
        return None
    lines = (target / OMITTED).read_text().splitlines()
    return Outcome(
        directory=target,
        written={name: len(part) for name, part in known.splits.items()},
        omitted=[json.loads(line) for line in lines],
        finished=sum(shards.values()),
        shards=sum(shards.values()),
    )


def _publish(source, target: Path, parts, plan, entries, omitted, overwrite, about) -> None:
    """Makes the finished dataset of its parts."""
    definitions = getattr(source, "definitions", {})
    known = {name: definitions.get(name) or registry.sensor(name) for name in source.sensors}
    index: dict[str, Any] = {
        "format": records.FORMAT,
        "sensors": {name: registry.sensor_to_dict(sensor) for name, sensor in known.items()},
        "classes": list(getattr(source, "classes", ())),
        "published": list(sources.published(source)),
        "source": plan["source"],
        "layout": plan["layout"],
        "splits": {},
        "digests": {},
        "omitted": len(omitted),
    }
    # Records do not name their fields' shapes, so the layout is part of what they mean.
    meaning = json.dumps([index["layout"], index["sensors"], index["classes"]], sort_keys=True)
    files: dict[str, list[tuple[Path, int]]] = {}
    for split in _splits(source):
        digest = hashlib.sha256(meaning.encode())
        of_split = [(shard, entry) for shard, entry in entries.items() if shard.split == split]
        if not any(entry["count"] for _, entry in of_split):
            continue  # TFDS knows no empty splits
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
    builder.publish(
        target.parent.name,
        overwrite=overwrite,
        data_dir=target.parents[1],
        fields=plan["layout"],
        about={"description": f"Prepared by smarties from {plan['source']['kind']}.", **about},
        shards=files,
        extra={records.INDEX: json.dumps(index, indent=1), OMITTED: lines},
    )
    shutil.rmtree(parts, ignore_errors=True)


def checksum(found: Iterator[bytes]) -> str:
    """Returns what `smarties.json` says of a shard with these records."""
    digest = hashlib.sha256()
    for record in found:
        digest.update(zlib.crc32(record).to_bytes(4, "little"))
    return digest.hexdigest()
