"""Batches are a pure function of (seed, step), whatever reads them."""

import itertools

import numpy as np
import pytest

from smarties import errors
from smarties.data import pipeline


class Numbers:
    """Examples whose pixels are their index, negative in sensor `b`."""

    sensors = ("a", "b")

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        images = {"a": np.full((4, 4, 2), i, np.uint16), "b": np.full((2, 2, 1), -i, np.float32)}
        valid = {"a": np.ones((4, 4), bool), "b": np.ones((2, 2), bool)}
        return {"images": images, "valid": valid, "id": f"{i}", "time": np.float32(i)}

    def identity(self):
        return {"count": self.count}


def streams(**kwargs):
    return {
        "x": pipeline.Stream(
            source=Numbers(10), first="a", second="b", examples_per_batch=4, **kwargs
        ),
        "y": pipeline.Stream(
            source=Numbers(10), first="b", second="a", examples_per_batch=8, **kwargs
        ),
    }


def order(steps=6, seed=3, **kwargs):
    batches = pipeline.pair_batches(streams(), seed=seed, **kwargs)
    taken = itertools.islice(iter(batches), steps)
    return [{name: list(b["id"]) for name, b in batch.items()} for batch in taken]


def test_order_depends_on_seed_step_stream_and_epoch_only():
    reference = order(10)
    assert reference == order(10)
    assert reference == order(10, threads=0)
    assert reference[4:] == order(6, start_step=4)
    assert reference != order(10, seed=4)
    x = sum((batch["x"] for batch in reference), [])
    y = sum((batch["y"] for batch in reference), [])
    assert sorted(x[:10]) == sorted(map(str, range(10)))  # an epoch is a permutation
    assert sorted(x[10:20]) == sorted(x[:10])
    assert x[:10] != x[10:20]
    assert x[:10] != y[:10]


@pytest.mark.slow
def test_workers_read_the_same_batches():
    assert order(workers=2, threads=2) == order()


@pytest.mark.parametrize("world", [2, 4])
def test_hosts_together_read_the_global_batch(world):
    hosts = [order(rank=rank, world=world) for rank in range(world)]
    for step, batch in enumerate(order()):
        for name, ids in batch.items():
            parts = [host[step][name] for host in hosts]
            assert {len(part) for part in parts} == {len(ids) // world}
            assert sum(parts, []) == ids


def test_without_shuffle_the_source_order_stays():
    assert order(2, shuffle=False)[1]["x"] == ["4", "5", "6", "7"]


def test_batches_hold_pairs_of_one_place_in_native_dtype():
    batch = next(iter(pipeline.pair_batches(streams(), seed=0)))
    spec = pipeline.batch_spec(streams())
    for name in ("x", "y"):
        assert set(batch[name]) == {"first", "second", "id", "unreadable"}
        assert set(spec[name]) == {"first", "second"}
        for side in ("first", "second"):
            for part in ("image", "valid"):
                array, want = batch[name][side][part], spec[name][side][part]
                assert (array.shape, array.dtype) == (want.shape, want.dtype)
    ids = batch["x"]["id"].astype(int)
    np.testing.assert_array_equal(batch["x"]["first"]["image"][:, 0, 0, 0], ids)
    np.testing.assert_array_equal(batch["x"]["second"]["image"][:, 0, 0, 0], -ids)


def test_permuted_pairs_never_share_a_place_but_keep_their_marginals():
    stream = streams(permute=True)["x"]
    pairs = [stream[i] for i in range(10)]
    first = [int(p["first"]["image"][0, 0, 0]) for p in pairs]
    second = [-int(p["second"]["image"][0, 0, 0]) for p in pairs]
    assert all(a != b for a, b in zip(first, second, strict=True))
    assert sorted(first) == sorted(second) == list(range(10))
    assert [p["id"] for p in pairs] == [f"{a}|{b}" for a, b in zip(first, second, strict=True)]
    with pytest.raises(errors.UserError, match="1 examples"):
        pipeline.Stream(
            source=Numbers(1), first="a", second="b", examples_per_batch=1, permute=True
        )


def test_shares_are_exact():
    assert pipeline.shares(8, {"a": 0.7, "b": 0.3}) == {"a": 6, "b": 2}
    assert pipeline.shares(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert pipeline.shares(16, {"a": 3, "b": 1}, world=4) == {"a": 12, "b": 4}
    for size in range(3, 40):
        assert sum(pipeline.shares(size, {"a": 0.31, "b": 0.35, "c": 0.34}).values()) == size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, {"a": 0.7, "b": 0.3}, 4), "'a' has 6 pairs .* 4 processes"),
        ((4, {"a": 1, "b": 0}), "'b' has share 0"),
        ((4, {"a": 100, "b": 1}), "'b' with share 1 gets nothing"),
        ((4, {}), "no streams"),
    ],
)
def test_shares_refuse_what_cannot_be(arguments, message):
    with pytest.raises(errors.UserError, match=message):
        pipeline.shares(*arguments)


