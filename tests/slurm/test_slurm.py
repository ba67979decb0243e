"""`launch/slurm.sbatch` on a real SLURM of two nodes, both on this machine.

Run by `make test-slurm`; installs Debian's slurm-wlm and munge where they are missing.
"""

import contextlib
import os
import shutil
import socket
import string
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "faults"))
import harness  # noqa: E402

pytestmark = pytest.mark.slurm


def _run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"
    return done.stdout


def _install():
    if shutil.which("slurmctld") and shutil.which("munged"):
        return
    if os.geteuid() or not shutil.which("apt-get"):
        pytest.fail("slurm-wlm and munge are missing: install them, or run as root on Debian")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run("apt-get", "update", env=quiet)
    _run("apt-get", "install", "-y", "slurm-wlm", "munge", env=quiet)


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in held]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Returns a function that runs a SLURM command on a cluster of two nodes, and its folder."""
    _install()
    directory = tmp_path_factory.mktemp("slurm")
    key = directory / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    (directory / "munge").mkdir(mode=0o700)
    names = ("CONTROL_PORT", "FIRST_PORT", "SECOND_PORT")
    ports = dict(zip(names, _free_ports(3), strict=True))
    template = string.Template((Path(__file__).parent / "slurm.conf").read_text())
    (directory / "slurm.conf").write_text(template.substitute(DIRECTORY=directory, **ports))
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS",)}
    environment |= {"SLURM_CONF": str(directory / "slurm.conf")}
    (directory / "tmp").mkdir()
    for gpu in range(4):  # files stand for them: SLURM deals out names
        (directory / f"gpu{gpu}").touch()
    (directory / "gres.conf").write_text(f"Name=gpu File={directory}/gpu[0-3]\n")
    daemons = (
        ("munged", "--foreground", "--force", f"--key-file={key}",
         f"--socket={directory}/munge.socket", f"--pid-file={directory}/munged.pid",
         f"--seed-file={directory}/munge/seed", f"--log-file={directory}/munge/log"),
        ("slurmctld", "-D"),
        ("slurmd", "-D", "-N", "127.0.0.1"),
        ("slurmd", "-D", "-N", "127.0.0.2"),
    )  # fmt: skip
    running = []
    try:
        for command in daemons:
            with (directory / f"daemon-{len(running)}.log").open("w") as log:
                running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            time.sleep(1)
        slurm = lambda *command: _run(*command, env=environment, cwd=directory)  # noqa: E731
        _until(lambda: slurm("sinfo", "-h", "-o", "%T").strip() == "idle", 60)
        yield slurm, directory
        slurm("scancel", "--full", "--signal=KILL", "--user=root")
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _until(true, seconds):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.2)


def _submit(slurm, workdir, *options, **environment):
    environment = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(workdir.parent / "compiled"),
        "SMARTIES": f"{sys.executable} -m smarties.cli.main",
        "PYTHONPATH": str(ROOT),
    } | environment
    exported = ",".join(["ALL", *(f"{k}={v}" for k, v in environment.items())])
    out = slurm("sbatch", "--parsable", "--nodes=2", f"--export={exported}", *options,
                f"--output={workdir}.log", str(ROOT / "launch/slurm.sbatch"),
                str(ROOT / harness.CONFIG), "--workdir", str(workdir))  # fmt: skip
    return out.strip()


def _state(slurm, job):
    fields = dict(
        x.split("=", 1) for x in slurm("scontrol", "show", "job", job).split() if "=" in x
    )
    return fields["JobState"], int(fields["Restarts"])


def _finish(slurm, job):
    """Waits for a job and returns how it ended, and how often it was started again."""
    over = ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT")
    _until(lambda: _state(slurm, job)[0] in over, 600)
    return _state(slurm, job)


@pytest.fixture(scope="module")
def undisturbed(cluster):
    slurm, directory = cluster
    workdir = directory / "undisturbed"
    state, restarts = _finish(slurm, _submit(slurm, workdir))
    assert (state, restarts) == ("COMPLETED", 0), Path(f"{workdir}.log").read_text()
    return workdir, harness.state_of(workdir)


def _signalled(cluster, undisturbed, name, tell):
    """Submits, lets `tell(job)` disturb the steps, and compares what the requeued job leaves."""
    slurm, directory = cluster
    workdir = directory / name
    job = _submit(slurm, workdir)
    _until(lambda: harness.steps(workdir) >= 5, 300)
    tell(slurm, job)
    state, restarts = _finish(slurm, job)
    log = Path(f"{workdir}.log").read_text()
    assert (state, restarts) == ("COMPLETED", 1), log
    assert "preempted: saved at step" in log and "resuming from step" in log
    harness.compare(workdir, *undisturbed)


def test_a_requeued_job_resumes_with_the_same_bits(cluster, undisturbed):
    requeue = lambda slurm, job: slurm("scontrol", "requeue", job)  # noqa: E731
    _signalled(cluster, undisturbed, "requeued", requeue)


def test_a_job_that_is_told_of_its_time_limit_requeues_itself(cluster, undisturbed):
    warn = lambda slurm, job: slurm("scancel", "--signal=TERM", f"{job}.0")  # noqa: E731
    _signalled(cluster, undisturbed, "timed-out", warn)


def _script(directory, text):
    program = directory / "program"
    program.write_text(f"#!/usr/bin/env bash\n{text}\n")
    program.chmod(0o755)
    return str(program)


def test_a_cancelled_job_saves_and_stays_cancelled(cluster):
    slurm, directory = cluster
    save = 'trap "sleep 1; echo saved; exit 75" TERM; echo ready; while true; do sleep 0.1; done'
    log = directory / "cancelled.log"
    job = _submit(slurm, directory / "cancelled", SMARTIES=_script(directory, save))
    _until(lambda: log.exists() and log.read_text().count("ready") == 2, 60)
    slurm("scancel", job)
    _until(lambda: log.read_text().count("saved") == 2, 60)
    time.sleep(20)  # more than a requeued job waits
    assert _state(slurm, job) == ("CANCELLED", 0), log.read_text()


@pytest.mark.parametrize(
    "options, told",
    [
        (["--gpus-per-node=4"], 2 * ["0,1,2,3"]),
        (["--ntasks-per-node=4", "--gpus-per-task=1"], 8 * ["0"]),
        (["--ntasks-per-node=2", "--gpus-per-task=2"], 4 * ["0,1"]),
    ],
)
def test_a_task_takes_all_gpus_that_it_is_given(cluster, options, told):
    slurm, directory = cluster
    program = _script(directory, "echo $JAX_LOCAL_DEVICE_IDS")
    workdir = directory / f"gpus{options[-1]}"
    state, _ = _finish(slurm, _submit(slurm, workdir, *options, SMARTIES=program))
    lines = Path(f"{workdir}.log").read_text().splitlines()
    assert state == "COMPLETED" and [line.split(": ")[1] for line in lines] == told
