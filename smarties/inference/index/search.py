"""Exact nearest neighbours by cosine in archives larger than memory.

A matrix product and a running top-k, chunk by chunk. What is held does not grow with the archive.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from smarties import errors
from smarties.typing import Array

CHUNK = 8192  # rows of the archive at a time, on each device
QUERIES = 512  # at a time: their similarities with a chunk stay in a processor's cache
TINY = 1e-12  # a vector shorter than that has no direction: its similarity is 0

Best = tuple[jax.Array, jax.Array]  # similarities [..., k], best first, and rows


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Some rows of an archive.

    Attributes:
      vectors: [n, D] of any length, in memory or a memory map; float32, float16 or int8.
      keep: [n] bool, the rows to look at; None for all.
      shift, scale: [D]; vectors are compared as (x - shift) / scale. None for as they are.
      rows: [n], what each stored vector is multiplied by; None for 1.
      zero: [D], what is added to that to be x; None for 0.
    """

    vectors: np.ndarray
    keep: np.ndarray | None = None
    shift: np.ndarray | None = None
    scale: np.ndarray | None = None
    rows: np.ndarray | None = None
    zero: np.ndarray | None = None


def plain(part: Part, chosen: Any = slice(None)) -> np.ndarray:
    """Returns the vectors x [n, D] float32 of a part, or of some rows of it."""
    x = np.asarray(part.vectors[chosen], np.float32)
    if part.rows is not None:
        x = x * np.asarray(part.rows[chosen], np.float32)[:, None]
    return x if part.zero is None else x + np.asarray(part.zero, np.float32)


