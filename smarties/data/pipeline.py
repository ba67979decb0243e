"""Sources -> batches: grain pipelines whose order is a pure function of (seed, step).

Per stream: indices -> seed -> shuffle -> repeat -> batch -> [start_step:] -> this process's part ->
read. Because batches are formed before iteration starts and parts are cut from them in order,
neither the number of workers or of processes nor a restart changes what a step sees.
"""

import dataclasses
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import grain
import jax
import numpy as np
from absl import flags

from smarties import errors
from smarties.data import sources
from smarties.typing import Tree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """Pairs of images of one place by two sensors, with a fixed share of every batch.

    Attributes:
      source: where the examples come from.
      first, second: sensors of the pair; they may be the same.
      examples_per_batch: pairs in a global batch.
      permute: pair the first image of one place with the second image of another (a control that
        destroys what pairs have in common and nothing else).
    """

    source: sources.Source
    first: str
    second: str
    examples_per_batch: int
    permute: bool = False

    def __post_init__(self):
        for sensor in (self.first, self.second):
            if sensor not in self.source.sensors:
                raise errors.unknown("sensor of a stream's source", sensor, self.source.sensors)
        if len(self.source) < 1 + self.permute:
            raise errors.UserError(
                f"the source of {self.first} and {self.second} has {len(self.source)} examples: "
                f"a stream needs {1 + self.permute} or more"
            )

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns pair `index`: {"first": {"image", "valid"}, "second": {...}, "id"}."""
        one = self.source[index]
        # Half way round: another place, and in a folder of tiles another scene.
        other = self.source[(index + len(self) // 2) % len(self)] if self.permute else one
        return {
            "first": {"image": one["images"][self.first], "valid": one["valid"][self.first]},
            "second": {"image": other["images"][self.second], "valid": other["valid"][self.second]},
            "id": f"{one['id']}|{other['id']}" if self.permute else one["id"],
        }

    def identity(self) -> dict[str, Any]:
        """Returns what fixes the stream's pairs, JSON-able."""
        return {
            "first": self.first,
            "second": self.second,
            "examples_per_batch": self.examples_per_batch,
            "permute": self.permute,
            "source": self.source.identity(),
        }


