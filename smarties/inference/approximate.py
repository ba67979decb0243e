"""Nearest neighbours by FAISS (extra `search`): its exact index as a reference, and faster ones."""

import functools
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.inference import archive, search

KINDS = ("flat", "ivf", "hnsw")
FOLDER = "faiss"  # of an archive, where indexes are kept: they take long to make
_BLOCK = 65_536  # rows that are held beside the index


@functools.cache
def library() -> Any:
    """Returns the module; raises `UserError` without it."""
    try:
        import faiss
    except ImportError as error:
        raise errors.UserError("this needs faiss: pip install 'smarties[search]'") from error
    return faiss


def build(
    parts: Sequence[search.Part],
    kind: str,
    *,
    neighbours: int = 32,
    probes: int = 32,
    seed: int = 0,
) -> Any:
    """Returns an index of the cosine similarity with the vectors of an archive's parts.

    Args:
      parts: see `search.top_k`; what they keep is up to `top_k`.
      kind: "flat", all pairs (`IndexFlatIP`); "ivf", 4 sqrt(A) cells of which `probes` are looked
        at; "hnsw", a graph.
      neighbours: of a node of the graph.
      probes: cells looked at.
      seed: of the sample that cells are made by.

    Raises:
      UserError: another kind, or no FAISS.
    """
    if kind not in KINDS:
        raise errors.unknown("method of search", kind, ("exact", *KINDS))
    faiss = library()
    width, count = parts[0].vectors.shape[1], sum(len(part.vectors) for part in parts)
    if kind == "flat":
        index = faiss.IndexFlatIP(width)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(width, neighbours, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 200
        index.hnsw.efSearch = 128
    else:
        cells = max(1, min(int(4 * math.sqrt(count)), count // 39))  # FAISS asks for 39 a cell
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT
        )
        rng = np.random.default_rng(seed)
        sample = np.sort(rng.choice(count, min(count, 64 * cells), replace=False))
        index.train(np.concatenate([x for x, _ in _units(parts, sample)]))
        index.nprobe = min(probes, cells)
    for vectors, _ in _units(parts):
        index.add(vectors)
    return index


def _units(parts: Sequence[search.Part], chosen: np.ndarray | None = None):
    """Yields (unit vectors [n, D] float32, their first row), all or those chosen (sorted)."""
    first = 0
    for part in parts:
        n = len(part.vectors)
        mine = np.arange(n) if chosen is None else chosen[(chosen >= first) & (chosen < first + n)]
        mine = mine if chosen is None else mine - first
        for start in range(0, len(mine), _BLOCK):
            some = mine[start : start + _BLOCK]
            x = part.vectors[some].astype(np.float32)
            if part.rows is not None:
                x *= np.asarray(part.rows)[some, None]
            if part.shift is not None and part.scale is not None:
                x = np.float32((x - part.shift) / part.scale)
            yield x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), search.TINY), first
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
        else:
            options = faiss.SearchParameters(sel=selector)
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
    if file.exists():
        return faiss.read_index(str(file))
    index = build(parts, kind)
    try:
        file.parent.mkdir(exist_ok=True)
        with archive.appearing(file) as part:
            faiss.write_index(index, str(part))
    except OSError as error:
        raise errors.UserError(f"{file} cannot be written ({error.strerror or error})") from error
    return index
