"""Who joins whom, by the environment."""

import os
import socket
import subprocess
import sys

import jax
import pytest

from smarties import errors
from smarties.training import processes

_OF_OTHERS = ("SLURM_STEP_NODELIST", "SLURM_NTASKS", "SMARTIES_DISTRIBUTED")


@pytest.fixture
def joined(monkeypatch):
    """Returns a function that joins in an environment and gives what JAX was told, or None."""
    for name in (*processes._NAMED, *_OF_OTHERS):
        monkeypatch.delenv(name, raising=False)
    told = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda **who: told.append(who))

    def join(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        processes.join()
        return told[-1] if told else None

    return join


def test_a_process_alone_joins_nobody(joined):
    assert joined() is None
    assert joined(SLURM_NTASKS="4") is None  # in the batch script, outside of any step
    assert joined(SLURM_STEP_NODELIST="n1", SLURM_NTASKS="1") is None


def test_named_processes_are_joined(joined):
    found = joined(JAX_COORDINATOR_ADDRESS="h:1", JAX_NUM_PROCESSES="4", JAX_PROCESS_ID="0")
    assert found == {
        "coordinator_address": "h:1",
        "num_processes": 4,
        "process_id": 0,
        "cluster_detection_method": "deactivate",
        "heartbeat_timeout_seconds": processes.HEARTBEAT_SECONDS,
    }


def test_a_named_process_in_a_slurm_job_keeps_all_its_devices():
    """`launch/local.sh` in an allocation; JAX alone would restrict it to device SLURM_LOCALID."""
    with socket.socket() as held:
        held.bind(("localhost", 0))
        address = f"localhost:{held.getsockname()[1]}"
    named = dict(zip(processes._NAMED, (address, "1", "0"), strict=True))
    job = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "n1", "SLURM_NTASKS": "1"}
    job |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    program = (
        "import jax; from smarties.training import processes; processes.join();"
        "print(jax.config.read('jax_cuda_visible_devices'))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error:Kubernetes", "-c", program],
        env={**os.environ, **named, **job},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "all", done.stderr


@pytest.mark.parametrize("way", [{"SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NTASKS": "2"},
                                 {"SMARTIES_DISTRIBUTED": "1"}])  # fmt: skip
def test_otherwise_jax_asks(joined, way):
    assert joined(**way) == {"heartbeat_timeout_seconds": processes.HEARTBEAT_SECONDS}


@pytest.mark.parametrize(
    "given", [("h:1", "", ""), ("h:1", "two", "0"), ("h:1", "2", "2"), ("", "2", "1")]
)
def test_half_of_the_names_is_a_mistake(joined, given):
    with pytest.raises(errors.UserError, match="JAX_NUM_PROCESSES="):
        joined(**dict(zip(processes._NAMED, given, strict=True)))
