"""`launch/local.sh`: who is told what, and how it ends; the program is a stand-in."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

LOCAL = Path(__file__).parents[2] / "launch" / "local.sh"


def _start(tmp_path, script, count=2, **environment):
    program = tmp_path / "program"
    program.write_text(f"#!/usr/bin/env bash\n{script}\n")
    program.chmod(0o755)
    environment = {**os.environ, "SMARTIES": str(program), "LOGS": str(tmp_path), **environment}
    command = [str(LOCAL), str(count), "x.py", "--workdir", "w"]
    return subprocess.Popen(
        command,
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_every_process_gets_its_rank_and_the_same_arguments(tmp_path):
    tell = 'echo "$JAX_PROCESS_ID/$JAX_NUM_PROCESSES $JAX_COORDINATOR_ADDRESS $*"'
    process = _start(tmp_path, tell, count=3)
    out, _ = process.communicate(timeout=30)
    others = [(tmp_path / f"rank-{rank}.log").read_text() for rank in (1, 2)]
    ranks, addresses, arguments = zip(
        *(x.strip().split(" ", 2) for x in (out, *others)), strict=True
    )
    assert process.returncode == 0 and ranks == ("0/3", "1/3", "2/3")
    assert len(set(addresses)) == 1 and addresses[0].startswith("localhost:")
    assert set(arguments) == {"train --config x.py --workdir w"}


def test_when_one_fails_the_others_are_stopped_and_its_code_is_kept(tmp_path):
    process = _start(tmp_path, "[[ $JAX_PROCESS_ID == 1 ]] && exit 3; exec sleep 100")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3 and "ended with 3" in err


@pytest.mark.parametrize("restart", ["0", "1"])
def test_75_is_passed_on_or_starts_the_same_again(tmp_path, restart):
    twice = 'echo x >>"seen-$JAX_PROCESS_ID"; (($(wc -l <"seen-$JAX_PROCESS_ID") > 1)) || exit 75'
    process = _start(tmp_path, twice, RESTART=restart)
    process.communicate(timeout=30)
    assert process.returncode == (0 if restart == "1" else 75)


@pytest.mark.parametrize("tell", [os.kill, os.killpg])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_told_to_leave_saves(tmp_path, tell, number):
    wait = (
        'trap "exit 75" TERM; trap "exit 9" INT; touch "ready-$JAX_PROCESS_ID";'
        "while true; do sleep 0.1; done"
    )
    process = _start(tmp_path, wait, RESTART="1")
    while not all((tmp_path / f"ready-{rank}").exists() for rank in (0, 1)):
        time.sleep(0.05)
    tell(process.pid, number)  # a terminal tells the whole group
    process.communicate(timeout=30)
    assert process.returncode == 75  # and does not start again


def test_usage_without_arguments():
    done = subprocess.run([LOCAL], capture_output=True, text=True)
    assert done.returncode == 2 and "launch/local.sh N CONFIG" in done.stderr
