"""Prints a Kubernetes JobSet that trains on some nodes, one process on each.

    python launch/jobset.py --name x --image IMAGE --nodes 4 --gpus 8 --claim CLAIM \\
        --config configs/x.py --workdir /volume/runs/x [--config.key=value ...] | kubectl apply -f -

The persistent volume claim CLAIM, which many nodes can write, is mounted at /volume. A pod that
leaves with 75, or that the cluster takes away, makes all of them start again and resume; any other
failure does so three times. Needs Kubernetes 1.29 and JobSet 0.6.
"""

import argparse
import posixpath
import re
import sys
from typing import Any, NoReturn

import yaml

from smarties import errors

VOLUME = "/volume"
PORT = 8476  # each pod has an address of its own, so that any will do
SAVE_SECONDS = 300  # between SIGTERM and SIGKILL
FAILURES = 3  # that are borne; those that are not the run's own do not count
JOB = CONTAINER = "smarties"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise errors.UserError(f"launch/jobset.py: {message}, see --help")


def main(argv: list[str]) -> int:
    """Returns the exit code: 0, or 2 after one line that says what is wrong."""
    try:
        print(yaml.safe_dump(jobset(*_arguments(argv)), sort_keys=False), end="")
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the flags and the overrides of the configuration, checked."""
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = _Parser(
        prog="launch/jobset.py",
        description=description,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flag = parser.add_argument
    flag("--name", required=True, help="of the JobSet, and of the hosts in it")
    flag("--namespace", help="default: that of kubectl")
    flag("--image", required=True, help="holds smarties and the configuration, see Dockerfile")
    flag("--nodes", required=True, type=int, help="pods; each is one process")
    flag("--gpus", required=True, type=int, help="NVIDIA GPUs of a node; 0 trains on CPUs")
    flag("--claim", required=True, help=f"persistent volume claim, mounted at {VOLUME}")
    flag("--config", required=True, metavar="FILE[:ARG]", help="as in the image")
    flag("--workdir", required=True, metavar="DIR", help=f"run directory, in {VOLUME}")
    flags, overrides = parser.parse_known_args(argv)
    _check(flags, overrides)
    return flags, overrides


def _check(flags: argparse.Namespace, overrides: list[str]) -> None:
    # The longest name made of it is that of the last pod, which ends in five random letters.
    room = 63 - len(f"-{JOB}-0-{flags.nodes - 1}-abcde")
    label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    in_volume = posixpath.normpath(flags.workdir).startswith(f"{VOLUME}/")
    must = [
        (flags.nodes > 0, "--nodes", flags.nodes, "1 or more"),
        (flags.gpus >= 0, "--gpus", flags.gpus, "0 or more"),
        (_is(f"(?![0-9]){label}", flags.name, room), "--name", flags.name,
         f"a host name of at most {room} of a-z, 0-9 and -, with a letter first"),
        (flags.namespace is None or _is(label, flags.namespace, 63), "--namespace", flags.namespace,
         "at most 63 of a-z, 0-9 and -"),
        (_is(rf"{label}(\.{label})*", flags.claim, 253), "--claim", flags.claim,
         "the name of a persistent volume claim"),
        (_is(r"\S+", flags.image, 1000), "--image", flags.image, "the name of an image"),
        (bool(flags.config), "--config", flags.config, "a file of the image"),
        (in_volume, "--workdir", flags.workdir, f"in {VOLUME}, where it outlives the pods"),
        *((_is(r"--config\.[^=]+=.*", one, 10000), "argument", one, "--config.<field>=<value>")
          for one in overrides),
    ]  # fmt: skip
    for right, what, value, would_be_right in must:
        if not right:
            raise errors.UserError(f"{what} {value!r}: must be {would_be_right}")


def _is(pattern: str, text: str, most: int) -> bool:
    return len(text) <= most and re.fullmatch(pattern, text, re.DOTALL) is not None


def jobset(flags: argparse.Namespace, overrides: list[str]) -> dict[str, Any]:
    """Returns the manifest.

    It needs no Service of its own: JobSet makes the headless one, of the JobSet's name, that gives
    every pod a stable host name.
    """
    job = {
        "completionMode": "Indexed",
        "completions": flags.nodes,
        "parallelism": flags.nodes,
        "backoffLimit": 0,  # processes that have met cannot be replaced one by one
        "podFailurePolicy": {
            "rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": CONTAINER,
                        "operator": "In",
                        "values": [errors.REQUEUE],
                    },
                },
                {
                    "action": "FailJob",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
            ]
        },
        "template": {"spec": _pod(flags, overrides)},
    }
    where = {"namespace": flags.namespace} if flags.namespace else {}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": flags.name, **where},
        "spec": {
            "network": {"enableDNSHostnames": True},
            "failurePolicy": {
                "maxRestarts": FAILURES,
                "rules": [
                    {
                        "name": "preempted",
                        "action": "RestartJobSetAndIgnoreMaxRestarts",
                        "onJobFailureReasons": ["PodFailurePolicy"],
                    }
                ],
            },
            "replicatedJobs": [{"name": JOB, "replicas": 1, "template": {"spec": job}}],
        },
    }


def _pod(flags: argparse.Namespace, overrides: list[str]) -> dict[str, Any]:
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    first = f"{flags.name}-{JOB}-0-0.{flags.name}"
    container = {
        "name": CONTAINER,
        "image": flags.image,
        "command": [
            *("smarties", "train", "--config", flags.config, "--workdir", flags.workdir),
            *overrides,
        ],
        "env": [
            {"name": "JAX_COORDINATOR_ADDRESS", "value": f"{first}:{PORT}"},
            {"name": "JAX_NUM_PROCESSES", "value": str(flags.nodes)},
            {"name": "JAX_PROCESS_ID", "valueFrom": {"fieldRef": {"fieldPath": index}}},
            # Named, so that a node whose driver is missing fails instead of training on its CPU.
            {"name": "JAX_PLATFORMS", "value": "cuda,cpu" if flags.gpus else "cpu"},
        ],
        "volumeMounts": [
            {"name": "volume", "mountPath": VOLUME},
            {"name": "shared-memory", "mountPath": "/dev/shm"},
        ],
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": SAVE_SECONDS,
        "containers": [container],
        "volumes": [
            {"name": "volume", "persistentVolumeClaim": {"claimName": flags.claim}},
            # For NCCL and the processes of data.workers; the usual 64 MiB are too few.
            {"name": "shared-memory", "emptyDir": {"medium": "Memory"}},
        ],
    }
    if flags.gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": flags.gpus}}
        pod["tolerations"] = [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        ]
    return pod


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
