"""`smarties.load`: run directories, exported weights and the hub to a model."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from smarties.errors import UserError
from smarties.inference import csmae, model, species
from smarties.interchange import hub, weights, whole
from smarties.models import lora
from smarties.typing import Tree

HUB = hub.HUB
BEST = "best"  # of a run, what `checkpoint.best` kept
ORBAX = "params"  # of the folder that `export --format orbax` writes, beside its config.json


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
) -> Any:
    """Returns the trained encoder of a run directory, a file, an exported folder, or of the hub.

    Of a run that trained a species model it is an `inference.species.SpeciesModel`.

    Args:
      path: what to load: a run directory; a .safetensors file, ours or in released names, which
        tells its sizes by shapes; a folder that `smarties export` wrote; "hf:owner/name" or
        "hf:owner/name@revision".
      step: of a run, which checkpoint; by default the one that `checkpoint.best` kept, or the last.
      average: of a run, whether the moving average of the parameters is taken in their place; by
        default where the run kept one, as its evaluation does.
      heads, decoder_heads, rule: what a file without metadata cannot tell, see `weights.read`;
        `rule` may also replace the mixing rule a model was trained with.
      dtype: of the computation in place of the trained one, e.g. "bfloat16".
      download: whether "hf:" may use the network; otherwise only what is in the hub's local cache.

    Raises:
      UserError: a missing, truncated or foreign file, sizes that do not fit, no checkpoint.
    """
    if species.is_run(Path(path)):
        return species.of_run(Path(path), restore, step, average)
    params, config = adapted(*read(path, step, average, heads, decoder_heads, download))
    config = {**config, "rule": rule or config["rule"]}
    # The attention kernel belongs to the machine that trained, not to the weights.
    config["model"] = {**config["model"], "kernel": "xla"} | ({"dtype": dtype} if dtype else {})
    return model_of(jax.tree.map(jax.numpy.asarray, params), config)


def model_of(params: Tree, config: Mapping[str, Any]) -> model.Model:
    """Returns parameters and metadata as a model."""
    if config.get("kind") == weights.CSMAE:
        return csmae.Csmae(config=config, params=params)
    return model.Model(config=config, params=params)


def read(
    path: str | Path,
    step: int | None = None,
    average: bool | None = None,
    heads: int | None = None,
    decoder_heads: int | None = None,
    download: bool = False,
) -> tuple[Tree, dict[str, Any]]:
    """Returns (parameters, metadata) as they were kept; arguments and errors as of `load`."""
    if str(path).startswith(HUB):
        path = hub.fetch(str(path), download)
    path = Path(path)
    orbax = (path / ORBAX).is_dir()
    run = path.is_dir() and not orbax and not _exported(path)
    if not run and (step is not None or average is not None):
        raise UserError(f"{path} is no run directory: only runs have steps and averages to choose")
    if (run or orbax) and (heads or decoder_heads):
        raise UserError(f"{path} is a run, which knows its sizes: leave heads out")
    if run:
        return _from_run(path, step, average)
    if orbax:
        return _from_orbax(path)
    if path.is_dir():
        return hub.read(path, heads, decoder_heads)
    return weights.read(path, heads, decoder_heads)


def adapted(params: Tree, config: dict[str, Any]) -> tuple[Tree, dict[str, Any]]:
    """Returns (parameters, metadata) with the adapters of a run in the kernels they adapt."""
    if "lora" not in params:
        return params, config
    scale = config["adaptation"]["recipe"]["lora_scale"]
    encoder = lora.merged(params["encoder"], params["lora"], scale)
    return {**{k: v for k, v in params.items() if k != "lora"}, "encoder": encoder}, config


def _exported(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) and not (folder / "checkpoints").is_dir()


def write_orbax(path: Path, params: Tree, config: dict[str, Any]) -> None:
    """Writes a folder of config.json and the parameters as Orbax keeps them, to train on from."""
    checkpoint = _checkpoints(path)
    with whole.folder(path) as part:
        checkpoint.save_tree(part / ORBAX, params)
        hub.write_config(part, config)


def _from_orbax(path: Path) -> tuple[Tree, dict[str, Any]]:
    checkpoint = _checkpoints(path)
    config = hub.config_of(path)
    if config is None:
        raise UserError(f"{path} has no config.json of ours: export it again")
    params = checkpoint.restore_tree(path / ORBAX)
    try:
        weights.check_params(params, config)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return params, config


def _from_run(path: Path, step: int | None, average: bool | None) -> tuple[Tree, dict[str, Any]]:
    trained = _trained(path)
    average = _averaged(path, trained, average)
    params, meta, step = restore(
        path, lambda meta: weights.shapes(_config_of(path, trained, meta)), step, average
    )
    return params, {**_config_of(path, trained, meta), "step": step, "average": average}


def restore(
    path: Path,
    shapes_of: Callable[[Mapping[str, Any]], Tree],
    step: int | None = None,
    average: bool | None = None,
) -> tuple[Tree, dict[str, Any], int]:
    """Returns (parameters, meta, step) of any run.

    Args:
      path: of the run.
      shapes_of: meta -> the parameters as `ShapeDtypeStruct`s; others that were saved come along.
      step, average: see `load`.

    Raises:
      UserError: no run, no checkpoint, or one with other parameters.
    """
    checkpoint = _checkpoints(path)
    average = _averaged(path, _trained(path), average)
    folder, step = _chosen(path, step)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        shapes_of(checkpoint.read_meta(folder, step)),
    )
    return *checkpoint.restore_params(folder, shapes, step, average), step


def _chosen(path: Path, step: int | None) -> tuple[Path, int]:
    """Returns the folder and step of a run's checkpoint."""
    for folder in (path / BEST, path / "checkpoints"):
        known = [int(d.name) for d in folder.glob("*") if d.name.isdigit()]
        if known and step in (None, *known):
            return folder, max(known) if step is None else step
    if not known:
        raise UserError(f"{path} has no checkpoint yet: train on, or give another run")
    raise UserError(f"no checkpoint {step} in {path / 'checkpoints'}: it has {sorted(known)}")