def test_streams_refuse_unknown_sensors_and_undivided_batches():
    with pytest.raises(errors.UserError, match="unknown sensor .* 'c'"):
        pipeline.Stream(source=Numbers(3), first="a", second="c", examples_per_batch=1)
    with pytest.raises(errors.UserError, match="3 processes"):
        pipeline.pair_batches(streams(), seed=0, world=3)


def test_sequential_reads_each_example_once_and_fills_the_last_batch():
    found = list(pipeline.sequential(Numbers(7), batch=3))
    assert [count for _, count in found] == [3, 3, 1]
    assert {len(batch["id"]) for batch, _ in found} == {3}
    ids = sum((list(batch["id"][:count]) for batch, count in found), [])
    assert ids == [str(i) for i in range(7)]
    chosen = list(pipeline.sequential(Numbers(7), indices=(5, 1), batch=4))
    assert [(list(b["id"]), n) for b, n in chosen] == [(["5", "1", "1", "1"], 2)]
    assert chosen[0][0]["time"].tolist() == [5, 1, 1, 1]


class Spoiled(Numbers):
    """Numbers of which some cannot be read."""

    def __init__(self, count, bad):
        super().__init__(count)
        self.bad = bad

    def __getitem__(self, i):
        if i in self.bad:
            raise errors.Unreadable(f"record {i} is corrupt")
        return super().__getitem__(i)


def spoiled(bad, steps=5, **options):
    """Returns the ids and the complaints of batches of two of ten numbers."""
    stream = pipeline.Stream(source=Spoiled(10, bad), first="a", second="b", examples_per_batch=2)
    batches = pipeline.pair_batches({"x": stream}, seed=0, **options)
    taken = [batch["x"] for batch in itertools.islice(iter(batches), steps)]
    assert all((b["first"]["image"][:, 0, 0, 0] == b["id"].astype(int)).all() for b in taken)
    return [tuple([*b["id"]] for b in taken), [str(x) for b in taken for x in b["unreadable"]]]


def test_an_unreadable_example_ends_a_run_that_allows_none():
    with pytest.raises(errors.UserError, match="record 3 is corrupt"):
        spoiled((3,))


def test_unreadable_examples_are_named_and_the_next_one_is_taken():
    whole, complaints = spoiled(())
    assert not complaints
    ids, complaints = spoiled((3, 4), unreadable_share=0.3)
    other = {"3": "5", "4": "5"}
    assert ids == tuple([other.get(i, i) for i in batch] for batch in whole)
    assert sorted(complaints) == [f"record {i} is corrupt" for i in (3, 4, 4)]


def test_the_first_example_may_be_unreadable_too():
    ids, complaints = spoiled((0,), unreadable_share=0.2)
    assert complaints and all("0" not in batch for batch in ids)
    stream = pipeline.Stream(source=Spoiled(4, (0,)), first="a", second="b", examples_per_batch=2)
    assert pipeline.batch_spec({"x": stream})["x"]["first"]["image"].shape == (2, 4, 4, 2)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_none_and_all(share):
    with pytest.raises(errors.UserError, match="unreadable_share"):
        pipeline.pair_batches(streams(), seed=0, unreadable_share=share)


@pytest.mark.slow
def test_workers_name_the_same_unreadable_examples():
    assert spoiled((3,), unreadable_share=0.3, workers=2) == spoiled((3,), unreadable_share=0.3)


def test_too_many_unreadable_examples_end_the_run():
    with pytest.raises(errors.UserError, match=r"2 of \d+ .*unreadable_share 0.1 allows: record"):
        spoiled((3, 8), unreadable_share=0.1)
    spoiled((3,), steps=20, unreadable_share=0.1)  # one in ten, in every epoch
    with pytest.raises(errors.UserError, match="no example of a stream can be read"):
        spoiled(range(10), unreadable_share=1)
