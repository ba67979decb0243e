"""Joining the processes of a run: who they are is found by `jax.distributed`, not by us."""

import os
from typing import TypeGuard

import jax

from smarties import errors

HEARTBEAT_SECONDS = 60  # after which a process that died is missed
_NAMED = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def join() -> None:
    """Connects to the other processes, where the environment says that there are some.

    Either JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID name them, or JAX asks: the
    scheduler, in a SLURM step of several tasks; the machine (a TPU slice, an MPI launcher), where
    SMARTIES_DISTRIBUTED=1 asks for it. A process alone joins nobody.

    Raises:
      UserError: variables that are missing or are no numbers.
    """
    if jax.distributed.is_initialized():
        return
    if any(os.environ.get(name) for name in _NAMED):
        address, count, rank = (os.environ.get(name) for name in _NAMED)
        if not (address and _natural(count) and _natural(rank) and int(rank) < int(count)):
            given = ", ".join(f"{name}={os.environ.get(name)}" for name in _NAMED)
            raise errors.UserError(
                f"environment gives {given}: set all three, as host:port, the number of processes, "
                "and this one's number from 0"
            )
        # Else JAX would look round all the same, and in a SLURM job give each process one GPU.
        _initialize(
            coordinator_address=address,
            num_processes=int(count),
            process_id=int(rank),
            cluster_detection_method="deactivate",
        )
    elif _in_step_of_several() or os.environ.get("SMARTIES_DISTRIBUTED") == "1":
        _initialize()


def _natural(text: str | None) -> TypeGuard[str]:
    return text is not None and text.isdecimal()


def _in_step_of_several() -> bool:
    return "SLURM_STEP_NODELIST" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1


def _initialize(**who) -> None:
    jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT_SECONDS, **who)
