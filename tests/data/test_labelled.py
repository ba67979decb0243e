"""Labelled examples: which are drawn, and which labels are refused."""

import dataclasses

import numpy as np
import pytest

from smarties import errors
from smarties.data import labelled, pipeline, sources


class Source(sources.Source):
    """Examples whose only pixel is their number, of three classes that are 1/2, 1/3 and 1/6."""

    sensors = ("rgb",)

    def __init__(self, count=600, **changes):
        self.count, self.changes = count, changes
        self.splits = {"train": range(count // 2), "test": range(count // 2, count)}

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return {
            "images": {"rgb": np.full((1, 1, 3), index, np.uint16)},
            "valid": {"rgb": np.ones((1, 1), bool)},
            "labels": np.int64((0, 0, 0, 1, 1, 2)[index % 6]),
            "id": f"example {index}",
            **self.changes,
        }

    def identity(self):
        return {"count": self.count}


def stream(kind="single", classes=("a", "b", "c"), **changes):
    source = Source(**changes)
    return labelled.Labelled(
        source=source, indices=tuple(range(len(source))), sensors=("rgb",), kind=kind,
        classes=classes,
    )  # fmt: skip


def test_shares_and_shots_are_of_each_class_and_of_the_seed():
    whole = stream()
    for arguments, want in (
        (dict(share=0.1), (30, 20, 10)),
        (dict(share=0.01), (3, 2, 1)),
        (dict(shots=5), (5, 5, 5)),
        (dict(shots=150), (150, 150, 100)),
    ):
        few = labelled.few(whole, **arguments, seed=1)
        assert tuple(few.presence().sum(0)) == want
        assert few == labelled.few(whole, **arguments, seed=1)
        assert few.indices != labelled.few(whole, **arguments, seed=2).indices or want[2] == 100
    small, large = (labelled.few(whole, share=s, seed=3).indices for s in (0.01, 0.1))
    assert set(small) < set(large)


def test_several_labels_are_drawn_in_their_shares():
    rng = np.random.default_rng(0)
    present = rng.random((5000, 4)) < np.array([0.7, 0.3, 0.05, 0.01])[None]
    quota = np.round(0.1 * present.sum(0)).astype(int)
    chosen = labelled.draw(present, quota, 0)
    assert (present[chosen].sum(0) >= quota).all() and len(set(chosen)) == len(chosen)
    assert len(chosen) < 0.12 * len(present)


def test_parts_of_a_split_share_nothing():
    source = Source()
    parts = [labelled.part_of(source, "train", p) for p in ((0, 0.7), (0.7, 0.85), (0.85, 1))]
    assert sorted(i for part in parts for i in part) == list(range(300))
    assert [len(part) for part in parts] == [210, 45, 45]
    assert labelled.part_of(source, None, (0, 1)) == tuple(range(600))


def test_batches_come_through_the_pipeline():
    one = dataclasses.replace(stream(), examples_per_batch=4)
    whole = next(pipeline.pair_batches({"train": one}, seed=0, threads=0))["train"]
    halves = [
        next(iter(pipeline.pair_batches({"train": one}, seed=0, rank=r, world=2, threads=0)))
        for r in (0, 1)
    ]
    joined = np.concatenate([half["train"]["images"]["rgb"] for half in halves])
    np.testing.assert_array_equal(joined, whole["images"]["rgb"])
    numbers = whole["images"]["rgb"][:, 0, 0, 0]
    assert whole["labels"].tolist() == [(0, 0, 0, 1, 1, 2)[i % 6] for i in numbers]
    spec = pipeline.batch_spec({"train": one})["train"]
    assert spec["labels"].shape == (4,) and spec["labels"].dtype == np.int32


def test_a_map_gives_its_most_frequent_class():
    found = stream(map=np.array([[2, 2], [1, 255]], np.uint8), labels=None)
    assert found[0]["labels"] == 2
    assert stream("map", map=np.array([[2, 255]], np.uint8))[0]["labels"].tolist() == [[2, 255]]


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("single", dict(labels=np.int64(3)), "example 0: label 3 is out of range: 3 classes"),
        ("single", dict(labels=np.int64(-1)), "label -1 is out of range"),
        ("single", dict(labels=np.int64(255)), "label 255 is out of range"),
        ("single", dict(labels=np.zeros(3)), "there is no map: task.labels 'single' needs"),
        ("multi", dict(labels=np.zeros(4, np.uint8)), "labels are uint8 .4,., but there are 3"),
        ("multi", dict(labels=np.full(3, 2)), "other values than 0 and 1"),
        ("multi", {}, "labels are int64 .., but there are 3 classes"),
        ("single", dict(labels=None, map=np.full((2, 2), 255)), "its map has no class anywhere"),
        ("map", {}, "needs a map of classes"),
        ("map", dict(map=np.full((2, 2), 7, np.uint8)), "label 7 is out of range.*255 where"),
    ],
)
def test_labels_that_cannot_be(kind, changes, message):
    with pytest.raises(errors.UserError, match=message):
        stream(kind, **changes)[0]


def test_a_class_without_examples_is_named():
    with pytest.raises(errors.UserError, match="no training example of class 'd'"):
        labelled.few(stream(classes=("a", "b", "c", "d")))
    for bad in (dict(share=0), dict(share=0.5, shots=2), dict(shots=-1)):
        with pytest.raises(errors.UserError, match="data.share"):
            labelled.few(stream(), **bad)
