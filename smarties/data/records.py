"""Examples in ArrayRecord files: the fast way to train from images on disk.

A folder holds shards `part-00000-of-00004.array_record` and `index.json`: format version, sensors
with all their band definitions, the fields of a record (shape, dtype, offset), counts, and the
identity of the source. A record is the bytes of the fields at fixed, aligned offsets, then the id
in UTF-8; the first four bytes are the CRC32 of all that follow. Reading returns views, no copies.

ArrayRecord hashes every chunk itself and checks the hash on every read, so the CRC32 is compared
only on request: both cost as much as the read.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import grain
import numpy as np
from array_record.python import (
    array_record_module,  # pyright: ignore[reportAttributeAccessIssue]: compiled, without stubs
)

from smarties import errors
from smarties.data import checks, sources
from smarties.spectrum import registry

FORMAT = 1
INDEX = "index.json"
OPTIONS = "group_size:1,uncompressed"  # one record is one chunk: random access reads nothing else
ALIGNMENT = 16


class Records(sources.Source):
    """The examples of a folder that `write` made.

    Attributes:
      sensors: names.
      definitions: the sensors by name, as they were when the records were written.
      index: the contents of `index.json`.
    """

    def __init__(self, directory: str | Path, *, verify: bool = False):
        """Opens a folder.

        Args:
          directory: the folder.
          verify: compare the CRC32 of each record read, on top of ArrayRecord's own hashes.

        Raises:
          UserError: no such folder, no or another index, missing or truncated shards, or a sensor
            whose registered bands are no longer those of the records.
        """
        self.directory, self.verify = Path(directory), verify
        self.index = _read_index(self.directory)
        self.definitions = {
            name: registry.sensor_from_dict(entry, where=f"{self.directory / INDEX}")
            for name, entry in self.index["sensors"].items()
        }
        self.sensors = tuple(self.definitions)
        for name, sensor in self.definitions.items():
            known = registry.sensors().get(name, sensor)
            if known.names != sensor.names:
                raise errors.UserError(
                    f"{self.directory}: {name} was written with bands {', '.join(sensor.names)}, "
                    f"but is registered with {', '.join(known.names)}: prepare the records again"
                )
        self._shards = [shard for shard in self.index["shards"] if shard["count"]]
        for shard in self._shards:
            file = self.directory / shard["file"]
            if not file.is_file():
                raise errors.UserError(f"{file}: missing: copy all files of {self.directory}")
            if file.stat().st_size != shard["bytes"]:
                raise errors.UserError(
                    f"{file}: truncated: {file.stat().st_size} bytes of {shard['bytes']}: "
                    f"copy it again"
                )
        # The counts are known, so that no shard is opened before a record of it is read.
        self._files = grain.sources.ArrayRecordDataSource(
            [f"{self.directory / s['file']}[0:{s['count']}]" for s in self._shards],
            reader_options={"max_parallelism": "0"},
        )
        self._fields = [
            (tuple(f["path"]), tuple(f["shape"]), np.dtype(f["dtype"]), f["offset"])
            for f in self.index["fields"]
        ]
        self._size = self.index["record_bytes"]

    def __len__(self) -> int:
        return self.index["count"]

    def __getitem__(self, index: int) -> sources.Example:
        """Returns example `index`; its arrays are read-only views of one buffer.

        Raises:
          Unreadable: the record is corrupt.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        try:
            record = self._files[index]
        except (ValueError, RuntimeError, OSError) as error:
            raise self._corrupt(index) from error
        view = memoryview(record)
        if len(record) < self._size or (self.verify and record[:4] != _checksum(view)):
            raise self._corrupt(index)
        example: dict[str, Any] = {"id": str(view[self._size :], "utf-8")}
        for path, shape, dtype, offset in self._fields:
            place = example
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = np.ndarray(shape, dtype, record, offset)
        return example

    def identity(self) -> dict[str, Any]:
        """Returns a digest of all records; not where they lie."""
        return {"kind": "records", "count": len(self), "digest": self.index["digest"]}

    def _corrupt(self, index: int) -> errors.Unreadable:
        first = 0
        for shard in self._shards:
            if index < first + shard["count"]:
                file, record = self.directory / shard["file"], index - first
                return errors.Unreadable(f"{file}: record {record} is corrupt: copy the file again")
            first += shard["count"]
        raise IndexError(index)


