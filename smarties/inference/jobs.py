"""Outputs that appear whole or not at all, and go on where an interrupted call stopped.

What is unfinished of `name` lies beside it in the folder `name.part`.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from smarties import errors
from smarties.inference import rasters, scenes
from smarties.typing import Tree

JOB = "job.json"
CACHE = 64_000_000  # bytes of decoded blocks GDAL may keep while it reads: one block of all bands


@contextlib.contextmanager
def unfinished(
    output: Path, scene: scenes.Scene, params: Tree, options: Mapping[str, Any]
) -> Iterator[Path]:
    """Yields the folder of what is unfinished; it is removed when the block ends without an error.

    It is empty at first, unless the same job has been here before: the same scene, weights and
    options, all that the output's bytes depend on.

    Raises:
      UserError: a folder that cannot be written, or that another process is writing.
    """
    import rasterio

    folder = output.with_name(f"{output.name}.part")
    job = json.dumps(_identity(scene, params, options), sort_keys=True, indent=1)
    try:
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            own(lock, folder)
            if not (folder / JOB).is_file() or (folder / JOB).read_text() != job:
                for old in folder.iterdir():
                    if old.name != "lock":
                        shutil.rmtree(old) if old.is_dir() else old.unlink()
                (folder / JOB).write_text(job)
            with rasterio.Env(GDAL_CACHEMAX=CACHE):
                yield folder
            shutil.rmtree(folder)
    except OSError as error:
        raise errors.UserError(
            f"{output} cannot be written ({error.strerror or error}): what is done so far is in "
            f"{folder}"
        ) from error


def rename(path: Path, output: Path) -> None:
    """Gives something finished its name, in place of what had it."""
    if output.is_dir():
        shutil.rmtree(output)
    os.replace(path, output)
    rasters.beside(output).unlink(missing_ok=True)  # statistics of what had the name


def fingerprint(params: Tree) -> str:
    """Returns a hash of all parameters and their names."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.asarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def own(lock, folder: Path) -> None:
    """Keeps an open file's lock while it is open; raises `UserError` where another process does."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise errors.UserError(
            f"{folder} is being written by another process: wait for it, or give another name"
        ) from error


def _identity(scene: scenes.Scene, params: Tree, options: Mapping[str, Any]) -> dict[str, Any]:
    files = {}
    for file in scene.image.files:
        if Path(file).is_file():  # others, as /vsicurl/, are known by name alone
            stat = os.stat(file)
            files[str(Path(file).absolute())] = [stat.st_size, stat.st_mtime_ns]
    return {
        "files": files or list(scene.image.files),
        "sensor": hashlib.sha256(repr(scene.sensor).encode()).hexdigest(),
        "bands": list(scene.take),
        "weights": fingerprint(params),
        "options": dict(options),
        "versions": {name: importlib.metadata.version(name) for name in ("smarties", "jax")},
    }