def _averaged(path: Path, trained: Mapping[str, Any], average: bool | None) -> bool:
    """Returns whether the moving average of a run is meant."""
    kept = bool(trained["optimizer"]["ema"]) or trained["optimizer"].get("kind") == "schedule_free"
    if average and not kept:
        raise UserError(f"{path} kept no moving average: it was trained with optimizer.ema = 0")
    return kept if average is None else average


def _checkpoints(path: Path) -> Any:
    """Returns the module that knows Orbax.

    It is imported here, so that other weights are loaded without what only training needs.
    """
    try:
        from smarties.training import checkpoint
    except ImportError as error:
        raise UserError(
            f"{path}: runs and Orbax folders need {error.name}: pip install 'smarties[train]', or "
            "export as safetensors where it is"
        ) from error
    return checkpoint


def _trained(path: Path) -> dict[str, Any]:
    """Returns the configuration of a run."""
    try:
        trained = json.loads((path / "config.json").read_text())
        for key in ("name", "task", "optimizer"):
            trained[key]
        return trained
    except FileNotFoundError as error:
        raise UserError(
            f"{path} has no config.json: give a run directory, a folder that `smarties export` "
            "wrote, or a .safetensors file"
        ) from error
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path / 'config.json'} is not of a run: {error}") from error


def _config_of(path: Path, trained: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the metadata of a run's model.

    One that adapted other weights says all in the "adaptation" of its checkpoint, one that
    pretrained in its configuration.
    """
    adaptation = meta.get("adaptation", {})
    try:
        if adaptation:
            model, recipe = adaptation["model"], adaptation["recipe"]
            rule, spectrum = recipe["rule"], recipe["spectrum"]
        else:
            recipe = _recipe(trained["task"])
            model, rule, spectrum = trained["model"], recipe.rule, recipe.spectrum
        config = weights.config_of(
            name=trained["name"], model=model, rule=rule, spectrum=spectrum,
            sensors=meta.get("sensors", {}),
        )  # fmt: skip
        if trained["task"]["name"] == weights.CSMAE:
            config |= {"kind": weights.CSMAE, "stacks": meta["stacks"]}
        weights.shapes(config)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path / 'config.json'} describes no model: {error}") from error
    more = {
        "classes": adaptation.get("classes"),
        "adaptation": adaptation,
        "data": weights.fingerprint(meta["data"]) if "data" in meta else None,
    }
    return {**config, **{key: value for key, value in more.items() if value}}


def _recipe(task: Mapping[str, Any]) -> Any:
    if task["name"] == weights.CSMAE:
        from smarties.tasks import csmae as task_module
    else:
        from smarties.tasks import pretraining as task_module
    return task_module.Recipe(**task)
