"""An archive that is being written, whole at any moment.

`index.json` is replaced after each shard, and a shard that is not full is replaced by a longer one.
One process writes; who searches waits for nobody.
"""

import contextlib
import dataclasses
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.inference import features, jobs, model
from smarties.inference.index import approximate, archive, fitting, items, precision, rows, search
from smarties.spectrum import registry
from smarties.spectrum.bands import Sensor
from smarties.tasks import embedding

LOCK = ".lock"
OLD = 600  # seconds that who has just read the index may still open what has been replaced since
_OURS = re.compile(r"\.?\d{6}(\.\w+)?\.(npy|parquet)(\.part)?$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How images become vectors, the same in all of an archive.

    Attributes:
      side: of a chip, pixels.
      fit: of larger images, see `fitting.fitted`.
      pooling: see `Model.embed`.
      dtype: one of `precision.DTYPES`.
    """

    side: int
    fit: fitting.Fit = "crop"
    pooling: embedding.Pooling = "cls"
    dtype: str = "float32"


class Writer:
    """An archive that is being written; see `opened`."""

    def __init__(self, found: archive.Archive, shard: int):
        self.archive, self._shard = found, shard
        self._made = found.index["model"]["digest"]

    def room(self, sensor: Sensor) -> int:
        """Returns how many images fill up the last shard of a sensor."""
        mine = [shard.count for shard in self.archive.shards if shard.sensor == sensor.name]
        return self._shard - (mine[-1] if mine and mine[-1] < self._shard else 0)

    def keys(self, sensor: str) -> set[str]:
        """Returns the keys of all images of a sensor."""
        found: set[str] = set()
        for shard in self.archive.shards:
            if shard.sensor == sensor:
                file = self.archive.file(shard, archive.ROWS)
                found.update(rows.read(file, ["key"])["key"].to_pylist())
        return found

    def add(
        self, sensor: Sensor, z: np.ndarray, images: Sequence[items.Item], pictures: list[bytes]
    ) -> None:
        """Publishes vectors [n, D] of images; the sensor's last shard is filled up with them."""
        import pyarrow as pa

        index = self.archive.index
        content = rows.table(images, pictures, sensor.name, self._made)
        kept = list(self.archive.shards)
        mine = [i for i, shard in enumerate(kept) if shard.sensor == sensor.name]
        old = kept[mine[-1]] if mine and kept[mine[-1]].count < self._shard else None
        if old is not None:
            self.archive.verify((old,), tuple(old.files))  # what is wrong in it must not get a sum
        part = None if old is None else self.archive.part(old)
        zero = None if part is None else part.zero
        arrays = _arrays(part, precision.part(z, index["dtype"], zero))
        if old is not None:
            before = rows.read(self.archive.file(old, archive.ROWS))
            content = pa.concat_tables([before, content.cast(before.schema)])
            kept.remove(old)
        for first in range(0, len(content), self._shard):
            cut = slice(first, first + self._shard)
            some = {k: x if k == archive.ZERO else x[cut] for k, x in arrays.items()}
            kept.append(self._write(sensor.name, some, content.slice(first, self._shard)))
        definition = registry.sensor_to_dict(sensor)
        about = {"digest": archive.band_digest(sensor), "definition": definition}
        moments = _merged(index["moments"].get(sensor.name), z)
        self._publish({
            "width": z.shape[1],
            "sensors": {**index["sensors"], sensor.name: about},
            "moments": {**index["moments"], sensor.name: moments},
            "shards": [dataclasses.asdict(shard) for shard in kept],
        })  # fmt: skip
        if old is not None:
            for suffix in old.files:
                self.archive.file(old, suffix).touch()  # replaced now
        self.sweep()

    def _write(self, sensor: str, arrays: dict[str, np.ndarray], content: Any) -> archive.Shard:
        number = self.archive.index["next"]
        self.archive.index["next"] = number + 1
        shard = archive.Shard(name=f"{number:06d}", sensor=sensor, count=len(content), files={})
        for suffix, values in arrays.items():
            with archive.appearing(self.archive.file(shard, suffix)) as part:
                with part.open("wb") as file:
                    np.save(file, np.ascontiguousarray(values), allow_pickle=False)
        with archive.appearing(self.archive.file(shard, archive.ROWS)) as part:
            rows.write(part, content)
        sums = {s: archive.checksum(self.archive.file(shard, s)) for s in (*arrays, archive.ROWS)}
        return dataclasses.replace(shard, files=sums)

    def _publish(self, changed: dict[str, Any]) -> None:
        index = {**self.archive.index, **changed}
        with archive.appearing(self.archive.directory / archive.INDEX) as part:
            part.write_text(json.dumps(index, indent=1))
        self.archive = archive.Archive(self.archive.directory, index)
        shutil.rmtree(self.archive.directory / approximate.FOLDER, ignore_errors=True)

    def sweep(self) -> None:
        """Removes what a killed build has left, and what was replaced before `OLD`."""
        named = {self.archive.file(s, suffix) for s in self.archive.shards for suffix in s.files}
        for file in (self.archive.directory / archive.SHARDS).iterdir():
            age = time.time() - file.stat().st_mtime
            if _OURS.match(file.name) and file not in named and age > OLD:
                file.unlink()

    def repair(self) -> list[str]:
        """Returns the shards that it left out because a file of theirs is corrupt."""
        good, bad, moments = [], [], {}
        for shard in self.archive.shards:
            try:
                archive.check_size(self.archive, shard)
                self.archive.verify((shard,), tuple(shard.files))
            except errors.UserError:
                bad.append(shard)
                continue
            part = self.archive.part(shard)
            moments[shard.sensor] = _merged(moments.get(shard.sensor), search.plain(part))
            good.append(shard)
        if bad:
            self._publish({
                "shards": [dataclasses.asdict(shard) for shard in good], "moments": moments,
                "sensors": {k: v for k, v in self.archive.index["sensors"].items() if k in moments},
            })  # fmt: skip
            self.sweep()
        return [f"{shard.name} ({shard.count} images of {shard.sensor})" for shard in bad]


def _arrays(old: search.Part | None, new: search.Part) -> dict[str, np.ndarray]:
    """Returns the arrays of a shard by suffix: of what it was, and more."""
    parts = [part for part in (old, new) if part is not None]
    found = {archive.VECTORS: np.concatenate([part.vectors for part in parts])}
    if new.rows is not None and new.zero is not None:
        found[archive.SCALES] = np.concatenate([np.asarray(part.rows) for part in parts])
        found[archive.ZERO] = new.zero
    return found


def _merged(known: dict[str, Any] | None, z: np.ndarray) -> dict[str, Any]:
    """Returns count, mean and summed squares about it, of some vectors and more. [Chan 1979]"""
    z = np.asarray(z, np.float64)
    count, mean, squares = len(z), z.mean(0), ((z - z.mean(0)) ** 2).sum(0)
    if known:
        total, step = count + known["count"], mean - np.array(known["mean"])
        squares = squares + np.array(known["squares"]) + step**2 * count * known["count"] / total
        mean, count = np.array(known["mean"]) + step * count / total, total
    return {"count": count, "mean": mean.tolist(), "squares": squares.tolist()}


@contextlib.contextmanager
def opened(
    directory: Path, loaded: model.Model, weights: str, options: Options | None, shard: int = 4096
) -> Iterator[Writer]:
    """Yields an archive to write to; it is made where there is none.

    Args:
      directory: of the archive.
      loaded: what makes the vectors.
      weights: where that came from.
      options: None for those of the archive.
      shard: rows of a full shard.

    Raises:
      UserError: another encoder or other options than the archive's, a folder of something else,
        one that another process writes, or one that cannot be written.
    """
    try:
        _check_new(directory, options)
        (directory / archive.SHARDS).mkdir(parents=True, exist_ok=True)
        with (directory / LOCK).open("w") as lock:
            jobs.own(lock, directory)
            writer = Writer(_found(directory, loaded, weights, options), shard)
            writer.sweep()
            yield writer
            writer.sweep()
    except OSError as error:
        raise errors.UserError(
            f"{directory} cannot be written ({error.strerror or error}): what is indexed so far "
            "stays; the same command goes on"
        ) from error


def _check_new(directory: Path, options: Options | None) -> None:
    """Raises `UserError` where a folder is neither an archive nor fit to become one."""
    shards = directory / archive.SHARDS
    others = {p.name for p in directory.iterdir()} if directory.exists() else set()
    if archive.INDEX in others:
        return
    foreign = others - {archive.SHARDS, LOCK} or {
        p.name for p in (shards.iterdir() if shards.exists() else ()) if not _OURS.match(p.name)
    }
    if foreign or options is None:
        raise errors.UserError(f"{directory} is no archive: give one, or a new folder")


def _found(directory: Path, loaded: model.Model, weights: str, options: Options | None):
    if (directory / archive.INDEX).exists():
        found = archive.open_archive(directory, sizes=options is not None)
        found.check_encoder(loaded, weights)
        for name, value in dataclasses.asdict(options).items() if options else ():
            if found.index[name] != value:
                raise errors.UserError(
                    f"{directory} was made with {name} {found.index[name]}, not {value}: leave "
                    "it out, or index into another folder"
                )
        return found
    assert options is not None
    about = {"digest": features.digest(loaded), "name": loaded.config["name"], "weights": weights}
    index = {
        "format": archive.FORMAT, "model": about, **dataclasses.asdict(options),
        "width": 0, "sensors": {}, "moments": {}, "shards": [], "next": 0,
    }  # fmt: skip
    return archive.Archive(directory, index)
