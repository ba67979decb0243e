"""Plans of windows: every cell is covered, and weights sum to one."""

import numpy as np
import pytest

from smarties import errors
from smarties.inference import windows

PLANS = (
    dict(shape=(100, 330), side=32, overlap=8, cell=8, swath=64),
    dict(shape=(100, 330), side=32, overlap=0, cell=8),
    dict(shape=(70, 71), side=32, overlap=16, cell=1, swath=10),
    dict(shape=(20, 90), side=32, cell=32, swath=32),
    dict(shape=(5, 5), side=32, overlap=8, cell=8),
)


@pytest.mark.parametrize("given", PLANS)
def test_weights_of_every_cell_sum_to_one(given):
    plan = windows.Plan(**given)
    total, times = np.zeros(plan.grid), np.zeros(plan.grid)
    every = list(plan.windows())
    for one in every:
        columns = one.column + np.arange(plan.window[1])
        inside = (one.first <= columns) & (columns < one.last)
        area = (slice(one.row, one.row + plan.window[0]), columns[inside])
        weight = plan.weight(one)
        assert weight.shape == plan.window and weight.min() > 0
        total[area] += weight[:, inside]
        times[area] += 1
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert (total[times == 1] == 1).all()
    assert len(plan) == len(every) and list(plan.windows(7)) == every[7:]


def test_swaths_cost_a_column_of_windows_each():
    wide = windows.Plan(shape=(64, 4000), side=32, overlap=8, cell=8, swath=400)
    assert len(wide.swaths) == 10 and wide.swaths[-1][1] == 500
    assert max(last - first for first, last in wide.swaths) * 8 <= 400 + 32
    one = windows.Plan(shape=(64, 4000), side=32, overlap=8, cell=8, swath=4000)
    assert len(wide) - len(one) == 9 * len(one.starts[0])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(side=30, cell=8), "try 32"),
        (dict(side=32, cell=8, overlap=32), "overlap of 32"),
        (dict(side=32, cell=8, overlap=4), "multiple of 8"),
        (dict(side=32, cell=8, overlap=-8), "from 0"),
    ],
)
def test_sizes_that_do_not_fit(given, words):
    with pytest.raises(errors.UserError, match=words):
        windows.Plan(shape=(64, 64), **given)
