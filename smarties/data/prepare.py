"""Sources to records, shard by shard: by many processes or machines, and again after a kill.

Finished shards wait in `OUT/NAME/.VERSION-parts` beside the plan they belong to. Whoever finishes
the last one publishes the dataset. A shard holds the examples of a fixed range in their order, so
its bytes depend on the source and the number of shards alone.
"""

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python import (
    array_record_module,  # pyright: ignore[reportAttributeAccessIssue]: compiled, without stubs
)

from smarties import errors
from smarties.data import builder, checks, publishing, sources
from smarties.spectrum import registry

OPTIONS = "group_size:1,uncompressed"  # one record is one chunk: random access reads nothing else
SHARD_BYTES = 2**28
LEAST_SHARDS = 8  # of a split, where it has as many examples: work for several processes


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
) -> publishing.Outcome:
    """Returns the outcome of writing the examples of a source to `out/NAME/VERSION`.

    Args:
      source: of the examples; of an `Archive` all splits, of others one, "train".
      out: folder of datasets; it is made.
      name: of the dataset; "-" becomes "_", as TFDS wants it.
      shards: files of each split; None for files of about 256 MB, eight or more.
      only: (I, N): write the I-th (from 0) of N shards of each split, for job arrays.
      workers: processes.
      strict: raise the first error instead of omitting the example, here or when opened.
      overwrite: replace a dataset of that name, and leave nothing of parts that wait.
      about: description, homepage, citation and license for `dataset_info.json`.
      progress: makes, from the number of examples to do, what is told of each that is done.

    Raises:
      UserError: an existing or unwritable target, parts of another plan, no readable example, or
        with `strict` whatever is wrong with one.
    """
    target, shards = Path(out) / _name(name) / builder.VERSION, only[1] if only else shards
    _check_options(source, only, shards, workers, strict, overwrite)
    if target.exists() and not overwrite:
        if found := publishing.published(source, target, shards):
            shutil.rmtree(publishing.parts_of(target), ignore_errors=True)
            return found  # the same command, or another job, was here before
        raise errors.UserError(f"{target} exists: choose another folder or name, or overwrite it")
    fields = builder.layout(sources.first(source))
    plan = _plan(source, fields, shards)
    parts = _claim(target, plan, overwrite)
    todo = list(_shards(source, plan["shards"]))
    missing = [shard for shard in todo if not (parts / f"{shard.name}.json").exists()]
    chosen = [shard for shard in missing if only is None or shard.number == only[0]]
    bar = progress(sum(len(shard.examples) for shard in chosen))
    with contextlib.closing(bar):
        _write_all(source, fields, chosen, parts, workers, strict, bar.update)
    with publishing.alone(target):
        if not parts.exists() and (found := publishing.published(source, target, shards)):
            return found  # another job has just done it
        return publishing.gather(source, target, plan, todo, strict=strict, about=about or {})


def _check_options(source, only, shards, workers: int, strict: bool, overwrite: bool) -> None:
    if shards is not None and shards < 1 or workers < 1:
        raise errors.UserError(f"{shards} shards and {workers} workers: one or more are needed")
    if only and overwrite:
        raise errors.UserError(
            "one of several jobs cannot overwrite what others write: remove the old dataset first"
        )
    for omission in publishing.omissions(source) if strict else ():
        raise errors.UserError(f"{omission.file}: {omission.reason}")


def _name(name: str) -> str:
    plain = name.replace("-", "_").lower()
    if not re.fullmatch("[a-z][a-z0-9_]*", plain):
        raise errors.UserError(f"name {name!r}: small letters, digits and _ make a dataset's name")
    return plain


def _plan(source: sources.Source, fields: builder.Layout, shards: int | None) -> dict[str, Any]:
    """Returns what the parts of a dataset must agree on, JSON-able."""
    size = sum(
        np.dtype(f["dtype"]).itemsize * int(np.prod(f["shape"], dtype=int))
        for f in fields
        if f["dtype"] != "text"
    )
    counts = {}
    for split, part in publishing.splits(source).items():
        default = max(LEAST_SHARDS, -(-len(part) * size // SHARD_BYTES))
        counts[split] = shards or max(1, min(default, len(part)))
    where = str(root.resolve()) if (root := getattr(source, "root", None)) else ""
    return {"source": source.identity(), "root": where, "layout": fields, "shards": counts}


def _shards(source: sources.Source, counts: Mapping[str, int]) -> Iterator[publishing.Shard]:
    for split, part in publishing.splits(source).items():
        n = counts[split]
        for k in range(n):
            some = part[len(part) * k // n : len(part) * (k + 1) // n]
            yield publishing.Shard(split, k, n, some)


def _claim(target: Path, plan: Mapping[str, Any], overwrite: bool) -> Path:
    """Returns the folder of the parts of a plan, made or found; without any where `overwrite`."""
    parts = publishing.parts_of(target)
    file, text = parts / "plan.json", json.dumps(plan, indent=1, sort_keys=True)
    try:
        if overwrite:
            shutil.rmtree(parts, ignore_errors=True)
        if file.exists() and file.read_text() != text:
            raise errors.UserError(
                f"{parts} holds parts of another source, layout or number of shards: give the "
                f"same command again, or overwrite them"
            )
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


def _work(shard: publishing.Shard) -> None:
    source, fields, parts, strict, counter = _state

    def update(count: int) -> None:
        with counter.get_lock():
            counter.value += count

    _write(source, fields, shard, parts, strict, update)


def _write(source, fields, shard: publishing.Shard, parts: Path, strict: bool, update) -> None:
    """Writes one shard, and when it is whole a file that says so."""
    encode, omitted, checksums = builder.Encoder(fields), [], bytearray()
    # Another process may be writing the same shard: a job that was given twice.
    part = parts / f"{shard.name}.{uuid.uuid4().hex}"
    file = parts / f"{shard.name}.array_record"
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
            checksums += publishing.checksum(record)
            writer.write(record)
        update(1)
    writer.close()
    with part.open("rb") as written:
        os.fsync(written.fileno())
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
