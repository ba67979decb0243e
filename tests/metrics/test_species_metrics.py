"""Metrics of species beside scikit-learn's, with ties; what cannot be evaluated is listed."""

import numpy as np
import pytest
from scipy import sparse
from sklearn import metrics

from smarties import errors
from smarties.metrics import species


def case(n=300, count=23, seed=0, rounded=None):  # few and many presences: both ways to count
    """(scores [n, S], presences [n, S]): rare and common species; rounding makes ties."""
    rng = np.random.default_rng(seed)
    there = rng.random((n, count)) < rng.uniform(0.01, 0.9, count)
    there[0], there[1] = True, False
    scores = 1 / (1 + np.exp(-rng.normal(size=(n, count)) - there))
    return (scores if rounded is None else scores.round(rounded)).astype(np.float32), there


@pytest.mark.parametrize("rounded", [None, 1])
@pytest.mark.parametrize("kept", [np.asarray, sparse.csr_matrix, sparse.csc_array])
def test_metrics_are_scikit_learns(rounded, kept, monkeypatch):
    scores, there = case(rounded=rounded)
    monkeypatch.setattr(species, "_CHUNK", 7)
    found = species.scores(kept(there), scores, (*species.METRICS, "threshold"))
    for s in range(scores.shape[1]):
        truth, score = there[:, s], scores[:, s]
        assert found["auc"][s] == pytest.approx(metrics.roc_auc_score(truth, score))
        assert found["ap"][s] == pytest.approx(metrics.average_precision_score(truth, score))
        false, true, cuts = metrics.roc_curve(truth, score, drop_intermediate=False)
        assert found["tss"][s] == pytest.approx((true - false).max())
        called = score >= found["threshold"][s]
        tss = called[truth].mean() - called[~truth].mean()
        assert tss == pytest.approx(found["tss"][s])
    again = species.scores(there, lambda some: scores[:, some], ("auc",))
    np.testing.assert_array_equal(again["auc"], found["auc"])


def test_boyce_index_by_its_definition():
    """Windows counted one by one; presences drawn in proportion to suitability score near one."""
    rng = np.random.default_rng(1)
    scores = rng.random((4000, 3)).astype(np.float64)
    there = rng.random(scores.shape) < np.stack(
        [scores[:, 0], 1 - scores[:, 1], np.full(4000, 0.3)], 1
    )
    found = species.scores(there, scores, ("boyce",))["boyce"]
    assert found[0] > 0.95 and found[1] < -0.95 and abs(found[2]) < 0.8
    x, p = scores[:, 0], scores[there[:, 0], 0]
    width = np.ptp(x) / 10
    kept = []
    for start in np.linspace(x.min(), x.max() - width, 101):
        share = [np.mean((v >= start) & (v <= start + width)) for v in (p, x)]
        kept.append((start, share[0] / share[1]))
    kept = [k for i, k in enumerate(kept) if i == 0 or k[1] != kept[i - 1][1]]
    ranks = [np.argsort(np.argsort(column)) for column in np.array(kept).T]
    assert found[0] == pytest.approx(np.corrcoef(ranks)[0, 1], abs=2e-3)


def test_species_that_cannot_be_evaluated_are_listed_and_left_out():
    scores, there = case()
    there[:, 3], there[:, 5] = False, True
    found = species.scores(there, scores)
    listed = species.excluded(there, [f"s{i}" for i in range(scores.shape[1])])
    assert listed == {"without_presence": ["s3"], "without_absence": ["s5"]}
    assert species.excluded(sparse.csr_array(there), [f"s{i}" for i in range(23)]) == listed
    assert all(np.isnan(found[m][[3, 5]]).all() for m in species.METRICS)
    others = [i for i in range(scores.shape[1]) if i not in (3, 5)]
    mean = species.macro(found, np.ones(23, bool))["auc"]
    assert mean == pytest.approx(species.scores(there[:, others], scores[:, others])["auc"].mean())
    assert np.isnan(species.macro(found, np.isin(np.arange(23), (3, 5)))["auc"])


def test_constant_scores_are_chance_and_shuffled_presences_near_it():
    scores, there = case(n=2000)
    assert (species.scores(there, np.zeros_like(scores))["auc"] == 0.5).all()
    shuffled = np.random.default_rng(0).permutation(there)
    assert species.scores(there, scores)["auc"].mean() > 0.7
    assert abs(species.scores(shuffled, scores)["auc"].mean() - 0.5) < 0.05


def test_mistakes_are_one_line():
    scores, there = case()
    with pytest.raises(errors.UserError, match="unknown metric of species 'aux'"):
        species.scores(there, scores, ("aux",))
    with pytest.raises(errors.UserError, match="of presences"):
        species.scores(there, scores[1:])
    scores[7, 4] = np.nan
    with pytest.raises(errors.UserError, match="species 4 of the scores: a score is not a number"):
        species.scores(there, scores)
