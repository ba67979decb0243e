"""Checkpoints on disk: the only file that knows Orbax.

A checkpoint is `<directory>/<step>/`, holding `state` and the JSON `meta`: the configuration, what
fixes the data order, and what the task adds (sensors, labels). It appears under its name only when
whole; saving goes on in the background and survives the donation of the state.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging

from smarties import errors
from smarties.training import settings, state, storage, trees
from smarties.typing import Tree

Manager = ocp.CheckpointManager
logging.set_verbosity(logging.ERROR)  # Orbax warns of what reading alone is

# What Orbax and tensorstore raise for files that are missing, cut short or overwritten.
_UNREADABLE = (ValueError, KeyError, OSError, TypeError)
# And for a disk that is full or gone.
_UNWRITABLE = (ValueError, KeyError, OSError, RuntimeError)


def open(directory: Path, keep: int | None = None, keep_every: int | None = None) -> Manager:
    """Returns the manager of a directory.

    It keeps the last `keep` steps (None: all), and multiples of `keep_every` for good. A context
    manager: leaving it waits for what is still being saved.
    """
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, keep_period=keep_every, cleanup_tmp_directories=True
    )
    return ocp.CheckpointManager(directory.absolute(), options=options)


def latest(manager: Manager) -> int | None:
    """Returns the last whole checkpoint's step, or None."""
    return manager.latest_step()


def save(manager: Manager, step: int, run: state.State | Tree, meta: dict[str, Any]) -> None:
    """Saves in the background; returns as soon as the state has left the device.

    Raises `Unwritable` where storage fails, now or in the save before.
    """
    args = ocp.args.Composite(state=ocp.args.StandardSave(run), meta=ocp.args.JsonSave(meta))
    try:
        saved = manager.save(step, args=args)
    except _UNWRITABLE as error:
        raise storage.Unwritable(_reason(error)) from error
    if not saved:
        raise errors.UserError(
            f"checkpoint {manager.directory}/{step} exists already: move it or use another workdir"
        )


def forget(manager: Manager, start: int) -> None:
    """Deletes the checkpoints from step `start` on."""
    for step in manager.all_steps():
        if step >= start:
            manager.delete(step)


def wait(manager: Manager) -> None:
    """Returns when all saves are on disk; raises `Unwritable` where one failed."""
    try:
        manager.wait_until_finished()
    except _UNWRITABLE as error:
        raise storage.Unwritable(_reason(error)) from error


def restore_state(
    manager: Manager, step: int, shapes: state.State, identity: dict[str, Any]
) -> state.State:
    """Returns the state of `step`, laid out as the shardings of `shapes` say.

    Raises `UserError` when it was trained on other data (`identity`), has other parameters, or
    cannot be read.
    """
    meta = _read(manager, step, meta=ocp.args.JsonRestore()).meta
    changed = settings.difference(meta["data"], identity)
    if changed:
        raise errors.UserError(
            f"checkpoint {manager.directory}/{step} was trained on other data: {changed}; "
            "restore the data configuration, or start in another workdir"
        )
    _compare(manager, step, shapes)
    return _read(manager, step, state=ocp.args.StandardRestore(shapes)).state  # type: ignore


def restore_params(
    directory: Path, shapes: Tree, step: int | None = None, average: bool = False
) -> tuple[Tree, dict[str, Any]]:
    """Returns (parameters, meta) of a checkpoint, the last one by default, without its optimiser.

    Takes the parameters as `ShapeDtypeStruct`s; what was saved beside them (heads of other tasks,
    statistics) comes along, on the first device. `average` gives the moving average in their place.
    """
    with _reading(directory) as manager:
        step = _step(manager, directory, step)
        name = "ema" if average else "params"
        saved = _compare(manager, step, {name: shapes})
        item = {name: _joined(shapes, saved.get(name) or {})}
        restore = ocp.args.PyTreeRestore(
            item=item,
            partial_restore=True,
            restore_args=ocp.checkpoint_utils.construct_restore_args(item),
        )
        found = _read(manager, step, state=restore, meta=ocp.args.JsonRestore())
        return next(iter(found.state.values())), found.meta


