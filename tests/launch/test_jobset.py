"""`launch/jobset.py`: the manifest against the schemas, and what its pods run, run here."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
RIGHT = {
    "--name": "run-7",
    "--image": "registry.example/smarties:1",
    "--nodes": "2",
    "--gpus": "8",
    "--claim": "runs",
    "--config": "configs/x.py:base",
    "--workdir": "/volume/runs/x",
}


def _render(*rest, **changed):
    """Returns the finished command; a flag that is None is left out."""
    flags = RIGHT | {f"--{name}": value for name, value in changed.items()}
    words = [word for flag, value in flags.items() if value is not None for word in (flag, value)]
    return subprocess.run(
        [sys.executable, str(ROOT / "launch/jobset.py"), *words, *rest],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def _manifest(*rest, **changed):
    done = _render(*rest, **changed)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def _job(manifest):
    (replicated,) = manifest["spec"]["replicatedJobs"]
    return replicated["template"]["spec"]


def _container(manifest):
    (container,) = _job(manifest)["template"]["spec"]["containers"]
    return container


def _object(required, **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


# Written by hand, of the fields the launcher uses and nothing else: JobSet's own schema is part of
# no package. The Job inside is checked with the schemas of Kubernetes.
RULE = _object(
    "name action",
    name={"pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
    action={"enum": ["FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"]},
    onJobFailureReasons={
        "type": "array",
        "items": {
            "enum": [
                "BackoffLimitExceeded",
                "DeadlineExceeded",
                "FailedIndexes",
                "MaxFailedIndexesExceeded",
                "PodFailurePolicy",
            ]
        },
    },
)
JOBSET = _object(
    "apiVersion kind metadata spec",
    apiVersion={"const": "jobset.x-k8s.io/v1alpha2"},
    kind={"const": "JobSet"},
    metadata=_object("name", name={"type": "string"}, namespace={"type": "string"}),
    spec=_object(
        "replicatedJobs",
        network=_object("", enableDNSHostnames={"type": "boolean"}),
        failurePolicy=_object(
            "",
            maxRestarts={"type": "integer", "minimum": 0},
            rules={"type": "array", "items": RULE},
        ),
        replicatedJobs={
            "type": "array",
            "items": _object(
                "name template",
                name={"type": "string"},
                replicas={"type": "integer", "minimum": 1},
                template=_object("spec", spec={"type": "object"}),
            ),
        },
    ),
)


def _check(manifest, version):
    jsonschema.validate(manifest, JOBSET)
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}}
    kubernetes_validate.validate(job | {"spec": _job(manifest)}, version, strict=True)


@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("changed", [{}, {"gpus": "0", "namespace": "training"}])
def test_the_manifest_is_what_the_schemas_expect(version, changed):
    _check(_manifest("--config.mesh.fsdp=2", **changed), version)


def test_the_schemas_would_notice_a_slip():
    slips = (
        lambda m: m["spec"]["failurePolicy"].update(maxRestart=3),
        lambda m: m["spec"]["failurePolicy"]["rules"][0].update(name="no-dash"),
        lambda m: _job(m).update(backoffLimits=0),
        lambda m: _container(m).update(command="smarties train"),
        lambda m: _container(m)["env"][0].update(value=1),
    )
    for slip in slips:
        manifest = _manifest()
        slip(manifest)
        with pytest.raises(jsonschema.ValidationError):
            _check(manifest, kubernetes_validate.latest_version())


def test_what_was_asked_for_is_there():
    manifest = _manifest("--config.steps=5", "--config.name=a b", namespace="training")
    assert manifest["metadata"] == {"name": "run-7", "namespace": "training"}
    job, container = _job(manifest), _container(manifest)
    assert (job["completions"], job["parallelism"], job["completionMode"]) == (2, 2, "Indexed")
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 8}}
    assert container["command"] == (
        "smarties train --config configs/x.py:base --workdir /volume/runs/x".split()
        + ["--config.steps=5", "--config.name=a b"]
    )
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume.pop("name"): volume for volume in job["template"]["spec"]["volumes"]}
    assert {mounted[name]: volume for name, volume in volumes.items()} == {
        "/volume": {"persistentVolumeClaim": {"claimName": "runs"}},
        "/dev/shm": {"emptyDir": {"medium": "Memory"}},
    }


def test_without_gpus_none_are_asked_for():
    manifest = _manifest(gpus="0")
    assert "nvidia.com" not in yaml.safe_dump(manifest)
    assert {"name": "JAX_PLATFORMS", "value": "cpu"} in _container(manifest)["env"]


def _fate(manifest, code, disrupted=False):
    """Returns what becomes of the set when a pod fails, as Job and JobSet read their policies."""
    job, policy = _job(manifest), manifest["spec"]["failurePolicy"]
    assert job["backoffLimit"] == 0 and job["template"]["spec"]["restartPolicy"] == "Never"
    conditions = [{"type": "DisruptionTarget", "status": "True"}] if disrupted else []
    reason = "BackoffLimitExceeded"
    for rule in job["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes", {"values": [], "containerName": "smarties"})
        assert codes["containerName"] == _container(manifest)["name"]
        wanted = rule.get("onPodConditions", [])
        if code in codes["values"] or any(one in conditions for one in wanted):
            assert rule["action"] == "FailJob"
            reason = "PodFailurePolicy"
            break
    for rule in policy["rules"]:
        if reason in rule["onJobFailureReasons"]:
            return rule["action"]
    return f"RestartJobSet {policy['maxRestarts']}"  # the default of JobSet


@pytest.mark.parametrize(
    "code, disrupted, fate",
    [
        (75, False, "RestartJobSetAndIgnoreMaxRestarts"),
        (75, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (137, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (137, False, "RestartJobSet 3"),
        (1, False, "RestartJobSet 3"),
        (2, False, "RestartJobSet 3"),
    ],
)
def test_only_failures_of_its_own_are_counted(code, disrupted, fate):
    assert _fate(_manifest(), code, disrupted) == fate


def _environment(manifest, index, port):
    """Returns the variables of pod `index`, resolved as the cluster would, all hosts being this."""
    name, job = manifest["metadata"]["name"], manifest["spec"]["replicatedJobs"][0]["name"]
    hosts = {f"{name}-{job}-0-{pod}.{name}": pod for pod in range(_job(manifest)["completions"])}
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    found = {}
    for variable in _container(manifest)["env"]:
        if "valueFrom" in variable:
            path = variable["valueFrom"]["fieldRef"]["fieldPath"]
            (key,) = re.fullmatch(r"metadata\.annotations\['(.*)'\]", path).groups()
            found[variable["name"]] = annotations[key]
        else:
            found[variable["name"]] = variable["value"]
    host, _, _ = found["JAX_COORDINATOR_ADDRESS"].partition(":")
    assert hosts[host] == 0, "the processes must meet at the pod of rank 0"
    return found | {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}"}


@pytest.mark.slow
def test_the_pods_find_each_other(tmp_path):
    program = tmp_path / "smarties"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys, jax\n"
        "from smarties.training import processes\n"
        "processes.join()\n"
        "print(jax.process_index(), jax.process_count(), jax.device_count(), *sys.argv[1:])\n"
    )
    program.chmod(0o755)
    manifest = _manifest("--config.steps=5", gpus="0")
    outside = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    outside |= {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error:Kubernetes",
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    }
    with socket.socket() as held:
        held.bind(("localhost", 0))
        port = held.getsockname()[1]
    pods = [
        subprocess.Popen(
            _container(manifest)["command"],
            env=outside | _environment(manifest, index, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in (0, 1)
    ]
    told = [pod.communicate(timeout=120) for pod in pods]
    arguments = "train --config configs/x.py:base --workdir /volume/runs/x --config.steps=5"
    # As many devices as processes: each has found those of the other.
    assert [out.strip() for out, _ in told] == [f"{i} 2 2 {arguments}" for i in (0, 1)], told


@pytest.mark.parametrize(
    "changed, rest, what",
    [
        ({"nodes": "0"}, (), "--nodes 0: must be 1 or more"),
        ({"nodes": "two"}, (), "--nodes: invalid int value: 'two'"),
        ({"gpus": "-1"}, (), "--gpus -1: must be 0 or more"),
        ({"name": "Run_7"}, (), "--name 'Run_7': must be a host name"),
        ({"name": "7run"}, (), "--name '7run'"),
        ({"name": "a" * 45}, (), "of at most 44 of"),
        ({"namespace": "a.b"}, (), "--namespace 'a.b'"),
        ({"claim": "runs/x"}, (), "--claim 'runs/x'"),
        ({"image": "a b"}, (), "--image 'a b'"),
        ({"image": None}, (), "arguments are required: --image"),
        ({"workdir": "/volume/../tmp/x"}, (), "must be in /volume, where"),
        ({"workdir": "runs/x"}, (), "must be in /volume, where"),
        ({}, ("--steps=5",), "argument '--steps=5': must be --config.<field>=<value>"),
    ],
)
def test_a_wrong_value_is_one_line(changed, rest, what):
    done = _render(*rest, **changed)
    assert done.returncode == 2 and done.stdout == ""
    assert (
        what in done.stderr and done.stderr.startswith("error: ") and "\n" not in done.stderr[:-1]
    )


def test_the_longest_name_that_is_taken_makes_host_names():
    manifest = _manifest(name="a" * 44)
    pod = f"{'a' * 44}-{manifest['spec']['replicatedJobs'][0]['name']}-0-1-abcde"
    assert len(pod) == 63
