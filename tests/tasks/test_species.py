"""The species task learns known niches, resumes, and its model is found again by names."""

import dataclasses

import jax
import numpy as np
import pytest
from ml_collections import config_dict
from scipy import sparse

import smarties
from smarties import errors
from smarties.data.tables import splits
from smarties.data.tables import table as tables
from smarties.inference import species_evaluation
from smarties.metrics import species as metrics
from smarties.tasks import species
from smarties.training import loop

MODEL = dict(width=32, depth=1, heads=2, hidden=32, frequencies=8, sigma=0.3, dropout=0.0)


def _table(places=900, seed=0, **changes):
    """Returns places where three species each live by one predictor, and two tell nothing."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(places, 4)).astype(np.float32)
    soil = rng.integers(0, 3, places)
    values[:, 3] = soil
    found = [np.abs(values[:, 0]) < 0.5, values[:, 1] > 0.7, soil == 1, np.arange(places) < 1]
    values = 100 + 20 * values
    values[:, 3] = soil
    values[rng.random((places, 4)) < 0.05] = np.nan
    made = tables.Table(
        predictors=("warm", "wet", "noise", "soil"),
        values=values,
        levels={"soil": ("clay", "loam", "sand")},
        groups={"climate": ("warm", "wet")},
        species=("middle", "wetland", "loamy", "rare"),
        presence=sparse.csr_array(np.stack(found, 1), dtype=np.uint8),
        coordinates=rng.uniform(0, 10, (places, 2)),
        degrees=True,
        sites=np.arange(places).astype(str),
    )
    return dataclasses.replace(made, **changes)


def _task(table=None, masking="sample", missing="mask", **more):
    table = table or _table()
    rows = splits.split(table, test=0.3, seed=1)
    rows["train"] = np.setdiff1d(np.arange(len(table)), rows["test"])
    subsets = dict(climate=("climate",), noise=("noise",), nothing=())
    return species.Species(
        recipe=species.Recipe(masking=masking, missing=missing), model=MODEL, table=table,
        rows=rows, batch_size=64, identity={"table": "toy"}, subsets=subsets,
        reading={"threads": 0}, batch=128, **more,
    )  # fmt: skip


def _config(steps):
    return config_dict.ConfigDict(
        dict(
            name="niches", seed=0, steps=steps, batch_size=64, task=dict(name="species"),
            model=MODEL, data={}, log=dict(every=100), checkpoint=dict(every=20),
            optimizer=dict(
                kind="schedule_free", learning_rate=0.01, warmup_steps=20, schedule="constant",
                beta1=0.9, beta2=0.999, weight_decay=0.01, decay="all",
            ),
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder, task = tmp_path_factory.mktemp("run"), _task()
    return folder, task, loop.train(task, _config(250), folder)


@pytest.mark.slow
def test_learns_each_niche_from_what_is_known(trained):
    _, task, found = trained
    assert task.evaluated().tolist() == [True, True, True, False]  # "rare" is in one part alone
    assert found["test/all/auc"] > 0.85
    assert 0.6 < found["test/climate/auc"] < found["test/all/auc"]
    assert abs(found["test/noise/auc"] - 0.5) < 0.1
    assert found["test/nothing/auc"] == 0.5


@pytest.mark.slow
def test_species_is_found_by_its_own_predictor(trained):
    folder, task, _ = trained
    rows, known = task.rows["test"], task.inputs.known(("climate",), "test")
    predicted = task.predict(smarties.load(folder).params, rows, known)
    auc = metrics.scores(task.presence[rows], predicted)["auc"]
    assert min(auc[:2]) > 0.75 and abs(auc[2] - 0.5) < 0.15


@pytest.mark.slow
def test_loaded_model_takes_columns_in_any_order(trained):
    folder, task, found = trained
    model = smarties.load(folder)
    assert model.species == task.inputs.species and model.groups == {"climate": ("warm", "wet")}
    table, rows = _table(), task.rows["test"]
    columns = dict(zip(table.predictors, table.values[rows].T, strict=True))
    names = np.array([*table.levels["soil"], ""])
    columns["soil"] = names[np.nan_to_num(columns["soil"], nan=3).astype(int)]
    shuffled = {name: columns[name] for name in ("soil", "noise", "wet", "warm")}
    values = model.inputs.values(shuffled)
    np.testing.assert_array_equal(values, table.values[rows])
    own = task.predict(model.params, rows, np.ones(4, bool))
    np.testing.assert_allclose(model.predict(values), own, atol=1e-3)
    keep = np.broadcast_to(task.inputs.known(("climate",), ""), values.shape)
    hidden = model.predict(values, keep)
    values[:, 2:] = np.nan
    np.testing.assert_allclose(model.predict(values), hidden, atol=1e-5)
    columns["warmth"] = columns.pop("warm")
    with pytest.raises(errors.UserError, match="did you mean 'warmth'"):
        model.inputs.values(columns)
    with pytest.raises(errors.UserError, match="warm, wet, noise, soil"):
        model.predict(values[:, :3])


@pytest.mark.slow
def test_model_is_judged_beside_its_baselines_on_its_own_split(trained):
    folder, task, found = trained
    model = smarties.load(folder)
    rows = list(species_evaluation.rows(task, [model], ["ridge"]))
    auc = {(row["method"], row["missing"], row["subset"]): row["auc"] for row in rows}
    assert auc["model", "mask", "all"] == pytest.approx(found["test/all/auc"], abs=1e-6)
    assert auc["ridge", "oracle", "climate"] > 0.6
    assert auc["ridge", "mean", "nothing"] == 0.5
    lines = species_evaluation.table(rows)
    assert lines[0] == ("method", "missing", "all", "climate", "noise", "nothing")
    other = _task()
    other.inputs = dataclasses.replace(
        other.inputs, scale=tables.Scale.of(_table(), np.arange(100))
    )
    with pytest.raises(errors.UserError, match="other rows"):
        species_evaluation.check(other, model)


def test_hidden_values_do_not_reach_the_loss():
    task = _task(masking="none")
    params = jax.jit(task.init)(jax.random.key(0))
    batch = next(iter(task.batches("train", 0, 1, 0)))
    part = {k: v for k, v in batch["train"].items() if k in ("values", "vectors", "presence")}
    loss = jax.jit(task.loss)
    value, _ = loss(params, {"train": part}, jax.random.key(1))
    assert np.isfinite(value) and np.isnan(part["values"]).any()
    np.testing.assert_array_equal(
        part["presence"], task.presence[[int(i) for i in batch["train"]["id"]]].toarray()
    )


@pytest.mark.parametrize("missing", ["mean", "median"])
def test_imputation_is_that_of_training_rows(missing):
    table = _table()
    task = _task(table, masking="none", missing=missing)
    params = jax.jit(task.init)(jax.random.key(0))
    rows, known = task.rows["test"][:5], np.array([True, False, True, False])
    found = task.predict(params, rows, known)
    train = table.values[task.rows["train"]]
    filled = table.values.copy()
    filled[:, 1] = getattr(np, f"nan{missing}")(train[:, 1])
    filled[:, 3] = np.bincount(train[~np.isnan(train[:, 3]), 3].astype(int)).argmax()
    for i in (0, 2):
        gap = np.isnan(filled[:, i])
        filled[gap, i] = getattr(np, f"nan{missing}")(train[:, i])
    whole = _task(table, masking="none", missing=missing)
    whole.stream = dataclasses.replace(whole.stream, values=task.inputs.scale.apply(filled))
    np.testing.assert_allclose(whole.predict(params, rows, np.ones(4, bool)), found, atol=1e-4)


def test_refuses_what_it_cannot_do():
    constant = _table()
    constant.values[:, 2] = 4
    with pytest.raises(errors.UserError, match="'noise' is 4 in all"):
        _task(constant)
    with pytest.raises(errors.UserError, match="masking must be 'none'"):
        species.Recipe(masking="batch", missing="mean")
    with pytest.raises(errors.UserError, match="did you mean 'sample'"):
        species.Recipe(masking="samples")
