"""The games of a species model: drivers on top, irrelevant groups at nothing, sums as they must."""

import dataclasses

import numpy as np
import pytest
import toy_species
from scipy import sparse

from smarties import errors
from smarties.inference import shapley, species_games
from smarties.metrics import species


def test_groups_of_the_metric():
    """The drivers of each species come out on top, slope is worth nothing, an AUC of 0.5 before."""
    model, (values, there) = toy_species.toy(), toy_species.sites()
    players, which = species_games.groups(model), species_games.chosen(model, ())
    game = species_games.metric(model, players, values, sparse.csr_matrix(there), which)
    found = shapley.exact(game, players.names)
    assert found.names == ("climate", "soil", "relief")
    assert (found.empty == 0.5).all()
    np.testing.assert_allclose(found.values.sum(0), found.full - 0.5, atol=1e-9)
    climate, soil, relief = found.values
    assert (climate > soil).tolist() == [True, False, True] and climate[0] > 0.2 and soil[1] > 0.2
    np.testing.assert_allclose(relief, 0, atol=1e-9)
    control = np.random.default_rng(0).permutation(there)
    game = species_games.metric(model, players, values, control, which)
    assert np.abs(shapley.exact(game, players.names).values).max() < 0.1


def test_predictors_at_places():
    model, (values, _) = toy_species.toy(), toy_species.sites()
    players, which = species_games.predictors(model), species_games.chosen(model, ["oak", "fern"])
    game = species_games.predictions(model, players, values[:30], which, rows=7)
    found = shapley.exact(game, players.names)
    assert found.values.shape == (4, 30, 2)
    full = 1 / (1 + np.exp(-model.predict(values[:30])))[:, [2, 0]]
    np.testing.assert_allclose(found.full, full, atol=1e-6)
    np.testing.assert_allclose(found.values.sum(0) + 0.5, full, atol=1e-5)
    missing = np.isnan(values[:30]).T
    assert missing.any() and np.abs(found.values[missing]).max() < 1e-7  # no one's doing
    np.testing.assert_allclose(found.values[3], 0, atol=1e-7)


def test_a_predictor_in_no_group_plays_alone():
    model = dataclasses.replace(toy_species.toy(), groups={"climate": ("wet", "warm")})
    players = species_games.groups(model, ["slope"])
    assert players.names == ("climate", "clay")
    assert players.members.astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 0]]


def test_a_hidden_group_is_never_seen():
    model, (values, _) = toy_species.toy(), toy_species.sites(5)
    seen = []
    watched = dataclasses.make_dataclass("Watched", ())()
    for name in ("predictors", "groups", "species"):
        setattr(watched, name, getattr(model, name))
    watched.predict = lambda x, keep: (seen.append(keep), model.predict(x, keep))[1]
    players = species_games.predictors(watched, ["climate"])
    assert players.names == ("clay", "slope")
    shapley.exact(species_games.predictions(watched, players, values, np.arange(3)), players.names)
    kept = np.concatenate(seen)
    assert not kept[:, :2].any() and kept[:, 2:].any()


def test_the_metric_in_parts_of_memory(monkeypatch):
    model, (values, there) = toy_species.toy(), toy_species.sites(50)
    players, which, done = species_games.groups(model), np.arange(3), []
    game = species_games.metric(model, players, values, there, which, progress=done.append)
    whole = game(shapley.coalitions(3))
    monkeypatch.setattr(species_games, "MEMORY", 2 * 4 * 50 * 3)
    again = species_games.metric(
        model, players, values, there, which, rows=33, progress=done.append
    )
    np.testing.assert_array_equal(again(shapley.coalitions(3)), whole)
    assert done == [8, 2, 2, 2, 2]
    logits = model.predict(values)
    np.testing.assert_allclose(whole[-1], species.scores(there, logits)["auc"])


def test_mistakes_are_one_line():
    model, (values, there) = toy_species.toy(), toy_species.sites(50)
    with pytest.raises(errors.UserError, match="unknown group of predictors 'sail': did you mean"):
        species_games.groups(model, ["sail"])
    with pytest.raises(errors.UserError, match="unknown species 'okk'"):
        species_games.chosen(model, ["okk"])
    with pytest.raises(errors.UserError, match="unknown predictor of group 'a' 'clai'"):
        species_games.groups(dataclasses.replace(model, groups={"a": ("clai",)}))
    there[:, 1] = False
    with pytest.raises(errors.UserError, match="moss: without a presence"):
        species_games.metric(model, species_games.groups(model), values, there, np.arange(3))
