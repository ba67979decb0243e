"""Configuration files and their overrides, with one clear line for whatever is wrong in them."""

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from smarties import errors
from smarties.training import settings


def load(
    path: str, overrides: Sequence[str] = (), resolve: Callable[[Any], Any] = settings.resolve
) -> Any:
    """Returns the resolved, locked configuration of "file.py" or "file.py:arg".

    Overrides are "--config.a.b=value"; `resolve` fills in defaults. Raises `UserError` for a
    missing file, a file that raises, an unknown key or a value of another type.
    """
    name, _, arg = path.partition(":")
    config = resolve(_run(Path(name), arg or None))
    config.lock()
    _check_keys(config, overrides)
    values = flags.FlagValues()
    arguments = ["smarties", *overrides]
    try:
        config_flags.DEFINE_config_dict(
            "config", config, lock_config=True, flag_values=values, sys_argv=arguments
        )
        rest = values(arguments)
    except (flags.Error, TypeError, ValueError) as error:
        raise errors.UserError(str(error)) from error
    if rest[1:]:
        raise errors.UserError(f"unexpected argument {rest[1]!r}: give --config.<field>=<value>")
    return values["config"].value


def _run(path: Path, arg: str | None) -> ConfigDict:
    if not path.is_file():
        raise errors.UserError(f"no configuration file {path}: give the path of a Python file")
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise errors.UserError(f"configuration file {path}: the name must end in .py")
    module = importlib.util.module_from_spec(spec)
    # The file is the user's program: it may import its neighbours, and what it raises is theirs.
    sys.path.insert(0, str(path.parent.absolute()))
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise errors.UserError(f"configuration file {path} has no get_config(arg)")
        made = module.get_config() if arg is None else module.get_config(arg)
    except errors.UserError:
        raise
    except Exception as error:
        raise errors.UserError(
            f"configuration file {_where(path, error)} raised {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.remove(str(path.parent.absolute()))
    if not isinstance(made, ConfigDict):
        raise errors.UserError(
            f"get_config of {path} returned {type(made).__name__}: must be a ConfigDict"
        )
    return made


def _where(path: Path, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{path}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path.absolute()]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _check_keys(config: Any, overrides: Sequence[str]) -> None:
    """Raises `UserError` for an override of no field, naming the nearest one."""
    known = {*settings.flat(config.to_dict()), *_sections(config)}
    for override in overrides:
        found = re.fullmatch(r"--?(no)?config\.([^=]+)(=.*)?", override, re.DOTALL)
        if found and found[2] not in known:
            raise errors.unknown("configuration key", found[2], known)
        if override.startswith("-") and not found:
            raise errors.UserError(
                f"unknown option {override!r}: give --config.<field>=<value>, or see --help"
            )


def _sections(config: Any, prefix: str = "") -> list[str]:
    """Returns the dotted names of all nested dicts."""
    inner = [(f"{prefix}{key}", value) for key, value in config.items() if hasattr(value, "items")]
    return [name for key, value in inner for name in (key, *_sections(value, f"{key}."))]
