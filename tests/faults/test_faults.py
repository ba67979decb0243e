"""Whatever kills a run of two processes, starting it again ends it with the same bits."""

import signal

import harness
import pytest


@pytest.mark.slow
def test_a_kill_changes_no_bit(tmp_path):
    outcomes = harness.campaign(tmp_path, kills=1, seed=1)
    assert {outcome.code for outcome in outcomes if outcome.sent == "SIGKILL"}.isdisjoint({0})


@pytest.mark.faults
def test_thirty_kills_change_no_bit(tmp_path):
    outcomes = harness.campaign(tmp_path, kills=36, seed=1)
    killed = [outcome for outcome in outcomes if outcome.sent == "SIGKILL"]
    told = [outcome for outcome in outcomes if outcome.sent == "SIGTERM" and outcome.step >= 0]
    assert len(killed) + len(told) >= 30
    assert any(outcome.unfinished for outcome in killed), "no kill hit a save"
    assert {outcome.rank for outcome in killed} == {0, 1}
    assert signal.SIGTERM.name in {outcome.sent for outcome in outcomes}