class Examples(Protocol):
    """What makes a stream: nested dicts of arrays of one shape, each with an "id"."""

    @property
    def examples_per_batch(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> dict[str, Any]: ...


@dataclasses.dataclass(frozen=True)
class _Load(grain.transforms.Map):
    """Makes a global batch of indices this process's batch of pairs.

    Pairs are copied into place one by one: half the time of stacking them when all have been read.
    """

    stream: Examples
    rank: int
    world: int
    patient: bool

    def map(self, element):
        batch: dict[str, Any] = {}
        ids, unreadable = [], []
        element = np.split(element, self.world)[self.rank]
        for k, index in enumerate(element):
            pair = self._pair(int(index), unreadable)
            ids.append(pair["id"])
            _copy(
                {name: part for name, part in pair.items() if name != "id"}, batch, k, len(element)
            )
        return batch | {"id": np.array(ids), "unreadable": np.array(unreadable, np.str_)}

    def _pair(self, index: int, unreadable: list[str]) -> dict[str, Any]:
        """Returns a pair, or the next one that can be read; says what could not."""
        for other in range(len(self.stream)):
            try:
                return self.stream[(index + other) % len(self.stream)]
            except errors.Unreadable as error:
                if not self.patient:
                    raise
                unreadable.append(str(error))
        raise errors.UserError(f"no example of a stream can be read: {unreadable[-1]}")


def _copy(example: Tree, batch: Tree, place: int, count: int) -> None:
    """Puts an example at its place in a batch of `count`; the first makes the room."""
    for name, value in example.items():
        if isinstance(value, Mapping):
            _copy(value, batch.setdefault(name, {}), place, count)
            continue
        if not place:
            batch[name] = np.empty((count, *np.shape(value)), np.asarray(value).dtype)
        batch[name][place] = value


@dataclasses.dataclass(frozen=True)
class _Name(grain.transforms.Map):
    """Makes a tuple of batches a dict by stream name."""

    names: tuple[str, ...]

    def map(self, element):
        return dict(zip(self.names, element, strict=True))


def pair_batches(
    streams: Mapping[str, Examples],
    *,
    seed: int,
    rank: int = 0,
    world: int = 1,
    start_step: int = 0,
    shuffle: bool = True,
    workers: int = 0,
    threads: int = 4,
    prefetch: int = 8,
    unreadable_share: float = 0.0,
) -> Iterator[Tree]:
    """Yields one process's batches {stream: {"first": {"image", "valid"}, "second": {...}, "id"}}.

    Streams of other examples than pairs, as of `labelled.Labelled`, give what these hold.
    Images are [b, H, W, C] in native dtype, valid masks [b, H, W], ids [b] strings, with b =
    examples_per_batch / world. There is no end to them. Those of all ranks, one after the other,
    are the batch of a single process. A stream's "unreadable" [u] says, in one line each, in place
    of which examples the next readable ones were taken.

    Args:
      streams: by name.
      seed: of the order; every stream and every pass over a source is shuffled differently.
      rank, world: this process and how many there are.
      start_step: the first batch is the one of this step.
      shuffle: False keeps the order of the sources.
      workers: processes that read; 0 reads in this one.
      threads: that read, in each process.
      prefetch: batches made ahead, in each process.
      unreadable_share: of this process's examples of the epochs begun since `start_step`, how many
        may be unreadable. 0 raises the error of the first.

    Raises:
      UserError: no streams, a share that `world` does not divide, or more unreadable examples.
    """
    if not streams:
        raise errors.UserError("no streams: a batch needs one or more pair streams")
    if not 0 <= unreadable_share <= 1:
        raise errors.UserError(f"data.unreadable_share {unreadable_share}: a share, 0 to 1")
    parts = []
    for name, stream in sorted(streams.items()):
        _divide(name, stream.examples_per_batch, world)
        part = grain.MapDataset.range(len(stream)).seed(zlib.crc32(f"{seed}/{name}".encode()))
        part = (part.shuffle() if shuffle else part).repeat()
        part = part.batch(stream.examples_per_batch, drop_remainder=True)[start_step:]
        parts.append(part.map(_Load(stream, rank, world, patient=unreadable_share > 0)))
    # A slice of an endless dataset has a length that depends on the slice; a zip wants one length.
    length = min(map(len, parts))
    batches = grain.experimental.ZipMapDataset([part[:length] for part in parts])
    named = _iterate(batches.map(_Name(tuple(sorted(streams)))), workers, threads, prefetch)
    epoch = max(1, sum(map(len, streams.values())) // world)
    return _bounded(named, unreadable_share, epoch)


def _bounded(batches: Iterable[Tree], share: float, epoch: int) -> Iterator[Tree]:
    """Yields the batches while no more than a share of what was read was unreadable."""
    read = lost = 0
    for batch in batches:
        for part in batch.values():
            read += len(part["id"])
            lost += len(part["unreadable"])
            if lost > share * math.ceil(read / epoch) * epoch:
                raise errors.UserError(
                    f"{lost} of {read} examples could not be read, more than "
                    f"data.unreadable_share {share} allows: {'; '.join(part['unreadable'])}"
                )
        yield batch


def batch_spec(streams: Mapping[str, Examples]) -> Tree:
    """Returns the global batch of `pair_batches` as `jax.ShapeDtypeStruct`s, without the ids."""
    spec = {}
    for name, stream in sorted(streams.items()):
        pair = {key: part for key, part in sources.first(stream).items() if key != "id"}
        b = stream.examples_per_batch
        spec[name] = jax.tree.map(
            lambda x, b=b: jax.ShapeDtypeStruct((b, *np.shape(x)), np.asarray(x).dtype), pair
        )
    return spec


def shares(batch_size: int, weights: Mapping[str, float], world: int = 1) -> dict[str, int]:
    """Returns how many examples of a global batch each stream gets; they sum to `batch_size`.

    Largest remainders get what rounding leaves; so the counts do not depend on `world`, which must
    divide them.

    Raises:
      UserError: a share that is not positive, rounds to nothing, or is not divisible by `world`.
    """
    if not weights:
        raise errors.UserError("no streams: a batch needs one or more pair streams")
    for name, weight in weights.items():
        if not weight > 0 or not np.isfinite(weight):
            raise errors.UserError(f"stream {name!r} has share {weight}: a share is positive")
    total = sum(weights.values())
    exact = {name: batch_size * weight / total for name, weight in weights.items()}
    counts = {name: int(value + 1e-9) for name, value in exact.items()}
    order = sorted(weights, key=lambda name: (counts[name] - exact[name], name))
    for name in order[: batch_size - sum(counts.values())]:
        counts[name] += 1
    for name, count in counts.items():
        if count == 0:
            raise errors.UserError(
                f"stream {name!r} with share {weights[name]} gets nothing of a batch of "
                f"{batch_size}: raise the batch size or the share"
            )
        _divide(name, count, world)
    return counts


def sequential(
    source: sources.Source,
    indices: Sequence[int] | None = None,
    batch: int = 32,
    *,
    threads: int = 4,
    prefetch: int = 8,
) -> Iterator[tuple[Tree, int]]:
    """Yields (batch of whole examples, how many of them count), in order, once.

    The last batch is filled up with repetitions of its last example, so that all have one shape.

    Args:
      source: of the examples.
      indices: which, in this order; None for all.
      batch: examples in a batch.
      threads: that read.
      prefetch: batches made ahead.
    """
    chosen = list(range(len(source)) if indices is None else map(int, indices))
    if not chosen:
        return
    filled = chosen + chosen[-1:] * (-len(chosen) % batch)
    examples = grain.MapDataset.source(_Chosen(source, tuple(filled))).batch(batch)
    for k, element in enumerate(_iterate(examples, 0, threads, prefetch)):
        yield element, min(batch, len(chosen) - k * batch)


@dataclasses.dataclass(frozen=True)
class _Chosen:
    """The examples of a source at some indices."""

    source: sources.Source
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> sources.Example:
        return self.source[self.indices[index]]


def _divide(name: str, count: int, world: int) -> None:
    if count % world:
        raise errors.UserError(
            f"stream {name!r} has {count} pairs in a batch: "
            f"the {world} processes that share it must divide that number"
        )


def _iterate(
    dataset: grain.MapDataset, workers: int, threads: int, prefetch: int
) -> grain.IterDataset:
    """Returns the dataset iterated with read-ahead; the order is that of the dataset."""
    if not flags.FLAGS.is_parsed():  # grain's readers and workers look up flags
        flags.FLAGS.mark_as_parsed()
    batches = dataset.to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch if threads else 0)
    )
    if workers:
        options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
        batches = batches.mp_prefetch(options)
    return batches
