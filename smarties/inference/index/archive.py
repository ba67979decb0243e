"""A folder of vectors that can be searched: its format, opened and checked.

    index.json               what made the vectors, the sensors, and every shard with its checksums
    shards/NAME.npy          vectors [n, D] as the encoder gave them, of one sensor
    shards/NAME.scale.npy    of int8: what a row is multiplied by, [n],
    shards/NAME.zero.npy     and what is then added, [D]
    shards/NAME.parquet      GeoParquet, a row for each vector, with its picture as JPEG

A file that `index.json` does not name is no part of the archive; files are never changed.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.inference import features, model
from smarties.inference.index import search
from smarties.spectrum import registry
from smarties.spectrum.bands import Sensor

FORMAT = 1
INDEX, SHARDS = "index.json", "shards"
VECTORS, SCALES, ZERO, ROWS = ".npy", ".scale.npy", ".zero.npy", ".parquet"
ARRAYS = (VECTORS, SCALES, ZERO)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """Some rows of an archive, all of one sensor.

    Attributes:
      name: of its files.
      sensor: name.
      count: rows.
      files: {suffix: {"bytes", "crc32"}}.
    """

    name: str
    sensor: str
    count: int
    files: dict[str, dict[str, int]]


@dataclasses.dataclass(frozen=True)
class Archive:
    """An open archive.

    Attributes:
      directory: of it.
      index: the contents of `index.json`.
    """

    directory: Path
    index: dict[str, Any]

    @functools.cached_property
    def shards(self) -> tuple[Shard, ...]:
        return tuple(Shard(**entry) for entry in self.index["shards"])

    @property
    def sensors(self) -> tuple[str, ...]:
        return tuple(self.index["sensors"])

    def __len__(self) -> int:
        return sum(shard.count for shard in self.shards)

    def of(self, sensor: str | None) -> tuple[Shard, ...]:
        """Returns the shards of a sensor, or all.

        Raises:
          UserError: the archive has no images of it, or none at all.
        """
        if not len(self):
            raise errors.UserError(f"{self.directory}: the archive is empty: index something first")
        if sensor is not None and sensor not in self.sensors:
            raise errors.unknown(f"sensor of {self.directory}", sensor, self.sensors)
        return tuple(shard for shard in self.shards if sensor in (None, shard.sensor))

    def file(self, shard: Shard, suffix: str) -> Path:
        """Returns the path of a shard's file."""
        return self.directory / SHARDS / f"{shard.name}{suffix}"

    def part(
        self, shard: Shard, keep: np.ndarray | None = None, *, centre: bool = False
    ) -> search.Part:
        """Returns a shard's vectors, memory-mapped, for `search.top_k`.

        Args:
          shard: one of the archive.
          keep: [n] bool, rows to look at; None for all.
          centre: see `centre`.
        """
        shift, scale = self.centre(shard.sensor) if centre else (None, None)
        width, scales, zero = self.index["width"], None, None
        if self.index["dtype"] == "int8":
            scales = self._mapped(shard, SCALES, (shard.count,))
            zero = self._mapped(shard, ZERO, (width,))
        vectors = self._mapped(shard, VECTORS, (shard.count, width))
        return search.Part(vectors, keep, shift, scale, scales, zero)

    def _mapped(self, shard: Shard, suffix: str, shape: tuple[int, ...]) -> np.ndarray:
        file = self.file(shard, suffix)
        try:
            found = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _corrupt(file, "no array") from error
        if found.shape != shape:
            raise _corrupt(file, f"{list(found.shape)} in place of {list(shape)}")
        return found

    def centre(self, sensor: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation [D] of the archive's vectors of a sensor.

        Raises:
          UserError: the archive has fewer than two.
        """
        known = self.index["moments"].get(sensor, {"count": 0})
        if known["count"] < 2:
            raise errors.UserError(
                f"{self.directory}: {known['count']} images of {sensor}: to centre its vectors, "
                "index images of it too"
            )
        squares = np.asarray(known["squares"], np.float64)
        return np.asarray(known["mean"], np.float64), np.sqrt(squares / known["count"]) + 1e-6

    def verify(self, shards: Sequence[Shard], suffixes: Sequence[str] = ARRAYS) -> None:
        """Raises `UserError` unless files of shards are what was written."""
        for shard in shards:
            for suffix in shard.files:
                if suffix in suffixes:
                    file = self.file(shard, suffix)
                    if checksum(file)["crc32"] != shard.files[suffix]["crc32"]:
                        raise _corrupt(file, "another checksum than when it was written")

    def check_encoder(self, loaded: model.Model, where: str) -> None:
        """Raises `UserError` unless a model is the one that made the vectors."""
        found, due = features.digest(loaded), self.index["model"]["digest"]
        if found != due:
            name = self.index["model"]["weights"]
            raise errors.UserError(
                f"{where} is checkpoint {found}, but {self.directory} was made with {due} "
                f"({name}): their vectors cannot be compared; give those weights, or index anew"
            )

    def check_sensor(self, sensor: Sensor) -> None:
        """Raises `UserError` where the archive knows a sensor by other bands."""
        known = self.index["sensors"].get(sensor.name)
        if known is None or band_digest(sensor) == known["digest"]:
            return
        names = tuple(band["name"] for band in known["definition"]["bands"])
        kind = "bands" if names != sensor.names else "band definitions"
        raise errors.UserError(
            f"{self.directory} has {sensor.name} with {kind} {known['digest']} "
            f"({', '.join(names)}), not {band_digest(sensor)} ({', '.join(sensor.names)}): give "
            "the same --bands, or the sensor another name in a YAML file"
        )


def open_archive(directory: str | Path, sizes: bool = True) -> Archive:
    """Returns an archive.

    Args:
      directory: of it.
      sizes: check that its files are there, and as long as they were.

    Raises:
      UserError: none, one of another format, or with files that are missing or cut.
    """
    directory = Path(directory)
    file = directory / INDEX
    if not file.is_file():
        raise errors.UserError(
            f"{directory}: no archive (no {INDEX}): make one with `smarties index`"
        )
    try:
        index = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise errors.UserError(f"{file}: not JSON, perhaps truncated: copy it again") from error
    found = index.get("format") if isinstance(index, dict) else None
    if found != FORMAT:
        raise errors.UserError(
            f"{file}: format {found}, but this version reads format {FORMAT}: index again into "
            "another folder"
        )
    archive = Archive(directory, index)
    for shard in archive.shards if sizes else ():
        check_size(archive, shard)
    return archive


def check_size(archive: Archive, shard: Shard) -> None:
    """Raises `UserError` where a file of a shard is missing or cut."""
    for suffix, known in shard.files.items():
        path = archive.file(shard, suffix)
        size = path.stat().st_size if path.is_file() else None
        if size != known["bytes"]:
            wrong = "missing" if size is None else f"{size} bytes in place of {known['bytes']}"
            raise _corrupt(path, wrong)


def _corrupt(file: Path, reason: str) -> errors.UserError:
    return errors.UserError(
        f"{file}: corrupt ({reason}): copy it again, or remove it with `smarties index --repair`"
    )


def band_digest(sensor: Sensor) -> str:
    """Returns what a sensor's bands are, as a hash."""
    text = features.canonical(registry.sensor_to_dict(sensor))
    return hashlib.sha256(text).hexdigest()[:16]


def checksum(file: Path) -> dict[str, int]:
    """Returns {"bytes", "crc32"} of a file."""
    crc, size = 0, 0
    with file.open("rb") as opened:
        while block := opened.read(1 << 22):
            crc, size = zlib.crc32(block, crc), size + len(block)
    return {"bytes": size, "crc32": crc}


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Yields a name to write a file under; it takes its own when it is whole and on the disk."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)
