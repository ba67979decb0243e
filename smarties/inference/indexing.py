"""Images into an archive: appended shard by shard, so that a killed build goes on where it was.

`index.json` is replaced after each shard, and a shard that is not full is replaced by a longer one:
what it names is whole at any moment. One process writes; who searches waits for nobody.
"""

import contextlib
import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.inference import archive, features, items, jobs, model, rows
from smarties.spectrum import registry
from smarties.spectrum.bands import Sensor
from smarties.tasks import embedding

# (image [H, W, C], valid [H, W], sensor) -> a small JPEG
Picture = Callable[[np.ndarray, np.ndarray, Sensor], bytes]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How images become vectors, the same in all of an archive.

    Attributes:
      side: of a chip, pixels.
      fit: of larger images, see `items.fitted`.
      pooling: see `Model.embed`.
      dtype: one of `archive.DTYPES`.
    """

    side: int
    fit: items.Fit = "crop"
    pooling: embedding.Pooling = "cls"
    dtype: str = "float32"


@dataclasses.dataclass
class Outcome:
    """What a call has done: images added, those known before, and why others were omitted."""

    added: int = 0
    known: int = 0
    omitted: list[str] = dataclasses.field(default_factory=list)


class Writer:
    """An archive that is being written; see `writing`."""

    def __init__(self, opened: archive.Archive, loaded: model.Model, shard: int):
        self.archive, self._loaded, self._shard = opened, loaded, shard
        self._made = opened.index["model"]["digest"]

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
        stored, scales = _stored(z, index["dtype"])
        kept = list(self.archive.shards)
        mine = [i for i, shard in enumerate(kept) if shard.sensor == sensor.name]
        old = kept[mine[-1]] if mine and kept[mine[-1]].count < self._shard else None
        if old is not None:
            part = self.archive.part(old)
            stored = np.concatenate([part.vectors, stored])
            scales = None if scales is None else np.concatenate([part.rows, scales])  # type: ignore
            before = rows.read(self.archive.file(old, archive.ROWS))
            content = pa.concat_tables([before, content.cast(before.schema)])
            kept.remove(old)
        for first in range(0, len(stored), self._shard):
            cut = slice(first, first + self._shard)
            kept.append(
                self._write(
                    sensor.name, stored[cut], None if scales is None else scales[cut],
                    content.slice(first, self._shard),
                )
            )  # fmt: skip
        definition = registry.sensor_to_dict(sensor)
        about = {"digest": archive.band_digest(sensor), "definition": definition}
        moments = _merged(index["moments"].get(sensor.name), z)
        self._publish({
            "sensors": {**index["sensors"], sensor.name: about},
            "moments": {**index["moments"], sensor.name: moments},
            "shards": [dataclasses.asdict(shard) for shard in kept],
        })  # fmt: skip
        if old is not None:
            self._remove(old)

    def _write(self, sensor, vectors, scales, content) -> archive.Shard:
        number = self.archive.index["next"]
        self.archive.index["next"] = number + 1
        shard = archive.Shard(name=f"{number:06d}", sensor=sensor, count=len(vectors), files={})
        arrays = {archive.VECTORS: vectors} | ({} if scales is None else {archive.SCALES: scales})
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

    def _remove(self, shard: archive.Shard) -> None:
        for suffix in shard.files:
            self.archive.file(shard, suffix).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what a killed build has left."""
        named = {self.archive.file(s, suffix) for s in self.archive.shards for suffix in s.files}
        for file in (self.archive.directory / archive.SHARDS).iterdir():
            if file not in named:
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
            scale = 1.0 if part.rows is None else part.rows[:, None]
            moments[shard.sensor] = _merged(moments.get(shard.sensor), part.vectors * scale)
            good.append(shard)
        if bad:
            self._publish({
                "shards": [dataclasses.asdict(shard) for shard in good], "moments": moments,
                "sensors": {k: v for k, v in self.archive.index["sensors"].items() if k in moments},
            })  # fmt: skip
            self.sweep()
        return [f"{shard.name} ({shard.count} images of {shard.sensor})" for shard in bad]


