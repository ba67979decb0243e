"""Vectors of queries to the nearest images of an archive."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from smarties import errors
from smarties.inference.index import approximate, archive, filters, rows, search

ALL = filters.Filters()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The nearest images.

    Attributes:
      rows: a table of them, see `rows.schema`, with the columns "rank" (1 is nearest) and
        "similarity" before these.
      looked: images that passed the filters.
      recall: of an approximate search, the share of the exact k nearest it found; None for exact.
    """

    rows: rows.Table
    looked: int
    recall: float | None = None


def check(opened: archive.Archive, k: int, chosen: filters.Filters) -> None:
    """Raises `UserError` for what cannot be asked: of no images, for too many, no such label."""
    count = sum(shard.count for shard in opened.of(chosen.sensor))
    if not 1 <= k <= count:
        of = f" of {chosen.sensor}" if chosen.sensor else ""
        raise errors.UserError(f"k is {k}: {opened.directory} has {count} images{of}")
    chosen.check(opened)


def find(
    opened: archive.Archive,
    query: np.ndarray,
    k: int,
    chosen: filters.Filters = ALL,
    *,
    centre: str | None = None,
    method: str = "exact",
    verify: bool = True,
) -> Found:
    """Returns the k nearest images of a query, fewer where fewer pass the filters.

    Args:
      opened: the archive.
      query: [D].
      k: at most the images of the archive.
      chosen: which images to look at.
      centre: the query's sensor: compare what is left after taking off each sensor's own mean and
        dividing by its deviation, as sensors differ by an offset. None to compare vectors.
      method: "exact", or one of `approximate.KINDS`, measured beside exact.
      verify: compare checksums of what is read.

    Raises:
      UserError: an empty archive, k beyond it, corrupt files, no image that passes.
    """
    check(opened, k, chosen)
    shards = opened.of(chosen.sensor)
    if verify:
        opened.verify(shards)
    keep = [chosen.keep(opened, shard) for shard in shards]
    looked = sum(
        shard.count if kept is None else int(kept.sum())
        for shard, kept in zip(shards, keep, strict=True)
    )
    if not looked:
        raise errors.UserError(f"no image of {opened.directory} passes the filters: widen them")
    if centre is not None:
        mean, deviation = opened.centre(centre)
        query = (query - mean) / deviation
    parts = [
        opened.part(shard, kept, centre=centre is not None)
        for shard, kept in zip(shards, keep, strict=True)
    ]
    similarity, numbers = (x[0, : min(k, looked)] for x in search.top_k(query[None], parts, k))
    recall = None
    if method != "exact":
        exact = numbers
        index = approximate.kept(opened, shards, parts, method, centred=centre is not None)
        similarity, numbers = approximate.top_k(index, query[None], parts, min(k, looked))
        similarity, numbers = similarity[numbers >= 0], numbers[numbers >= 0]
        recall = float(np.isin(exact, numbers).mean())
    if not len(numbers):
        raise errors.UserError(f"{method} found no image that passes the filters: search exactly")
    table = _table(opened, shards, similarity, numbers, verify)
    return Found(rows=table, looked=looked, recall=recall)


def _table(
    opened: archive.Archive, shards: Sequence[archive.Shard], similarity: np.ndarray,
    numbers: np.ndarray, verify: bool,
) -> rows.Table:  # fmt: skip
    import pyarrow as pa

    first = np.concatenate([[0], np.cumsum([shard.count for shard in shards])])
    at = np.searchsorted(first, numbers, "right") - 1
    if verify:
        opened.verify([shards[i] for i in sorted({*at.tolist()})], (archive.ROWS,))
    found = [
        rows.take(opened.file(shards[i], archive.ROWS), [number - int(first[i])])
        for i, number in zip(at.tolist(), numbers.tolist(), strict=True)
    ]
    table = pa.concat_tables(found)
    table = table.add_column(0, "similarity", pa.array(similarity, pa.float32()))
    return table.add_column(0, "rank", pa.array(np.arange(1, len(found) + 1), pa.int32()))


def places(opened: archive.Archive, chosen: filters.Filters, most: int) -> np.ndarray:
    """Returns longitude and latitude [n, 2] of images that pass filters, at most so many."""
    found = []
    for shard in opened.of(chosen.sensor):
        table = rows.read(opened.file(shard, archive.ROWS), ["lon", "lat"])
        here = np.stack([table[name].to_numpy() for name in ("lon", "lat")], 1)
        kept = chosen.keep(opened, shard)
        found.append(here if kept is None else here[kept])
    every = np.concatenate(found)
    every = every[np.isfinite(every).all(1)]
    return every[:: max(1, -(-len(every) // most))]
