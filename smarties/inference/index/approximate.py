"""Nearest neighbours by FAISS (extra `search`): its exact index as a reference, and faster ones."""

import contextlib
import functools
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.inference.index import archive, search

KINDS = {  # as FAISS writes them: https://github.com/facebookresearch/faiss/wiki/The-index-factory
    "flat": "Flat",  # all pairs: exact
    "ivf": "IVF{cells},Flat",  # the cells nearest to the query
    "pq": "IVF{cells},PQ{codes}x4fs,RFlat",  # of these by codes of 4 bits, the best compared again
    "hnsw": "HNSW32,Flat",  # a graph
}
EFFORT = {"flat": (0,), "ivf": (4, 8, 16, 32), "pq": (8, 16, 32), "hnsw": (32, 64, 128)}
LEAST = 1000  # vectors to make cells and codes by
FOLDER = "faiss"  # of an archive, where indexes are kept: they take long to make
_SAMPLE = 39  # vectors a cell that FAISS asks for to make cells
_BLOCK = 65_536  # rows that are held beside the index


@functools.cache
def library() -> Any:
    """Returns the module; raises `UserError` without it."""
    try:
        import faiss
    except ImportError as error:
        raise errors.UserError("this needs faiss: pip install 'smarties[search]'") from error
    return faiss


def build(parts: Sequence[search.Part], kind: str, *, seed: int = 0) -> Any:
    """Returns an index of the cosine similarity with the vectors of an archive's parts.

    Args:
      parts: see `search.top_k`; what they keep is up to `top_k`.
      kind: one of `KINDS`.
      seed: of the sample that cells and codes are made by.

    Raises:
      UserError: another kind, no FAISS, or an archive too small for it.
    """
    if kind not in KINDS:
        raise errors.unknown("method of search", kind, ("exact", *KINDS))
    faiss = library()
    width, count = parts[0].vectors.shape[1], sum(len(part.vectors) for part in parts)
    if kind in ("ivf", "pq") and (count < LEAST or width % 8):
        raise errors.UserError(
            f"{count} vectors of {width}: {kind} needs {LEAST} or more, of a multiple of 8: search "
            "them exactly"
        )
    cells = max(1, min(int(4 * math.sqrt(count)), count // _SAMPLE))
    plan = KINDS[kind].format(cells=cells, codes=width // 4)
    index = faiss.index_factory(width, plan, faiss.METRIC_INNER_PRODUCT)
    if kind == "hnsw":
        index.hnsw.efConstruction = 80
    if kind in ("ivf", "pq"):
        faiss.extract_index_ivf(index).cp.niter = 10
        rng = np.random.default_rng(seed)
        sample = np.sort(rng.choice(count, min(count, max(_SAMPLE * cells, LEAST)), replace=False))
        index.train(np.concatenate(list(_units(parts, sample))))
    for vectors in _units(parts):
        index.add(vectors)
    tune(index, kind, EFFORT[kind][-1])
    return index


def tune(index: Any, kind: str, effort: int) -> None:
    """Sets how much of an index is looked at: cells, or candidates in the graph."""
    faiss = library()
    if kind == "hnsw":
        index.hnsw.efSearch = effort
    elif kind in ("ivf", "pq"):
        ivf = faiss.extract_index_ivf(index)
        ivf.nprobe = min(effort, ivf.nlist)
        if kind == "pq":
            index.k_factor = 8.0  # so many candidates for each of the k are compared exactly


def _units(parts: Sequence[search.Part], chosen: np.ndarray | None = None):
    """Yields unit vectors [n, D] float32, all or those chosen (sorted), so many at a time."""
    first = 0
    for part in parts:
        n = len(part.vectors)
        mine = np.arange(n) if chosen is None else chosen[(chosen >= first) & (chosen < first + n)]
        mine = mine if chosen is None else mine - first
        for start in range(0, len(mine), _BLOCK):
            some = mine[start : start + _BLOCK]
            x = search.plain(part, some)
            if part.shift is not None and part.scale is not None:
                x = np.float32((x - part.shift) / part.scale)
            yield x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), search.TINY)
        first += n


def top_k(
    index: Any, queries: np.ndarray, parts: Sequence[search.Part], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns similarities [Q, k] and rows [Q, k] by an index, as `search.top_k` does.

    What the index does not find is similarity -inf and row -1.
    """
    faiss, options = library(), None
    queries = np.asarray(queries, np.float32)
    length = np.linalg.norm(queries, axis=1, keepdims=True)
    unit = np.ascontiguousarray(queries / np.maximum(length, search.TINY))
    if any(part.keep is not None for part in parts):
        kept = [np.ones(len(p.vectors), bool) if p.keep is None else p.keep for p in parts]
        bits = np.packbits(np.concatenate(kept), bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
        if isinstance(index, faiss.IndexHNSW):
            options = faiss.SearchParametersHNSW(sel=selector, efSearch=index.hnsw.efSearch)
        elif isinstance(index, faiss.IndexIVF):
            options = faiss.SearchParametersIVF(sel=selector, nprobe=index.nprobe)
        elif isinstance(index, faiss.IndexFlat):
            options = faiss.SearchParameters(sel=selector)
        else:
            raise errors.UserError("method pq cannot filter: search by ivf, hnsw or exact")
    similarity, rows = index.search(unit, k, params=options)
    return np.where(rows < 0, -np.inf, similarity).astype(np.float32), rows.astype(np.int64)


def kept(
    opened: archive.Archive,
    shards: Sequence[archive.Shard],
    parts: Sequence[search.Part],
    kind: str,
    *,
    centred: bool,
) -> Any:
    """Returns the index of some shards, made at the first call and read from the archive after."""
    faiss = library()
    what = [(shard.name, shard.files[archive.VECTORS]) for shard in shards]
    name = hashlib.sha256(repr((what, centred)).encode()).hexdigest()[:16]
    file = Path(opened.directory) / FOLDER / f"{kind}-{name}.faiss"
    with contextlib.suppress(RuntimeError):  # not there, or corrupt: it can be made again
        return faiss.read_index(str(file))
    index = build(parts, kind)
    try:
        file.parent.mkdir(exist_ok=True)
        with archive.appearing(file) as part:
            faiss.write_index(index, str(part))
    except OSError as error:
        raise errors.UserError(f"{file} cannot be written ({error.strerror or error})") from error
    return index