def _stored(z: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns vectors as they are stored, and for int8 what each is multiplied by."""
    if dtype != "int8":
        return z.astype(dtype), None
    scales = np.abs(z).max(1) / 127
    scales[scales == 0] = 1
    return np.rint(z / scales[:, None]).astype(np.int8), scales.astype(np.float32)


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
def writing(
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
        (directory / archive.SHARDS).mkdir(parents=True, exist_ok=True)
        with (directory / ".lock").open("w") as lock:
            jobs.own(lock, directory)
            writer = Writer(_opened(directory, loaded, weights, options), loaded, shard)
            writer.sweep()
            yield writer
    except OSError as error:
        raise errors.UserError(
            f"{directory} cannot be written ({error.strerror or error}): what is indexed so far "
            "stays; the same command goes on"
        ) from error


def _opened(directory: Path, loaded: model.Model, weights: str, options: Options | None):
    if (directory / archive.INDEX).exists():
        opened = archive.open_archive(directory, sizes=options is not None)
        opened.check_encoder(loaded, weights)
        for name, value in dataclasses.asdict(options).items() if options else ():
            if opened.index[name] != value:
                raise errors.UserError(
                    f"{directory} was made with {name} {opened.index[name]}, not {value}: leave "
                    "it out, or index into another folder"
                )
        return opened
    if {p.name for p in directory.iterdir()} - {archive.SHARDS, ".lock"} or options is None:
        raise errors.UserError(f"{directory} is no archive: give one, or a new folder")
    about = {"digest": features.digest(loaded), "name": loaded.config["name"], "weights": weights}
    index = {
        "format": archive.FORMAT, "model": about, **dataclasses.asdict(options),
        "width": loaded.config["model"]["encoder"]["width"],
        "sensors": {}, "moments": {}, "shards": [], "next": 0,
    }  # fmt: skip
    return archive.Archive(directory, index)


def add(
    writer: Writer,
    loaded: model.Model,
    images: items.Items,
    picture: Picture,
    *,
    batch: int = 32,
    every: float = 30.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Returns what was added of images; those whose keys are in the archive are not read again.

    Args:
      writer: see `writing`.
      loaded: the encoder.
      images: of one sensor.
      picture: makes small pictures of them.
      batch: images at a time.
      every: seconds between publications; a kill loses no more work than that.
      progress: is told how many are done, and of how many.

    Raises:
      UserError: a sensor with other bands than the archive's, or images in other units.
    """
    writer.archive.check_sensor(images.sensor)
    known = writer.keys(images.sensor.name)
    todo = [i for i, key in enumerate(images.keys) if key not in known]
    outcome = Outcome(known=len(images.keys) - len(todo))
    waiting: list[tuple[np.ndarray, items.Item, bytes]] = []
    last, done = time.monotonic(), 0
    for read, count in _batches(images, todo, batch, outcome):
        done += count
        waiting += _embedded(loaded, writer.archive, images.sensor, read, picture, outcome)
        final = done == len(todo)
        if waiting and (
            final or time.monotonic() - last > every or len(waiting) >= writer.room(images.sensor)
        ):
            z, some, pictures = zip(*waiting, strict=True)
            writer.add(images.sensor, np.stack(z), some, list(pictures))
            outcome.added += len(waiting)
            waiting, last = [], time.monotonic()
        progress(done, len(todo))
    return outcome


def _batches(
    images: items.Items, todo: Sequence[int], batch: int, outcome: Outcome
) -> Iterator[tuple[list[items.Item], int]]:
    """Yields the images that can be read, and of how many; the next are read meanwhile."""

    def read(index: int) -> items.Item | str:
        try:
            return images.read(index)
        except errors.Unreadable as error:
            return str(error)

    with futures.ThreadPoolExecutor(4) as pool:
        ahead: list[list[futures.Future]] = []
        for start in range(0, len(todo) + batch, batch):
            ahead.append([pool.submit(read, index) for index in todo[start : start + batch]])
            if start:
                found = [one.result() for one in ahead.pop(0)]
                outcome.omitted += [one for one in found if isinstance(one, str)]
                yield [one for one in found if not isinstance(one, str)], len(found)


def _embedded(
    loaded: model.Model, opened: archive.Archive, sensor: Sensor, read: Sequence[items.Item],
    picture: Picture, outcome: Outcome,
) -> list[tuple[np.ndarray, items.Item, bytes]]:  # fmt: skip
    """Returns the vector and the picture of each image that has something to see."""
    how = {"side": opened.index["side"], "pooling": opened.index["pooling"]}
    seen = []
    for item in read:
        chip, valid = items.fitted(item.image, item.valid, how["side"], opened.index["fit"])
        if valid.any():
            seen.append((item, chip, valid))
        else:
            outcome.omitted.append(f"{item.scene}: {item.id} has no valid pixel to look at")
    found = []
    for _, group in itertools.groupby(seen, key=lambda one: one[1].shape):
        some = list(group)
        chips, valid = (np.concatenate([one[i] for one in some]) for i in (1, 2))
        try:
            z = items.vectors(loaded, chips, valid, sensor, **how)
        except errors.UserError:
            for item, chip, mask in some:  # which one was it?
                try:
                    items.vectors(loaded, chip, mask, sensor, **how)
                except errors.UserError as error:
                    raise errors.UserError(f"{item.scene}, {item.id}: {error}") from error
            raise
        for (item, *_), vector in zip(some, z, strict=True):
            if not np.isfinite(vector).all():
                raise errors.UserError(f"{item.scene}: the vector of {item.id} is not finite")
            small = dataclasses.replace(item, image=np.zeros((0, 0, 0)), valid=np.zeros((0, 0)))
            found.append((vector, small, picture(item.image, item.valid, sensor)))
    return found