def write(
    source: sources.Source,
    directory: str | Path,
    *,
    shards: int = 1,
    overwrite: bool = False,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, Any]:
    """Returns the index of the records written: the examples of a source, in its order and dtypes.

    The folder appears at once and complete, or not at all. Examples in which a sensor has no valid
    pixel are skipped and counted.

    Args:
      source: of the examples.
      directory: to make; its parent must exist.
      shards: files to write.
      overwrite: replace a folder of records; nothing else is ever replaced.
      progress: wraps the iteration over examples, e.g. in a progress bar.

    Raises:
      UserError: an existing or unwritable folder, examples of different shapes, numbers of another
        unit, or no example with something valid.
    """
    directory = Path(directory)
    _check_target(directory, overwrite)
    if shards < 1:
        raise errors.UserError(f"{shards} shards: one or more are needed")
    part = directory.with_name(f".{directory.name}.part-{os.getpid()}")
    try:
        part.mkdir()
    except OSError as error:
        raise errors.UserError(
            f"{directory}: cannot be written ({error.strerror}): choose a folder whose parent "
            f"exists and is yours"
        ) from error
    try:
        index = _write_shards(source, part, min(shards, max(len(source), 1)), progress)
        (part / INDEX).write_text(json.dumps(index, indent=1))
        _publish(part, directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return index


def _write_shards(source: sources.Source, part: Path, shards: int, progress) -> dict[str, Any]:
    definitions = getattr(source, "definitions", {})
    known = {name: definitions.get(name) or registry.sensor(name) for name in source.sensors}
    index: dict[str, Any] = {
        "format": FORMAT,
        "sensors": {name: registry.sensor_to_dict(sensor) for name, sensor in known.items()},
        "source": source.identity(),
        "shards": [],
        "skipped_all_invalid": 0,
    }
    layout, digest, todo = None, hashlib.sha256(), iter(progress(range(len(source))))
    for k in range(shards):
        name = f"part-{k:05d}-of-{shards:05d}.array_record"
        writer = array_record_module.ArrayRecordWriter(str(part / name), OPTIONS)
        count, last = 0, len(source) * (k + 1) // shards
        for i in range(len(source) * k // shards, last):
            example = source[next(todo)]
            if not all(np.any(mask) for mask in example["valid"].values()):
                index["skipped_all_invalid"] += 1
                continue
            if not count:
                for sensor, image in example["images"].items():
                    where = f"example {i} ({example['id']})"
                    checks.check_image(image, example["valid"][sensor], known[sensor], where)
            layout = layout or _layout(example)
            record = _pack(example, *layout)
            digest.update(record[:4])
            writer.write(record)
            count += 1
        writer.close()
        entry = {"file": name, "count": count, "bytes": (part / name).stat().st_size}
        index["shards"].append(entry)
    for _ in todo:  # lets a progress bar finish
        pass
    if layout is None:
        raise errors.UserError("every example is all invalid: check the nodata values")
    fields, index["record_bytes"] = layout
    index["fields"] = [{**f, "path": list(f["path"]), "shape": list(f["shape"])} for f in fields]
    index["count"] = sum(shard["count"] for shard in index["shards"])
    # Records do not name their fields, so the layout is part of what they mean.
    digest.update(json.dumps([index["fields"], index["sensors"]], sort_keys=True).encode())
    index["digest"] = digest.hexdigest()
    return index


def _arrays(example: sources.Example) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Yields (path, array) of everything but the id, in a fixed order, little-endian."""
    for key in sorted(example.keys() - {"id"}):
        value = example[key]
        for name, leaf in sorted(value.items()) if isinstance(value, dict) else [("", value)]:
            array = np.asarray(leaf)
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            yield ((key, name) if name else (key,)), array


def _layout(example: sources.Example) -> tuple[list[dict[str, Any]], int]:
    """Returns the fields of a record and the number of bytes before the id."""
    fields, offset = [], ALIGNMENT
    for path, array in _arrays(example):
        fields.append(
            {"path": path, "shape": array.shape, "dtype": array.dtype.str, "offset": offset}
        )
        offset += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    return fields, offset


def _pack(example: sources.Example, fields: list[dict[str, Any]], size: int) -> bytes:
    record = bytearray(size)
    found = list(_arrays(example))
    for field, (path, array) in zip(fields, found, strict=False):
        if (path, array.shape, array.dtype.str) != (field["path"], field["shape"], field["dtype"]):
            break
        start = field["offset"]
        record[start : start + array.nbytes] = array.tobytes()
    else:
        if len(found) == len(fields):
            record += example["id"].encode()
            record[:4] = _checksum(record)
            return bytes(record)
    shapes = {"/".join(path): array.shape for path, array in found}
    raise errors.UserError(
        f"example {example['id']} has {shapes}: all examples of one folder have the same fields, "
        f"shapes and dtypes as the first"
    )


def _checksum(record: bytearray | memoryview) -> bytes:
    return zlib.crc32(memoryview(record)[4:]).to_bytes(4, "little")


def _check_target(directory: Path, overwrite: bool) -> None:
    if not directory.exists():
        return
    if not overwrite:
        raise errors.UserError(f"{directory} exists: choose another folder, or overwrite it")
    if not (directory / INDEX).is_file():
        raise errors.UserError(
            f"{directory} is no folder of records, and only such are overwritten: choose another"
        )


def _publish(part: Path, directory: Path) -> None:
    """Moves the finished folder into place; what it replaces is removed only afterwards."""
    old = part.with_name(f"{part.name}-old")
    if directory.exists():
        directory.rename(old)
    part.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def _read_index(directory: Path) -> dict[str, Any]:
    file = directory / INDEX
    try:
        index = json.loads(file.read_text())
    except OSError as error:
        raise errors.UserError(
            f"{directory}: no folder of records ({INDEX}: {error.strerror}): make one with "
            f"`smarties data prepare`"
        ) from error
    except ValueError as error:
        raise errors.UserError(f"{file}: not JSON, perhaps truncated: copy it again") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise errors.UserError(f"{file}: not of format {FORMAT}: prepare the records again")
    return index