def top_k(
    queries: Array,
    archive: np.ndarray | Sequence[Part],
    k: int,
    *,
    chunk: int = CHUNK,
    mesh: Mesh | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the cosine similarities [Q, k] of the k nearest, best first, and their rows [Q, k].

    Of equal similarities the lower row comes first. Rows count through all parts; where fewer than
    k are kept, the rest are similarity -inf and row -1.

    Args:
      queries: [Q, D] of any length.
      archive: [A, D], or parts of it in their order.
      k: at most A.
      chunk: rows at a time on each device; memory grows with it, not with A.
      mesh: devices that share each chunk; by default the first one does all.

    Raises:
      UserError: an empty archive, k beyond it, other widths, or vectors that are not finite.
    """
    parts = [Part(archive)] if isinstance(archive, np.ndarray) else list(archive)
    queries = np.asarray(queries, np.float32)
    _check(queries, parts, k)
    longest = max(len(part.vectors) for part in parts)
    devices = 1 if mesh is None else mesh.size
    chunk = min(chunk, _power(max(-(-longest // devices), k)))
    chunk = max(chunk, _power(k))
    count = min(QUERIES, _power(len(queries)))
    blocks = -(-len(queries) // count)
    padded = np.zeros((blocks * count, queries.shape[1]), np.float32)
    padded[: len(queries)] = queries / np.maximum(
        np.linalg.norm(queries, axis=1, keepdims=True), TINY
    )
    asked = jnp.asarray(padded.reshape(blocks, count, -1))
    best: Best = (
        jnp.full((blocks, count, k), -jnp.inf, jnp.float32),
        jnp.full((blocks, count, k), -1, jnp.int32),
    )
    wrong, before = jnp.zeros((), jnp.int32), None
    step = _step(k, _block(chunk, k), mesh)
    for rows in _chunks(parts, chunk * devices, mesh):
        best, wrong = step(best, wrong, asked, *rows)
        if before is not None:  # at most two chunks are under way
            jax.block_until_ready(before)
        before = wrong
    if int(wrong):
        raise errors.UserError(
            f"{int(wrong)} vectors of the archive are not finite: no neighbour can be told"
        )
    similarity, rows = (np.asarray(x).reshape(-1, k)[: len(queries)] for x in best)
    return similarity, rows.astype(np.int64)


def _check(queries: np.ndarray, parts: Sequence[Part], k: int) -> None:
    size = sum(len(part.vectors) for part in parts)
    if not size:
        raise errors.UserError("the archive is empty: index something first")
    if not 1 <= k <= size:
        raise errors.UserError(f"k is {k}: of an archive of {size} give 1 to {size}")
    widths = {part.vectors.shape[1] for part in parts}
    if queries.ndim != 2 or widths != {queries.shape[1]}:
        raise errors.UserError(
            f"queries are {list(queries.shape)}, but vectors of the archive are "
            f"{' or '.join(map(str, sorted(widths)))} wide"
        )
    if not np.isfinite(queries).all():
        raise errors.UserError("queries are not finite: no neighbour can be told")


def _chunks(parts: Sequence[Part], size: int, mesh: Mesh | None) -> Iterator[tuple[Any, ...]]:
    """Yields (vectors [size, D], rows [size], keep [size], first row, shift, scale) on devices."""
    split = None if mesh is None else NamedSharding(mesh, P(mesh.axis_names))
    whole = None if mesh is None else NamedSharding(mesh, P())
    first = 0
    for part in parts:
        shift = part.shift
        if part.zero is not None:
            shift = -part.zero if shift is None else shift - part.zero
        about = jax.device_put((_single(shift), _single(part.scale)), whole)
        for start in range(0, len(part.vectors), size):
            vectors = part.vectors[start : start + size]
            n = len(vectors)
            keep = np.ones(n, bool) if part.keep is None else part.keep[start : start + n]
            rows = None if part.rows is None else part.rows[start : start + n]
            if n < size:
                vectors = np.pad(vectors, ((0, size - n), (0, 0)))
                keep = np.pad(keep, (0, size - n))
                rows = None if rows is None else np.pad(rows, (0, size - n))
            chunk = jax.device_put((vectors, _single(rows), keep), split)
            yield *chunk, jax.device_put(np.int32(first + start), whole), *about
        first += len(part.vectors)


def _single(values: Any) -> np.ndarray | None:
    return None if values is None else np.asarray(values, np.float32)


@functools.cache
def _step(k: int, block: int, mesh: Mesh | None) -> Any:
    """Returns (best, wrong, queries, what `_chunks` yields...) -> (best, wrong)."""
    axes = None if mesh is None else mesh.axis_names

    def step(best, wrong, queries, vectors, rows, keep, first, shift, scale):
        vectors = vectors.astype(jnp.float32)  # what is None costs nothing
        vectors = vectors if rows is None else vectors * rows[:, None]
        vectors = vectors if shift is None else vectors - shift[None]
        vectors = vectors if scale is None else vectors / scale[None]
        length = jnp.linalg.norm(vectors, axis=1)
        bad = (keep & ~jnp.isfinite(length)).sum(dtype=jnp.int32)
        share = jnp.where(keep, 1 / jnp.maximum(length, TINY), jnp.nan)
        if axes is not None:
            first += jax.lax.axis_index(axes) * len(vectors)
            bad = jax.lax.psum(bad, axes)

        def search(one):
            known, places, asked = one
            found = _within(asked, vectors, share, first, k, block)
            if axes is not None:  # in the order of devices, so that lower rows stay first
                found = [
                    jnp.moveaxis(jax.lax.all_gather(x, axes), 0, 1).reshape(len(x), -1)
                    for x in found
                ]
            both = zip((known, places), found, strict=True)
            values, numbers = (jnp.concatenate(two, 1) for two in both)
            return _top(values, numbers, k)

        return jax.lax.map(search, (*best, queries)), wrong + bad

    if mesh is None:
        return jax.jit(step)
    here = P(mesh.axis_names)
    inside = ((P(), P()), P(), P(), here, here, here, P(), P(), P())
    outside = ((P(), P()), P())
    return jax.jit(
        jax.shard_map(step, mesh=mesh, in_specs=inside, out_specs=outside, check_vma=False)
    )


def _within(queries, vectors, share, first, k: int, block: int) -> Best:
    """Returns the best k rows of a chunk; `share` is 1 / length, NaN of rows not to look at.

    They lie in the k blocks with the highest maxima (of equal ones, in the first): what is in
    another block has k maxima before it. So only maxima and k blocks are sorted.
    """
    similarity = jnp.matmul(queries, vectors.T, precision=jax.lax.Precision.HIGHEST)
    similarity = jnp.where(jnp.isnan(share)[None], -jnp.inf, similarity * share[None])
    blocks = similarity.reshape(len(queries), -1, block)
    _, chosen = jax.lax.top_k(blocks.max(2), k)
    chosen = jnp.sort(chosen, 1)
    values = jnp.take_along_axis(blocks, chosen[..., None], 1).reshape(len(queries), -1)
    rows = chosen[..., None] * block + jnp.arange(block, dtype=jnp.int32)[None, None]
    rows = jnp.where(values == -jnp.inf, -1, first + rows.reshape(values.shape))
    return _top(values, rows, k)


def _top(values: jax.Array, rows: jax.Array, k: int) -> Best:
    similarity, at = jax.lax.top_k(values, k)  # of equal values, the first
    return similarity, jnp.take_along_axis(rows, at, 1)


def _block(chunk: int, k: int) -> int:
    """Returns the size of blocks, a power of two, so that maxima and k blocks are few together."""
    best = 2 ** round(math.log2(max(chunk / k, 1)) / 2)
    while chunk // best < k:
        best //= 2
    return best


def _power(n: int) -> int:
    """Returns the least power of two that is not less."""
    return 1 << max(n - 1, 0).bit_length()
