"""How fast archives are searched: exactly, beside FAISS on the same cores, and approximately."""

import dataclasses
import os
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np

from smarties import errors
from smarties.inference import benchmark
from smarties.inference.benchmark import Row, row
from smarties.inference.index import approximate, precision, search

RECALL = 0.99  # that an approximate search should reach
_LATENT, _KINDS = 32, 200  # directions that features vary in, and kinds of ground


def vectors(count: int, width: int, seed: int) -> np.ndarray:
    """Returns unit vectors [count, width] float32 like features: kinds of ground, few directions.

    Independent normal numbers would be harder for approximate search than any real features.
    """
    world, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres = 1.5 * world.standard_normal((_KINDS, _LATENT), np.float32)
    mixing = 0.3 * world.standard_normal((_LATENT, width), np.float32)
    made = np.empty((count, width), np.float32)
    for start in range(0, count, 65_536):
        part = made[start : start + 65_536]
        latent = centres[rng.integers(0, _KINDS, len(part))]
        latent = latent + rng.standard_normal(latent.shape, np.float32)
        np.tanh(latent @ mixing, out=part)
        part += 0.1 * rng.standard_normal(part.shape, np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return made


def compare(
    count: int, queries: int, width: int, k: int, repeats: int, methods: tuple[str, ...]
) -> list[Row]:
    """Returns queries a second of our exact search and FAISS's in turns, and what precision costs.

    Args:
      count: vectors of the archive.
      queries: at once.
      width: of vectors.
      k: nearest that are asked for.
      repeats: rounds.
      methods: of `approximate.KINDS` but "flat", measured against exact.

    Raises:
      UserError: no FAISS, or k beyond the archive.
    """
    for method in methods:
        if method not in approximate.KINDS:
            raise errors.unknown("method of search", method, approximate.KINDS)
    faiss = approximate.library()
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    faiss.omp_set_num_threads(cores)
    archive, asked = vectors(count, width, 1), vectors(queries, width, 2)
    parts = [search.Part(archive)]
    flat = approximate.build(parts, "flat")
    found = {}

    def ours() -> float:
        start = time.perf_counter()
        found["ours"] = search.top_k(asked, parts, k)[1]
        return time.perf_counter() - start

    def theirs() -> float:
        start = time.perf_counter()
        found["faiss"] = approximate.top_k(flat, asked, parts, k)[1]
        return time.perf_counter() - start

    search.top_k(asked, [search.Part(archive[: 2 * search.CHUNK])], k)  # compiles
    rounds = benchmark.turns({"ours": ours, "faiss": theirs}, repeats)
    of = f"{queries:,} of {count:,} x {width}"
    rate = [queries / s for s in rounds["ours"]]
    ratio = [f / o for o, f in zip(rounds["ours"], rounds["faiss"], strict=True)]
    exact = found["ours"]
    return [
        row("search", f"exact, {of}", "queries/s", rate),
        row("search", f"exact, {of}", "GFLOP/s", [2e-9 * r * count * width for r in rate]),
        row("search", f"FAISS IndexFlatIP, {cores} threads", "queries/s",
            [queries / s for s in rounds["faiss"]]),
        row("search", "exact / FAISS, a round", "x", ratio),
        row("search", f"FAISS's nearest {k} that are ours", "%",
            100 * recall(found["faiss"], exact)),
        *_precisions(archive, asked, exact, k),
        *(line for method in methods
          for line in _approximate(parts, asked, exact, method, statistics.median(rate))),
    ]  # fmt: skip


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Returns the share of the exact nearest rows [Q, k] that are among those found [Q, k]."""
    return float(np.mean((exact[:, :, None] == found[:, None, :]).any(2)))


def _precisions(archive, asked, exact, k: int) -> Iterator[Row]:
    for dtype in ("float16", "int8"):
        stored = precision.part(archive, dtype)
        some = dataclasses.replace(stored, vectors=stored.vectors[: 2 * search.CHUNK])
        search.top_k(asked, [some], k)  # compiles
        start = time.perf_counter()
        found = search.top_k(asked, [stored], k)[1]
        seconds = time.perf_counter() - start
        yield row("search", f"exact in {dtype}", "queries/s", len(asked) / seconds)
        yield row("search", f"{dtype}: recall@{k} against float32", "%", 100 * recall(found, exact))


def _approximate(parts, asked, exact, method: str, rate: float) -> Iterator[Row]:
    """Yields the least effort that reaches `RECALL`, or else the most."""
    start = time.perf_counter()
    index = approximate.build(parts, method)
    yield row("search", f"{method}, making it", "s", time.perf_counter() - start)
    k, reached, effort, speed = exact.shape[1], 0.0, 0, 0.0
    for effort in approximate.EFFORT[method]:
        approximate.tune(index, method, effort)
        start = time.perf_counter()
        found = approximate.top_k(index, asked, parts, k)[1]
        speed, reached = len(asked) / (time.perf_counter() - start), recall(found, exact)
        if reached >= RECALL:
            break
    yield row("search", f"{method}, effort {effort}: recall@{k}", "%", 100 * reached)
    yield row("search", f"{method}, effort {effort}", "queries/s", speed)
    yield row("search", f"{method} / exact", "x", speed / rate)
