"""`launch/tpu.sh`: what the workers are told, and how it ends; `gcloud` is a stand-in."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

TPU = Path(__file__).parents[2] / "launch" / "tpu.sh"
# Like the real one: all workers at once, and the first exit code that is not 0.
GCLOUD = """\
[[ "${*:1:6}" == "compute tpus tpu-vm ssh slice --worker=all" && $7 == --command=* && $# == 7 ]]
for worker in 0 1; do
    (cd "worker-$worker" && exec bash -c "${7#--command=}") &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || code=${code:-$?}; done
exit "${code:-0}"
"""


def _script(path, text):
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


def _start(tmp_path, program, *arguments):
    _script(tmp_path / "gcloud", f"set -e\n{GCLOUD}")
    folders = [tmp_path / f"worker-{worker}" / "smarties" for worker in (0, 1)]
    for folder in folders:
        folder.mkdir(parents=True)
        _script(folder / "program", program)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    launcher = subprocess.Popen(
        [str(TPU), "slice", "x.py", "--workdir", "/shared/x", *arguments],
        env=environment | {"SMARTIES": "env A=b ./program"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return launcher, folders


def test_every_worker_runs_the_same_and_looks_for_the_others(tmp_path):
    tell = 'echo "$A $SMARTIES_DISTRIBUTED" >told; printf "%s\\n" "$@" >>told'
    launcher, folders = _start(tmp_path, tell, "--config.name=it's $HOME", "--config.steps=5")
    out, err = launcher.communicate(timeout=30)
    assert launcher.returncode == 0, err
    told = "b 1\ntrain\n--config\nx.py\n--workdir\n/shared/x\n--config.name=it's $HOME\n"
    assert [(f / "told").read_text() for f in folders] == [f"{told}--config.steps=5\n"] * 2


@pytest.mark.parametrize("code, starts", [(75, 2), (1, 1), (2, 1)])
def test_only_75_starts_it_again(tmp_path, code, starts):
    launcher, folders = _start(
        tmp_path, f"echo x >>seen; (($(wc -l <seen) > 1)) && exit 3; exit {code}"
    )
    launcher.communicate(timeout=30)
    assert launcher.returncode == (3 if code == 75 else code)
    assert [len((f / "seen").read_text().split()) for f in folders] == [starts] * 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_told_to_leave_tells_the_workers_and_waits(tmp_path, number):
    wait = 'trap "sleep 1; echo >saved; exit 75" TERM; echo >ready; while true; do sleep 0.1; done'
    launcher, folders = _start(tmp_path, wait)
    while not all((f / "ready").exists() for f in folders):
        time.sleep(0.05)
    launcher.send_signal(number)
    _, err = launcher.communicate(timeout=30)
    assert launcher.returncode == 75, err  # and does not start again
    assert all((f / "saved").exists() for f in folders)


def test_usage_without_arguments():
    done = subprocess.run([TPU], capture_output=True, text=True)
    assert done.returncode == 2 and "launch/tpu.sh TPU CONFIG" in done.stderr
