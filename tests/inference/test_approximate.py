"""FAISS beside exact search: recall is measured, and what precision costs."""

import numpy as np
import pytest

pytest.importorskip("faiss")

from smarties import errors
from smarties.inference.index import approximate, precision, search
from smarties.inference.index import benchmark as search_benchmark

ARCHIVE, QUERIES = (search_benchmark.vectors(n, 32, seed) for n, seed in ((3000, 1), (40, 2)))
PARTS = [search.Part(ARCHIVE[:1000]), search.Part(ARCHIVE[1000:])]


def test_its_flat_index_finds_the_same():
    similarity, rows = approximate.top_k(approximate.build(PARTS, "flat"), QUERIES, PARTS, 10)
    want, exact = search.top_k(QUERIES, PARTS, 10)
    assert search_benchmark.recall(rows, exact) > 0.995
    np.testing.assert_allclose(similarity, want, atol=1e-5)


@pytest.mark.parametrize("kind", ["ivf", "pq", "hnsw"])
def test_more_effort_finds_more(kind):
    _, exact = search.top_k(QUERIES, PARTS, 10)
    index = approximate.build(PARTS, kind)
    found = []
    for effort in (1, approximate.EFFORT[kind][-1]):
        approximate.tune(index, kind, effort)
        _, rows = approximate.top_k(index, QUERIES, PARTS, 10)
        found.append(search_benchmark.recall(rows, exact))
    assert found[1] > 0.95 and found[0] < found[1]


def test_filters_hold_but_for_codes():
    keep = np.arange(3000) % 3 == 0
    kept = [search.Part(ARCHIVE[:1000], keep[:1000]), search.Part(ARCHIVE[1000:], keep[1000:])]
    _, exact = search.top_k(QUERIES, kept, 10)
    for kind in ("flat", "ivf", "hnsw"):
        _, rows = approximate.top_k(approximate.build(PARTS, kind), QUERIES, kept, 10)
        assert (rows[rows >= 0] % 3 == 0).all()
        assert search_benchmark.recall(rows, exact) > 0.9, kind
    with pytest.raises(errors.UserError, match="pq cannot filter"):
        approximate.top_k(approximate.build(PARTS, "pq"), QUERIES, kept, 10)
    with pytest.raises(errors.UserError, match="needs 1000 or more"):
        approximate.build([search.Part(ARCHIVE[:999])], "ivf")
    with pytest.raises(errors.UserError, match="did you mean 'hnsw'"):
        approximate.build(PARTS, "hsnw")


def test_int8_keeps_what_is_not_common_to_all():
    """An offset that all vectors share costs nothing, as it is stored once."""
    offset = 30 * np.random.default_rng(0).normal(size=32).astype(np.float32)
    for extra in (0, offset):
        z = ARCHIVE + extra
        stored = precision.part(z, "int8")
        np.testing.assert_allclose(search.plain(stored), z, atol=np.abs(ARCHIVE).max() / 100)
        parts = [search.Part(z, None, extra + np.zeros(32), np.ones(32))]
        _, exact = search.top_k(QUERIES, parts, 10)
        part = search.Part(stored.vectors, None, extra + np.zeros(32), np.ones(32), stored.rows,
                           stored.zero)  # fmt: skip
        assert search_benchmark.recall(search.top_k(QUERIES, [part], 10)[1], exact) > 0.95
        # without it, most of the bits would go to the offset
        naive = precision.part(z, "int8", np.zeros(32))
        worse = np.abs(search.plain(naive) - z).mean() / np.abs(search.plain(stored) - z).mean()
        assert worse > 5 or extra is not offset
    with pytest.raises(errors.UserError, match="too large for float16"):
        precision.part(1e6 * ARCHIVE, "float16")


def test_the_benchmark_says_what_was_reached():
    lines = search_benchmark.compare(4000, 64, 32, 10, 2, ("ivf",))
    found = {line.name: line for line in lines}
    assert len(found["exact / FAISS, a round"].values) == 2
    assert found["FAISS's nearest 10 that are ours"].median > 99
    assert found["float16: recall@10 against float32"].median > 97
    assert found["int8: recall@10 against float32"].median > 90
    assert any(name.startswith("ivf, effort") and "recall" in name for name in found)
