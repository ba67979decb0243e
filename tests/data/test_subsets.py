"""Splits by rules, regimes of few labels, and noise: seeded, stratified, and refused in a line."""

import numpy as np
import pytest

from smarties import errors
from smarties.data import subsets


class Few:
    """Examples without pixels; ids end in a number of two digits."""

    sensors = ()

    def __init__(self, labels, splits=None):
        self.labels, self.splits = labels, splits or {}

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"id": f"class{index % 7}/{index:02}", "labels": self.labels[index]}

    def identity(self):
        return {}


def single(n=100, classes=4, seed=0):
    """Single labels of very different frequency."""
    share = np.array([0.6, 0.3, 0.07, 0.03][:classes])
    return np.random.default_rng(seed).choice(classes, n, p=share / share.sum()).astype(np.int64)


def part_of(labels, classes=4):
    return subsets.read(Few(labels), "labels", [f"c{i}" for i in range(classes)])


def test_reads_indices_multi_hot_and_maps():
    part, ids = part_of(single())
    assert not part.multi and (part.labels.argmax(1) == single()).all() and ids[3] == "class3/03"
    hot = (np.random.default_rng(0).random((10, 4)) < 0.5).astype(np.uint8)
    part, _ = part_of(hot)
    assert part.multi and (part.labels == hot).all()
    maps = Few(np.array([[[1, 1], [1, 3]], [[2, 0], [0, 0]]]))
    part, _ = part_of(maps.labels)
    assert not part.multi and part.labels.argmax(1).tolist() == [1, 0]
    for present, want in (
        (0.2, [[0, 1, 0, 1], [1, 0, 1, 0]]),
        (0.25, [[0, 1, 0, 0], [1, 0, 0, 0]]),
    ):
        part, _ = subsets.read(maps, "labels", "abcd", present=present)
        assert part.multi and part.labels.tolist() == want


def test_splits_by_id_by_name_and_by_share():
    labels = single(400)
    source = Few(labels, {"train": range(0, 300), "rest": range(300, 400)})
    part, ids = subsets.read(source, "labels", "abcd")
    cut = subsets.split(
        part,
        ids,
        {"train": {"share": 0.75}, "test": {"of": "rest"}, "validation": {"share": 0.25}},
        seed=0,
    )
    assert list(cut) == ["train", "test", "validation"]
    assert cut["test"].indices.tolist() == list(range(300, 400))
    assert len(cut["train"]) == 225 and len(cut["validation"]) == 75
    assert not set(cut["train"].indices) & set(cut["validation"].indices)
    counts = cut["train"].labels.sum(0) / part.labels[:300].sum(0)
    np.testing.assert_allclose(counts, 0.75, atol=0.1)
    odd = subsets.split(part, ids, {"a": {"ids": "[13579]$"}, "b": {"ids": "0$"}}, seed=0)
    assert (odd["a"].indices % 2 == 1).all() and (odd["b"].indices % 10 == 0).all()


@pytest.mark.parametrize("multi", [False, True])
def test_fewer_labels_are_nested_seeded_and_lack_no_class(multi):
    labels = single(2000)
    if multi:
        rng = np.random.default_rng(1)
        labels = (rng.random((2000, 4)) < [[0.6, 0.3, 0.05, 0.004]]).astype(np.uint8)
    part, _ = part_of(labels)
    chosen = {a: subsets.labelled(part, a, 0) for a in ("1%", "10%", "100%")}
    assert 20 <= len(chosen["1%"]) <= 24 and 200 <= len(chosen["10%"]) <= 204
    assert len(chosen["100%"]) == 2000
    assert set(chosen["1%"].indices) <= set(chosen["10%"].indices)
    for few in chosen.values():
        assert (few.labels.sum(0) > 0).all()
    shares = chosen["10%"].labels.mean(0) / part.labels.mean(0)
    assert shares[0] == pytest.approx(1, abs=0.12) and shares[1] == pytest.approx(1, abs=0.2)
    again, other = (subsets.labelled(part, "1%", s) for s in (0, 1))
    assert (again.indices == chosen["1%"].indices).all()
    assert set(other.indices) != set(again.indices)


def test_shots():
    part, _ = part_of(single(500))
    few = subsets.labelled(part, "5-shot", 0)
    assert few.labels.sum(0).tolist() == [5, 5, 5, 5]
    assert (subsets.labelled(part, "400-shot", 0).labels.sum(0) <= part.labels.sum(0)).all()


def test_noise_is_of_the_share_it_says():
    part, _ = part_of(single(4000))
    noisy = subsets.noisy(part.labels, 0.3, False, 0)
    changed = (noisy != part.labels).any(1).mean()
    assert changed == pytest.approx(0.3, abs=0.03) and (noisy.sum(1) == 1).all()
    assert (subsets.noisy(part.labels, 0.0, False, 0) == part.labels).all()
    multi = subsets.noisy(part.labels, 1.0, True, 0)
    np.testing.assert_array_equal(multi.sum(0), part.labels.sum(0))
    assert (multi != part.labels).any(1).mean() > 0.4


SHARE = {"train": {"share": 0.7}, "test": {"share": 0.4}}
MISTAKES = {
    "labels of example class2/02: 9 is none of 4 classes: labels are 0 to 3": lambda: part_of(
        np.array([0, 1, 9])
    ),
    "labels of example class0/00: 3 labels, but 4 classes": lambda: part_of(np.ones((2, 3))),
    "2 is not 0 or 1": lambda: part_of(np.full((2, 4), 2)),
    "unknown key of labels .* 'label': did you mean 'labels'": lambda: subsets.read(
        Few(single()), "label", "abcd"
    ),
    "split test is {}: give one of ids, of and share": lambda: subsets.split(
        *part_of(single()), {"test": {}}, 0
    ),
    "above 0, and 1 at most in sum": lambda: subsets.split(*part_of(single()), SHARE, 0),
    "split test has no example": lambda: subsets.split(
        *part_of(single()), {"test": {"ids": "none"}}, 0
    ),
    "is in another split too": lambda: subsets.split(
        *part_of(single()), {"train": {"ids": "0$"}, "test": {"ids": "[05]$"}}, 0
    ),
    "unknown split of the source 'test'": lambda: subsets.split(
        *part_of(single()), {"test": {"of": "test"}}, 0
    ),
    "labelled is '1 %': give e.g. \"100%\"": lambda: subsets.labelled(
        part_of(single())[0], "1 %", 0
    ),
    "label noise of 2: a share": lambda: subsets.noisy(np.eye(2), 2, False, 0),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(words):
    with pytest.raises(errors.UserError, match=words) as caught:
        MISTAKES[words]()
    assert "\n" not in str(caught.value)
