"""`launch/slurm.sbatch`: which GPUs a task is told to use; `srun` is a stand-in."""

import os
import subprocess
from pathlib import Path

import pytest

SBATCH = Path(__file__).parents[2] / "launch" / "slurm.sbatch"


def _run(tmp_path, *arguments, **given):
    srun = tmp_path / "srun"
    srun.write_text('#!/usr/bin/env bash\necho "${JAX_LOCAL_DEVICE_IDS-of JAX}: $*"\n')
    srun.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **given}
    return subprocess.run(
        ["bash", str(SBATCH), *arguments], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    "given, ids",
    [
        ({"SLURM_NTASKS_PER_NODE": "1"}, "of JAX"),  # no GPUs
        ({"SLURM_NTASKS_PER_NODE": "1", "SLURM_GPUS_ON_NODE": "3"}, "0,1,2"),
        ({"SLURM_NTASKS_PER_NODE": "4", "SLURM_GPUS_ON_NODE": "4"}, "of JAX"),  # one for each
        ({"SLURM_NTASKS_PER_NODE": "4", "SLURM_GPUS_PER_TASK": "1"}, "0"),
        ({"SLURM_NTASKS_PER_NODE": "2", "SLURM_GPUS_PER_TASK": "a100:2"}, "0,1"),
    ],
)
def test_a_task_is_told_its_gpus(tmp_path, given, ids):
    done = _run(tmp_path, "x.py", "--workdir", "w", "--config.name=a b", **given)
    assert done.returncode == 0, done.stderr
    command = "--label smarties train --config x.py --workdir w --config.name=a b"
    assert done.stdout.strip() == f"{ids}: {command}"


def test_usage_without_arguments(tmp_path):
    done = _run(tmp_path)
    assert done.returncode == 2 and "usage: sbatch launch/slurm.sbatch CONFIG" in done.stderr
