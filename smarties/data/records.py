"""Examples in ArrayRecord files, as `smarties data prepare` writes them: fast random access.

A dataset is a folder NAME/VERSION in the format of TensorFlow Datasets: shards of serialised
`tf.train.Example`s, `features.json`, `dataset_info.json`, and `smarties.json` beside them: sensors
with all their band definitions, class names in the order of their indices, the layout of examples,
counts and checksums of shards, and the identity of the source. ArrayRecord hashes every chunk and
checks the hash on every read.
"""

import json
from pathlib import Path
from typing import Any

import grain
import numpy as np

from smarties import errors
from smarties.data import sources
from smarties.spectrum import registry

FORMAT = 2
INDEX = "smarties.json"


class Records(sources.Source):
    """The examples of a prepared dataset.

    Attributes:
      directory: NAME/VERSION.
      sensors: names.
      definitions: the sensors by name, as they were when the records were written.
      classes: label names in the order of their indices.
      splits: the range of examples of each split.
      index: the contents of `smarties.json`.
    """

    def __init__(self, directory: str | Path, *, split: str | None = None):
        """Opens a dataset.

        Args:
          directory: NAME/VERSION, or a folder above it that holds no other dataset.
          split: only its examples; None for those of all splits, one after the other.

        Raises:
          UserError: no such folder or split, no or another index, missing or truncated shards, or a
            sensor whose registered bands are no longer those of the records.
        """
        self.directory = find(directory)
        self.index = _read_index(self.directory)
        self.definitions = {
            name: registry.sensor_from_dict(entry, where=f"{self.directory / INDEX}")
            for name, entry in self.index["sensors"].items()
        }
        self.sensors, self.classes = tuple(self.definitions), tuple(self.index["classes"])
        for name, sensor in self.definitions.items():
            known = registry.sensors().get(name, sensor)
            if known.names != sensor.names:
                raise errors.UserError(
                    f"{self.directory}: {name} was written with bands {', '.join(sensor.names)}, "
                    f"but is registered with {', '.join(known.names)}: prepare the records again"
                )
        if split is not None and split not in self.index["splits"]:
            raise errors.unknown(f"split of {self.directory}", split, self.index["splits"])
        self.split, self.splits, self._shards, end = split, {}, [], 0
        for name, shards in self.index["splits"].items():
            if split in (None, name):
                self._shards += [shard for shard in shards if shard["count"]]
                start, end = end, end + sum(shard["count"] for shard in shards)
                self.splits[name] = range(start, end)
        self._count = end
        self._check_files()
        # The counts are known, so that no shard is opened before a record of it is read.
        self._files = grain.sources.ArrayRecordDataSource(
            [f"{self.directory / s['file']}[0:{s['count']}]" for s in self._shards],
            reader_options={"max_parallelism": "0"},
        )
        self._fields = [
            ("/".join(f["path"]), tuple(f["path"]), tuple(f["shape"]), f["dtype"])
            for f in self.index["layout"]
        ]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> sources.Example:
        """Returns example `index`; its arrays are read-only views of the record.

        Raises:
          Unreadable: the record is corrupt.
        """
        return self.read(index)[1]

    def read(self, index: int) -> tuple[bytes, sources.Example]:
        """Returns example `index` as it is stored, and as it is.

        Raises:
          Unreadable: the record is corrupt.
        """
        from tensorflow_datasets.proto import tf_example_pb2

        record = self._record(index)
        try:
            message = tf_example_pb2.Example.FromString(record)  # type: ignore
            found = message.features.feature
            example: dict[str, Any] = {}
            for key, path, shape, dtype in self._fields:
                (value,) = found[key].bytes_list.value
                place = example
                for name in path[:-1]:
                    place = place.setdefault(name, {})
                place[path[-1]] = (
                    str(value, "utf-8")
                    if dtype == "text"
                    else np.frombuffer(value, dtype).reshape(shape)
                )
        except (ValueError, TypeError) as error:
            raise self._corrupt(index) from error
        return record, example

    @property
    def published(self) -> tuple[str, ...]:
        """See `Archive.published`."""
        known = self.index["published"]
        return tuple(name for name in known if name.partition(":")[2] in ("", *self.splits))

    def _record(self, index: int) -> bytes:
        if not 0 <= index < len(self):
            raise IndexError(index)
        try:
            return self._files[index]
        except (ValueError, RuntimeError, OSError) as error:
            raise self._corrupt(index) from error

    def identity(self) -> dict[str, Any]:
        """Returns digests of all records; not where they lie, nor in how many files."""
        digests = {name: self.index["digests"][name] for name in self.splits}
        return {"kind": "records", "count": len(self), "digests": digests}

    def _check_files(self) -> None:
        for shard in self._shards:
            file = self.directory / shard["file"]
            if not file.is_file():
                raise errors.UserError(f"{file}: missing: copy all files of {self.directory}")
            if file.stat().st_size != shard["bytes"]:
                raise errors.UserError(
                    f"{file}: truncated: {file.stat().st_size} bytes of {shard['bytes']}: "
                    f"copy it again"
                )

    def _corrupt(self, index: int) -> errors.Unreadable:
        first = 0
        for shard in self._shards:
            if index < first + shard["count"]:
                file, record = self.directory / shard["file"], index - first
                return errors.Unreadable(f"{file}: record {record} is corrupt: copy the file again")
            first += shard["count"]
        raise IndexError(index)


def find(directory: str | Path) -> Path:
    """Returns the folder NAME/VERSION that is, or lies below, a folder.

    Raises:
      UserError: there is none, or more than one.
    """
    directory = Path(directory)
    paths = [f for depth in ("", "*/", "*/*/") for f in sorted(directory.glob(depth + INDEX))]
    found = [file for file in paths if not file.parent.name.startswith(".")]
    if len(found) > 1:
        names = ", ".join(str(file.parent.relative_to(directory)) for file in found)
        raise errors.UserError(f"{directory} holds several datasets: name one of {names}")
    if not found:
        raise errors.UserError(
            f"{directory}: no prepared dataset (no {INDEX}): make one with `smarties data prepare`"
        )
    return found[0].parent


def _read_index(directory: Path) -> dict[str, Any]:
    file = directory / INDEX
    try:
        index = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise errors.UserError(f"{file}: not JSON, perhaps truncated: copy it again") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise errors.UserError(f"{file}: not of format {FORMAT}: prepare the records again")
    return index
