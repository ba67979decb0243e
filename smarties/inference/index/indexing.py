"""Images into an archive: what is in it already is not looked at again."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures

import numpy as np

from smarties import errors
from smarties.inference import model
from smarties.inference.index import archive, fitting, items, writing
from smarties.spectrum.bands import Sensor

# (image [H, W, C], valid [H, W], sensor) -> a small JPEG
Picture = Callable[[np.ndarray, np.ndarray, Sensor], bytes]


@dataclasses.dataclass
class Outcome:
    """What a call has done: images added, those known before, and why others were omitted."""

    added: int = 0
    known: int = 0
    omitted: list[str] = dataclasses.field(default_factory=list)


def add(
    writer: writing.Writer,
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
      writer: see `writing.opened`.
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
        chip, valid = fitting.fitted(item.image, item.valid, how["side"], opened.index["fit"])
        if valid.any():
            seen.append((item, chip, valid))
        else:
            outcome.omitted.append(f"{item.scene}: {item.id} has no valid pixel to look at")
    found = []
    for _, group in itertools.groupby(seen, key=lambda one: one[1].shape):
        some = list(group)
        chips, valid = (np.concatenate([one[i] for one in some]) for i in (1, 2))
        try:
            z = fitting.vectors(loaded, chips, valid, sensor, **how)
        except errors.UserError:
            for item, chip, mask in some:  # which one was it?
                try:
                    fitting.vectors(loaded, chip, mask, sensor, **how)
                except errors.UserError as error:
                    raise errors.UserError(f"{item.scene}, {item.id}: {error}") from error
            raise
        for (item, *_), vector in zip(some, z, strict=True):
            if not np.isfinite(vector).all():
                raise errors.UserError(f"{item.scene}: the vector of {item.id} is not finite")
            small = dataclasses.replace(item, image=np.zeros((0, 0, 0)), valid=np.zeros((0, 0)))
            found.append((vector, small, picture(item.image, item.valid, sensor)))
    return found
