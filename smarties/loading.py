"""`smarties.load`: run directories, safetensors files and the hub to a model."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from smarties.errors import UserError
from smarties.inference import model
from smarties.interchange import weights
from smarties.tasks import pretraining
from smarties.training import checkpoint
from smarties.typing import Tree

HUB = "hf:"
HUB_FILE = "model.safetensors"


def load(
    path: str | Path,
    *,
    step: int | None = None,
    average: bool | None = None,
    heads: int | None = None,
    decoder_heads: int | None = None,
    rule: str | None = None,
    dtype: str | None = None,
    download: bool = False,
) -> model.Model:
    """Returns the trained encoder of a run directory, of a safetensors file, or of "hf:owner/name".

    Args:
      path: what to load. Files in released names without our metadata tell their sizes by shapes.
      step: of a run, which checkpoint; the last by default.
      average: of a run, whether the moving average of the parameters is taken in their place; by
        default where the run kept one, as its evaluation does.
      heads, decoder_heads, rule: what a file without metadata cannot tell, see `weights.read`;
        `rule` may also replace the mixing rule a model was trained with.
      dtype: of the computation in place of the trained one, e.g. "bfloat16".
      download: whether "hf:" may use the network; otherwise only what is in the hub's local cache.

    Raises:
      UserError: a missing, truncated or foreign file, sizes that do not fit, no checkpoint.
    """
    if str(path).startswith(HUB):
        path = _from_hub(str(path).removeprefix(HUB), download)
    path = Path(path)
    if path.is_dir():
        if heads or decoder_heads:
            raise UserError(f"{path} is a run, which knows its sizes: leave heads out")
        params, config = _from_run(path, step, average)
    elif step is not None or average is not None:
        raise UserError(f"{path} is no run directory: only runs have steps and averages to choose")
    else:
        params, config = weights.read(path, heads, decoder_heads)
    config = {**config, "rule": rule or config["rule"]}
    # The attention kernel belongs to the machine that trained, not to the weights.
    config["model"] = {**config["model"], "kernel": "xla"} | ({"dtype": dtype} if dtype else {})
    return model.Model(config=config, params=jax.tree.map(jax.numpy.asarray, params))


def _from_run(path: Path, step: int | None, average: bool | None) -> tuple[Tree, dict[str, Any]]:
    try:
        trained = json.loads((path / "config.json").read_text())
        recipe = pretraining.Recipe(**trained["task"])
        config = weights.config_of(
            name=trained["name"],
            model=trained["model"],
            rule=recipe.rule,
            spectrum=recipe.spectrum,
        )
    except FileNotFoundError as error:
        raise UserError(
            f"{path} has no config.json: give a run directory or a .safetensors file"
        ) from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path / 'config.json'} is not of a pretraining run: {error}") from error
    step, average = _chosen(path, trained, step, average)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), weights.shapes(config)
    )
    params, meta = checkpoint.restore_params(path / "checkpoints", shapes, step, average)
    sensors = meta.get("sensors", {})
    return params, {**config, "sensors": sensors, "step": step, "average": average}


def restore(
    path: Path,
    shapes_of: Callable[[Mapping[str, Any]], Tree],
    step: int | None,
    average: bool | None,
) -> tuple[Tree, dict[str, Any], int]:
    """Returns (parameters, meta, step) of any run.

    Args:
      path: of the run.
      shapes_of: meta -> the parameters as `ShapeDtypeStruct`s.
      step, average: see `load`.

    Raises:
      UserError: no run, or no checkpoint.
    """
    try:
        trained = json.loads((path / "config.json").read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError) as error:
        raise UserError(f"{path} has no config.json: give a run directory") from error
    step, average = _chosen(path, trained, step, average)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        shapes_of(checkpoint.read_meta(path / "checkpoints", step)),
    )
    return *checkpoint.restore_params(path / "checkpoints", shapes, step, average), step


def _chosen(
    path: Path, trained: Mapping[str, Any], step: int | None, average: bool | None
) -> tuple[int, bool]:
    """Returns which step of a run, and whether its moving average."""
    known = [int(d.name) for d in (path / "checkpoints").glob("*") if d.name.isdigit()]
    if not known:
        raise UserError(f"{path} has no checkpoint yet: train on, or give another run")
    if step is not None and step not in known:
        raise UserError(f"no checkpoint {step} in {path / 'checkpoints'}: it has {sorted(known)}")
    kept = bool(trained["optimizer"]["ema"])
    average = kept if average is None else average
    if average and not kept:
        raise UserError(f"{path} kept no moving average: it was trained with optimizer.ema = 0")
    return max(known) if step is None else step, average


def _from_hub(name: str, download: bool) -> Path:
    try:
        import huggingface_hub  # type: ignore
    except ImportError as error:
        raise UserError(
            f"{HUB}{name} needs huggingface_hub and a network: pip install 'smarties[hub]', or "
            "give the path of a .safetensors file"
        ) from error
    try:
        return Path(huggingface_hub.hf_hub_download(name, HUB_FILE, local_files_only=not download))
    except (OSError, ValueError) as error:
        hint = "check the name and the network" if download else "download=True may fetch it"
        raise UserError(
            f"{HUB}{name}: no {HUB_FILE} ({str(error).splitlines()[0]}): {hint}"
        ) from error
