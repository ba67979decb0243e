"""Retrieval metrics beside slow ones in plain Python, and chance beside drawn rankings."""

import math
from typing import Any

import numpy as np
import pytest

from smarties.metrics import random_retrieval, retrieval

OPTIONS: list[tuple[Any, Any]] = [("hits", "retrieved"), ("relevant", "archive")]


def labels(n, classes=6, seed=0, density=0.35):
    return (np.random.default_rng(seed).random((n, classes)) < density).astype(np.uint8)


def slow(query, ranking, archive, k, denominator, ideal):
    """The measures of one query, as one would write them down."""

    def share(a, b):
        return int((a & b).sum())

    def ratio(a, b):
        return a / b if b else 0.0

    first = ranking[:k]
    precision = [ratio(share(query, r), int(r.sum())) for r in first]
    recall = [ratio(share(query, r), int(query.sum())) for r in first]
    f1 = [ratio(2 * p * r, p + r) for p, r in zip(precision, recall, strict=True)]
    hits = [share(query, r) > 0 for r in first]
    sums = sum(sum(hits[: i + 1]) / (i + 1) for i in range(k) if hits[i])
    possible = min(k, sum(share(query, a) > 0 for a in archive))
    gains = [2 ** share(query, r) - 1 for r in first]
    best = [2 ** share(query, a) - 1 for a in (archive if ideal == "archive" else ranking)]
    dcg, top = (
        sum(g / math.log2(2 + i) for i, g in enumerate(values[:k]))
        for values in (gains, sorted(best, reverse=True))
    )
    return {
        "precision": sum(precision) / k,
        "recall": sum(recall) / k,
        "mean_pair_f1": sum(f1) / k,
        "map": ratio(sums, sum(hits) if denominator == "hits" else possible),
        "ndcg": ratio(dcg, top),
    }


@pytest.mark.parametrize("k", [1, 5, 12])
@pytest.mark.parametrize(("denominator", "ideal"), OPTIONS)
def test_as_written_down(k, denominator, ideal):
    """Queries and results without labels are among them."""
    queries, archive = labels(40, density=0.25), labels(30, seed=1)
    assert (queries.sum(1) == 0).any() and (archive.sum(1) == 0).any()
    rng = np.random.default_rng(2)
    order = np.stack([rng.permutation(30)[:12] for _ in queries])
    chance = random_retrieval.chances(queries, archive)
    got = retrieval.measured(
        queries, archive[order], k, denominator=denominator, ideal=ideal, shared=chance.shared
    )
    want = [
        slow(q, archive[o], archive, k, denominator, ideal)
        for q, o in zip(queries, order, strict=True)
    ]
    for name in got:
        np.testing.assert_allclose(got[name], [w[name] for w in want], atol=1e-5, err_msg=name)
    found = retrieval.scores(got)
    assert set(found) == set(retrieval.NAMES)
    p, r = (np.mean([w[name] for w in want]) for name in ("precision", "recall"))
    assert found["f1_of_means"][0] == pytest.approx(2 * p * r / (p + r), abs=1e-6)
    assert found["ndcg"][1] < found["ndcg"][0] < found["ndcg"][2]


def test_two_pairs():
    """(P, R) of (1, 1/4) and (1/4, 1): the harmonic mean of means is .625, their mean .4."""
    one, four = np.array([1, 0, 0, 0]), np.array([1, 1, 1, 1])
    queries, retrieved = np.stack([four, one]), np.stack([one, four])[:, None]
    values = retrieval.measured(queries, retrieved, 1, denominator="hits", ideal="retrieved")
    found = retrieval.scores(values)
    assert found["f1_of_means"][0] == pytest.approx(0.625)
    assert found["mean_pair_f1"][0] == pytest.approx(0.4)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("denominator", "ideal"), OPTIONS)
def test_chance_is_the_mean_of_random_rankings(denominator, ideal, own):
    archive = labels(25, classes=4, density=0.3)
    queries = archive[:8] if own else labels(8, classes=4, seed=3)
    mine = np.ones(8, bool) if own else None
    chance = random_retrieval.chances(queries, archive, mine)
    options: dict[str, Any] = dict(denominator=denominator, ideal=ideal)
    rng, draws, k, depth = np.random.default_rng(4), 3000, 5, 9
    drawn = []
    for _ in range(draws):
        order = np.stack([rng.permutation(25)[: depth + 1] for _ in queries])
        if own:  # the query itself is passed over
            others = np.argsort(order == np.arange(8)[:, None], axis=1, kind="stable")
            order = np.take_along_axis(order, others, 1)
        drawn.append(archive[order[:, :depth]])
    values = retrieval.measured(
        np.tile(queries, (draws, 1)), np.concatenate(drawn), k,
        shared=np.tile(chance.shared, (draws, 1)), **options,
    )  # fmt: skip
    many = random_retrieval.Chances(
        *(np.repeat(x, 400, 0) for x in (chance.shared, chance.precision, chance.recall, chance.f1))
    )
    got = random_retrieval.expected(many, k, depth=depth, **options)
    for name, expected in got.items():
        mean = values[name].reshape(draws, 8).mean(0)
        atol = 0.06 if (name, ideal) == ("ndcg", "retrieved") else 0.025
        np.testing.assert_allclose(expected.reshape(8, 400).mean(1), mean, atol=atol, err_msg=name)
        assert expected.mean() == pytest.approx(mean.mean(), abs=0.02 if atol > 0.03 else 0.01)


def test_order_counts_where_it_should():
    """The best ranking has 1 where rank counts, and its reverse less; sets have no order."""
    query, archive = labels(1, seed=5, density=0.6), labels(30, seed=6)
    gain = (query & archive).sum(1, dtype=int)
    best = archive[np.argsort(-gain, kind="stable")][None, :10]
    shared = random_retrieval.chances(query, archive).shared
    options: dict[str, Any] = dict(denominator="relevant", ideal="archive", shared=shared)
    good, bad = (retrieval.measured(query, r, 10, **options) for r in (best, best[:, ::-1]))
    assert good["ndcg"] == pytest.approx(1, abs=1e-5) and good["map"] == pytest.approx(1, abs=1e-5)
    assert bad["ndcg"] < 0.97
    for name in ("precision", "recall", "mean_pair_f1"):
        assert bad[name] == pytest.approx(good[name], abs=1e-5)


def test_denominators_differ_where_little_is_found():
    query = np.array([[1, 0]])
    archive = np.array([[1, 0]] * 4 + [[0, 1]] * 6)
    shared = random_retrieval.chances(query, archive).shared
    ranking = archive[[0, 4, 5, 6, 7]][None]  # one of four is found, first
    got = [
        retrieval.measured(query, ranking, 5, denominator=d, ideal=i, shared=shared)
        for d, i in OPTIONS
    ]
    assert [float(values["map"][0]) for values in got] == pytest.approx([1.0, 0.25])
    assert got[0]["ndcg"] == pytest.approx(1.0) and got[1]["ndcg"] < 0.5


def test_arguments():
    with pytest.raises(ValueError, match="k is 6, but 5"):
        retrieval.measured(labels(2), labels(10).reshape(2, 5, 6), 6,
                           denominator="hits", ideal="retrieved")  # fmt: skip
    with pytest.raises(ValueError, match="`shared` is needed"):
        retrieval.measured(labels(2), labels(10).reshape(2, 5, 6), 5,
                           denominator="relevant", ideal="retrieved")  # fmt: skip
