"""Exact search: the same as NumPy, ties and chunk edges included; and what precision costs."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from smarties import errors
from smarties.inference.index import search
from smarties.training import sharding


def reference(queries, archive, k):
    """The same by sorting everything; ties by the lower row."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, archive)]
    similarity = unit[0] @ unit[1].T
    rows = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarity, rows, 1), rows


def signs(count, seed, width=64):
    """Vectors of -1 and 1: of 64 numbers all similarities are exact, and many are equal."""
    return np.random.default_rng(seed).choice(np.float32([-1, 1]), (count, width))


def vectors(count, seed, width=64):
    """Vectors around 50 centres, as features of a few kinds of ground are."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(50, width))
    return (centres[rng.integers(0, 50, count)] + rng.normal(size=(count, width))).astype("f4")


@pytest.mark.parametrize(
    ("count", "k", "chunk"),
    [(1000, 10, 64), (64, 10, 64), (65, 10, 64), (63, 1, 64), (700, 100, 64), (5, 5, 8192)],
)
def test_equals_sorting_everything_with_ties(count, k, chunk):
    queries, archive = signs(7, 0), signs(count, 1)
    similarity, rows = search.top_k(queries, archive, k, chunk=chunk)
    want, at = reference(queries, archive, k)
    np.testing.assert_array_equal(rows, at)
    np.testing.assert_array_equal(similarity, want)


def test_the_lower_of_equal_rows_comes_first_across_chunks_and_parts():
    one = signs(1, 0)
    archive = np.repeat(one, 300, 0)
    _, rows = search.top_k(one, archive, 20, chunk=32)
    np.testing.assert_array_equal(rows[0], np.arange(20))
    parts = [search.Part(archive[:7]), search.Part(archive[:0]), search.Part(archive[7:])]
    _, rows = search.top_k(one, parts, 20, chunk=32)
    np.testing.assert_array_equal(rows[0], np.arange(20))


def test_more_queries_than_a_block_and_any_lengths():
    queries, archive = vectors(search.QUERIES + 3, 0), vectors(400, 1)
    similarity, rows = search.top_k(queries, archive, 10, chunk=128)
    want, at = reference(queries, archive, 10)
    np.testing.assert_allclose(similarity, want, atol=1e-5)
    assert (rows == at).mean() > 0.999  # but for what differs by rounding
    again, _ = search.top_k(queries * 7, archive * np.float32(0.1), 10, chunk=128)
    np.testing.assert_allclose(again, similarity, atol=1e-5)


def test_devices_share_the_archive():
    mesh = sharding.make_mesh({"data": 4, "fsdp": 2, "tensor": 1})
    assert len(jax.devices()) == 8
    queries, archive = signs(9, 0), signs(1111, 1)
    for chunk in (16, 64):
        found = search.top_k(queries, archive, 10, chunk=chunk, mesh=mesh)
        alone = search.top_k(queries, archive, 10)
        for a, b in zip(found, alone, strict=True):
            np.testing.assert_array_equal(a, b)


def test_only_kept_rows_and_what_is_left_when_they_are_few():
    queries, archive = signs(5, 0), signs(500, 1)
    keep = np.zeros(500, bool)
    keep[[3, 77, 499]] = True
    similarity, rows = search.top_k(queries, [search.Part(archive, keep)], 5, chunk=64)
    _, at = reference(queries, archive[keep], 3)
    np.testing.assert_array_equal(rows[:, :3], np.flatnonzero(keep)[at])
    assert (rows[:, 3:] == -1).all() and (similarity[:, 3:] == -np.inf).all()


def test_parts_are_centred_each_by_its_own():
    queries, archive = vectors(6, 0), vectors(300, 1)
    shift = np.random.default_rng(2).normal(size=64).astype("f4") * 5
    parts = [search.Part(archive[:100]), search.Part(3 * archive[100:] + shift, None, shift, 3.0 +
             np.zeros(64))]  # fmt: skip
    similarity, rows = search.top_k(queries, parts, 10, chunk=64)
    want, at = reference(queries, archive, 10)
    np.testing.assert_allclose(similarity, want, atol=1e-4)
    assert (rows == at).mean() > 0.99


def test_a_memory_map_of_any_precision(tmp_path):
    queries, archive = vectors(50, 0), vectors(2000, 1)
    archive /= np.linalg.norm(archive, axis=1, keepdims=True)
    _, exact = search.top_k(queries, archive, 10)
    for stored, least in (
        (archive, 1.0),
        (archive.astype(np.float16), 0.98),
        (np.rint(127 * archive / np.abs(archive).max(1, keepdims=True)).astype(np.int8), 0.93),
    ):
        np.save(tmp_path / "a.npy", stored)
        _, rows = search.top_k(queries, np.load(tmp_path / "a.npy", mmap_mode="r"), 10, chunk=256)
        assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(rows, exact, strict=True)]) >= least


def test_mistakes():
    good = vectors(8, 0)
    for queries, archive, k, words in (
        (good, good[:0], 1, "empty"),
        (good, good, 9, "of an archive of 8 give 1 to 8"),
        (good, good, 0, "k is 0"),
        (good[:, :5], good, 1, "64 wide"),
        (good * np.nan, good, 1, "queries are not finite"),
        (good, np.where(np.arange(8)[:, None] == 3, np.inf, good), 1, "1 vectors of the archive"),
    ):
        with pytest.raises(errors.UserError, match=words):
            search.top_k(queries, archive, k)


LARGE = """
import resource, sys
import numpy as np
from smarties.inference.index import search

archive = np.load(sys.argv[1], mmap_mode="r")
query = np.ones((1, archive.shape[1]))
search.top_k(query, [search.Part(archive[: 3 * search.CHUNK])], 10)
lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
most = int(lines["VmData"].split()[0]) * 1024 + 250_000_000
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
try:
    np.array(archive)
except MemoryError:
    print("too large for memory")
print(search.top_k(query, archive, 2)[1][0].tolist())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_memory_does_not_grow_with_the_archive(tmp_path):
    shape = (300_000, 512)  # 614 MB; all but two rows are holes of the file
    archive = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, shape)
    archive[[200_001, 123_456]] = 1
    archive.flush()
    done = subprocess.run(
        [sys.executable, "-c", LARGE, tmp_path / "a.npy"], capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["too large for memory", "[123456, 200001]"], done.stderr
