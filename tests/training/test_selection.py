"""The best evaluation of a run is what it reports and keeps, also after a kill and resume."""

import json

import jax
import numpy as np
import optax
import pytest
import toy

from smarties import errors
from smarties.training import checkpoint, loop, plan, selection, settings, state, storage, trees


@pytest.fixture(autouse=True)
def _one_device(monkeypatch):
    devices = jax.devices()[:1]
    monkeypatch.setattr(jax, "devices", lambda: devices)


class Peaks(toy.Linear):
    """Is best at step 6, twice as good as at the end; remembers the parameters of each step."""

    def __init__(self, stop=None):
        super().__init__()
        self.stop, self.seen = stop, {}

    def evaluate(self, params, step, directory):
        if step == self.stop:
            raise KeyboardInterrupt
        self.seen[step] = jax.tree.map(np.asarray, params)
        return {"validation": 1.0 - 0.1 * abs(step - 6), "test": float(step)}


def _kept(workdir):
    shapes = plan.make(toy.Linear(), settings.resolve(toy.config())).shapes.params
    return checkpoint.restore_params(workdir / "best", shapes)


CONFIG = dict(steps=12, evaluate__every=3, checkpoint__best="validation")


def test_the_best_step_is_reported_and_its_parameters_kept(tmp_path):
    task = Peaks()
    numbers = loop.train(task, toy.config(**CONFIG), tmp_path)
    assert numbers == {"validation": 1.0, "test": 6.0}
    assert json.loads((tmp_path / "results.json").read_text()) == {"step": 6, **numbers}
    params, meta = _kept(tmp_path)
    assert meta["evaluation"]["step"] == 6
    old, last = trees.leaves(task.seen[6]), trees.leaves(task.seen[12])
    for path, leaf in trees.leaves(params).items():
        np.testing.assert_array_equal(leaf, old[path])
    assert any((old[path] != last[path]).any() for path in old)


def test_a_run_that_stopped_after_its_best_still_knows_it(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        loop.train(Peaks(stop=9), toy.config(**CONFIG), tmp_path)
    numbers = loop.train(Peaks(), toy.config(**CONFIG), tmp_path)
    assert numbers["test"] == 6 and _kept(tmp_path)[1]["evaluation"]["step"] == 6


def test_a_number_that_is_not_evaluated_is_named(tmp_path):
    with pytest.raises(errors.UserError, match="'validaton'.*'validation'"):
        loop.train(Peaks(), toy.config(**{**CONFIG, "checkpoint__best": "validaton"}), tmp_path)


def test_a_run_that_goes_on_before_its_best_may_do_better(tmp_path):
    best = _offered(tmp_path, {20: 0.5})
    for step, value in ((10, 0.6), (10, 0.7), (30, float("nan"))):
        best = _offered(tmp_path, {step: value})
    assert best.numbers == {"step": 10, "validation": 0.7}


def test_nan_is_never_best_and_what_was_not_evaluated_is_no_error(tmp_path):
    best = _offered(tmp_path, {0: float("nan"), 10: 0.2})
    best.offer(20, {}, None, {})
    assert best.numbers == {"step": 10, "validation": 0.2}


def _offered(where, values):
    best = selection.Best(where, "validation", storage.Storage("stop"))
    task = toy.Linear()
    run = state.make_init(task, optax.sgd(0.1), 0, 0.0)()
    for step, value in values.items():
        best.offer(step, {"validation": value}, run, {})
    return best
