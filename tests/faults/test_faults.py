"""Whatever kills a run of two processes, starting it again ends it with the same bits."""

import signal

import harness
import numpy as np
import pytest


@pytest.mark.slow
def test_a_kill_changes_no_bit(tmp_path):
    outcomes = harness.campaign(tmp_path, kills=1, seed=1)
    assert {outcome.code for outcome in outcomes if outcome.sent == "SIGKILL"}.isdisjoint({0})


@pytest.mark.long
def test_a_run_of_two_processes_goes_on_in_one(tmp_path):
    """The same examples in the same order: the numbers differ by rounding alone."""
    told, whole = tmp_path / "told", tmp_path / "whole"
    compiled = tmp_path / "compiled"
    stop = dict(number=signal.SIGTERM, rank=0, delay=0.05, stepping=True)
    never = dict(number=signal.SIGKILL, rank=0, delay=1e9, stepping=False)
    first = harness.disturb(told, compiled, **stop)
    assert first.code == 75 and 0 < first.saved < 24
    for workdir in (told, whole):
        assert harness.disturb(workdir, compiled, **never, count=1).code == 0
    numbers, wanted = (harness.losses(workdir) for workdir in (told, whole))
    assert len(numbers) == len(wanted) == 24
    np.testing.assert_allclose(numbers, wanted, rtol=1e-4)


@pytest.mark.faults
def test_thirty_kills_change_no_bit(tmp_path):
    outcomes = harness.campaign(tmp_path, kills=36, seed=1)
    killed = [outcome for outcome in outcomes if outcome.sent == "SIGKILL"]
    told = [outcome for outcome in outcomes if outcome.sent == "SIGTERM" and outcome.step >= 0]
    assert len(killed) + len(told) >= 30
    assert any(outcome.unfinished for outcome in killed), "no kill hit a save"
    assert {outcome.rank for outcome in killed} == {0, 1}
    assert signal.SIGTERM.name in {outcome.sent for outcome in outcomes}
