"""Metrics of species agree with scikit-learn, ties and all."""

import numpy as np
import pytest
from scipy import sparse
from sklearn import metrics as reference

from smarties.metrics import species


def _data(ties, seed=0, places=300, count=40):
    rng = np.random.default_rng(seed)
    presence = rng.random((places, count)) < rng.uniform(0.01, 0.9, count)
    presence[0], presence[1] = True, False
    predicted = (rng.normal(size=(places, count)) + presence).astype(np.float32)
    return presence, np.round(predicted, 0) if ties else predicted


@pytest.mark.parametrize("ties", [False, True])
def test_agree_with_scikit_learn(ties, monkeypatch):
    monkeypatch.setattr(species, "_CHUNK", 7)
    presence, predicted = _data(ties)
    found = species.scores(sparse.csr_array(presence), predicted)
    for k in range(presence.shape[1]):
        truth, score = presence[:, k], predicted[:, k]
        fpr, tpr, _ = reference.roc_curve(truth, score)
        wanted = (
            reference.roc_auc_score(truth, score),
            reference.average_precision_score(truth, score),
            (tpr - fpr).max(),
        )
        np.testing.assert_allclose([found[n][k] for n in species.METRICS], wanted, rtol=1e-6)


def test_one_score_for_all_places_is_chance():
    presence, _ = _data(False)
    found = species.scores(presence, np.zeros(presence.shape, np.float32))
    np.testing.assert_array_equal(found["auc"], 0.5)
    np.testing.assert_array_equal(found["tss"], 0)
    np.testing.assert_allclose(found["ap"], presence.mean(0))


def test_species_without_presence_or_absence_have_no_value_and_count_in_no_mean():
    presence, predicted = _data(False)
    presence[:, 0], presence[:, 1] = False, True
    found = species.scores(presence, lambda some: predicted[:, some])
    assert np.isnan(found["auc"][:2]).all() and np.isfinite(found["auc"][2:]).all()
    means = species.macro(found, np.ones(40, bool))
    np.testing.assert_allclose(means["auc"], found["auc"][2:].mean())
    assert np.isnan(species.macro(found, np.arange(40) < 2)["auc"])
