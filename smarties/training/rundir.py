"""The run directory: made, checked, and left with what the run was."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.training import settings, trees
from smarties.typing import Tree


def prepare(workdir: Path, config: dict[str, Any], steps: int) -> None:
    """Makes the directory and writes config.json, and plan.json: how many steps that comes to.

    Raises `UserError` when it cannot be written, or belongs to a run of another configuration; what
    is there then stays as it is.
    """
    path = workdir / "config.json"
    try:
        if path.exists():
            _check_same(path, config)
        for folder in (workdir, workdir / "checkpoints", workdir / "figures"):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(path, config)
        write_json(workdir / "plan.json", {"steps": steps})
    except OSError as error:
        raise errors.UserError(
            f"workdir {workdir} cannot be written ({error.strerror}): give another --workdir"
        ) from error


def _check_same(path: Path, config: dict[str, Any]) -> None:
    try:
        old = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise errors.UserError(f"{path} is not JSON ({error}): use another workdir") from error
    changed = settings.difference(settings.fixed(old), settings.fixed(config))
    if changed:
        raise errors.UserError(
            f"workdir {path.parent} holds a run of another configuration: {changed}; use another "
            "workdir, or the same configuration to resume"
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(part, path)


def keep_evidence(workdir: Path, step: int, rank: int, batch: Tree) -> str:
    """Returns where the batch of a failed step was saved, and which ids it holds."""
    arrays = {path: np.asarray(leaf) for path, leaf in trees.leaves(batch).items()}
    path = workdir / (f"nonfinite-{step}.npz" if rank == 0 else f"nonfinite-{step}-{rank}.npz")
    np.savez(path, allow_pickle=False, **arrays)
    ids = [str(one) for name, leaf in arrays.items() if name.split("/")[-1] == "id" for one in leaf]
    shown = ", ".join(ids[:16]) + (f" and {len(ids) - 16} more" if len(ids) > 16 else "")
    return f"its batch is in {path}" + (f", ids {shown}" if ids else "")
