"""Durations and learning rates against values worked out by hand."""

import numpy as np
import pytest

from smarties import errors
from smarties.training import schedule


def test_durations_agree_in_every_unit():
    given = [{"warmup_steps": 30}, {"warmup_epochs": 3.0}, {"warmup_examples": 960}]
    assert [schedule.duration(one, "warmup_", 32, 320) for one in given] == [30, 30, 30]
    assert schedule.duration({"warmup_steps": 0, "warmup_epochs": None}, "warmup_", 32, 320) == 0


def test_two_units_at_once_are_refused():
    with pytest.raises(errors.UserError, match="steps and epochs"):
        schedule.duration({"steps": 3, "epochs": 1.0}, "", 32, 320)
    with pytest.raises(errors.UserError, match="does not say how many"):
        schedule.duration({"epochs": 1.0}, "", 32, None)


def test_base_learning_rate_scales_with_the_batch_and_learning_rate_does_not():
    assert schedule.peak({"base_learning_rate": 1.5e-4}, 2048) == pytest.approx(1.2e-3)
    assert schedule.peak({"learning_rate": 1.5e-4}, 2048) == 1.5e-4
    for both in ({}, {"learning_rate": 1.0, "base_learning_rate": 1.0}):
        with pytest.raises(errors.UserError, match="exactly one"):
            schedule.peak(both, 256)


def test_cosine_values():
    rate = schedule.learning_rate("cosine", 2.0, 10, 30)
    steps = [0, 5, 10, 15, 20, 25, 30]
    want = [0, 1, 2, 1 + np.cos(np.pi / 4), 1, 1 + np.cos(3 * np.pi / 4), 0]
    np.testing.assert_allclose([rate(s) for s in steps], want, atol=1e-6)


def test_constant_keeps_its_height_and_no_warmup_starts_there():
    rate = schedule.learning_rate("constant", 0.5, 0, 10)
    np.testing.assert_allclose([rate(0), rate(10)], 0.5)
    assert schedule.learning_rate("cosine", 0.5, 0, 10)(0) == 0.5


def test_impossible_schedules_are_refused():
    with pytest.raises(errors.UserError, match="cosine"):
        schedule.learning_rate("cosin", 1.0, 0, 10)
    with pytest.raises(errors.UserError, match="longer than the run"):
        schedule.learning_rate("cosine", 1.0, 11, 10)


def test_steps_divide_the_rate_by_ten_at_three_and_four_fifths():
    rate = schedule.learning_rate("steps", 1.0, 5, 100)
    found = [float(rate(step)) for step in (5, 59, 61, 79, 81, 99)]
    np.testing.assert_allclose(found, [1, 1, 0.1, 0.1, 0.01, 0.01], rtol=1e-5)
