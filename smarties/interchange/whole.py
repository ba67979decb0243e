"""A folder that appears under its name only when everything is in it."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from smarties.errors import UserError


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` that takes its name at the end, or is removed.

    Raises:
      UserError: `path` is there and not an empty folder, or cannot be written.
    """
    path = path.absolute()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path} exists already: give another --output")
    part = path.with_name(f"{path.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error}): give another --output") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