def read_meta(directory: Path, step: int) -> dict[str, Any]:
    """Returns the meta of a checkpoint."""
    with _reading(directory) as manager:
        return _read(manager, _step(manager, directory, step), meta=ocp.args.JsonRestore()).meta


def save_tree(path: Path, tree: Tree) -> None:
    """Saves arrays alone, without a state or meta; returns when they are on disk."""
    with ocp.StandardCheckpointer() as saver:
        saver.save(path.absolute(), tree)


def restore_tree(path: Path) -> Tree:
    """Returns the arrays that `save_tree` saved, on the first device."""
    try:
        with ocp.StandardCheckpointer() as reader:
            metadata = reader.metadata(path.absolute()).item_metadata
            if metadata is None:
                raise ValueError("its parameters are not listed: files are missing or cut short")
            shapes = jax.tree.map(_on_one_device, metadata.tree)
            return reader.restore(path.absolute(), shapes)
    except _UNREADABLE as error:
        raise errors.UserError(f"{path} cannot be read ({_reason(error)})") from error


def _on_one_device(leaf: Any) -> jax.ShapeDtypeStruct:
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)


def _joined(shapes: Tree, saved: Tree) -> Tree:
    """Returns `shapes` and the leaves that were saved beside them."""
    more = {
        key: _joined(shapes.get(key, {}), value)
        if isinstance(value, Mapping)
        else _on_one_device(value)
        for key, value in saved.items()
        if key not in shapes or isinstance(value, Mapping)
    }
    return {**shapes, **more}


def _reading(directory: Path) -> Manager:
    if not directory.is_dir():
        raise errors.UserError(f"no checkpoints in {directory}: not a directory")
    options = ocp.CheckpointManagerOptions(read_only=True)
    return ocp.CheckpointManager(directory.absolute(), options=options)


def _step(manager: Manager, directory: Path, step: int | None) -> int:
    step = manager.latest_step() if step is None else step
    if step is None or step not in manager.all_steps():
        raise errors.UserError(
            f"no checkpoint {step or ''} in {directory}: it has {sorted(manager.all_steps())}"
        )
    return step


def _read(manager: Manager, step: int, **items: Any) -> Any:
    try:
        return manager.restore(step, args=ocp.args.Composite(**items))
    except _UNREADABLE as error:
        raise _unreadable(manager, step, error) from error


def _unreadable(manager: Manager, step: int, error: Exception) -> errors.UserError:
    older = [known for known in sorted(manager.all_steps()) if known < step]
    way_on = (
        f"step {older[-1]} is older: move {step} away to go on from it" if older else "none older"
    )
    return errors.UserError(
        f"checkpoint {manager.directory}/{step} cannot be read ({_reason(error)}); {way_on}"
    )


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def _compare(manager: Manager, step: int, shapes: Tree) -> Tree:
    """Returns what was saved, leaf by leaf its metadata.

    Raises `UserError` for the first leaf that the checkpoint lacks or has in another shape.
    """
    try:
        tree = ocp.PyTreeCheckpointer().metadata(Path(manager.directory) / str(step) / "state")
        if tree.item_metadata is None:
            raise ValueError("its parameters are not listed: files are missing or cut short")
        found = trees.leaves(tree.item_metadata.tree)
    except _UNREADABLE as error:
        raise _unreadable(manager, step, error) from error
    for path, want in trees.leaves(shapes).items():
        if path not in found:
            raise errors.UserError(
                f"checkpoint {manager.directory}/{step} has no {path!r}, which this configuration "
                "needs: use the configuration it was made with"
            )
        if tuple(found[path].shape) != tuple(want.shape):
            raise errors.UserError(
                f"checkpoint {manager.directory}/{step} has {path!r} of shape "
                f"{tuple(found[path].shape)}: this configuration expects {tuple(want.shape)}"
            )
    return tree.item_metadata.tree


def meta_of(config: dict[str, Any], identity: dict[str, Any], task: Any) -> dict[str, Any]:
    """Returns what is kept beside a state: configuration, data identity, the task's own notes."""
    notes = task.metadata() if hasattr(task, "metadata") else {}
    return {"config": config, "data": identity, "jax": jax.__version__, **notes}
