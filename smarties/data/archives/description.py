"""What a `dataset.yaml` says of a folder: sensors, tiles, labels, maps and splits."""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from smarties import errors
from smarties.data.archives import archive


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """Classes by scene, from a CSV file with a header.

    Attributes:
      file: below the root.
      column: with the class of a scene.
      key: column with the scene's name; without it, the first.
      separator: between several classes of one scene; None where each has exactly one.
      classes: in the order of their indices; () for those found, sorted.
    """

    file: str
    column: str
    key: str | None = None
    separator: str | None = None
    classes: Sequence[str] = ()

    def parts(self, text: str) -> list[str]:
        """Returns the class names that a row's text holds."""
        texts = text.split(self.separator) if self.separator else [text]
        return [part.strip() for part in texts if part.strip()]

    def read(self, root: Path) -> dict[str, str]:
        """Returns the text by scene.

        Raises:
          UserError: no CSV, an unknown column, or a scene named twice.
        """
        file, found = archive.inside(root, self.file), {}
        try:
            with file.open(newline="", encoding="utf-8-sig") as lines:
                rows = list(csv.DictReader(lines))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise errors.UserError(f"{file}: missing or no CSV text") from error
        for number, row in enumerate(rows, 2):
            key = self.key or next(iter(row))
            for column in (key, self.column):
                if column not in row:
                    raise errors.unknown(f"column of {file}", column, map(str, row))
            if row[key] in found:
                raise errors.UserError(f"{file}: line {number}: {row[key]} appears twice")
            found[row[key]] = row[self.column] or ""
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Maps:
    """A class for each pixel, from files of one band on the finest sensor's grid.

    Attributes:
      files: pattern, with the same wildcards as the sensors'.
      classes: name by the number stored, in the order of their indices.
      ignore: index given to pixels without a class: nodata, or beyond the scene.
    """

    files: str
    classes: Mapping[int, str]
    ignore: int = 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """A parsed and checked `dataset.yaml`.

    Attributes:
      sensors: pattern of the files by registered sensor or YAML file below the root.
      tile: side in pixels of the finest sensor; None for whole images.
      resampling: of band files coarser than their sensor's finest.
      match: of the sensors' images, see `scenes.match`.
      labels, maps: see there, or None.
      splits: names of scenes, or of folders (the key's first text), by split; None for one "all".
    """

    sensors: Mapping[str, str]
    tile: int | None = None
    resampling: str = "nearest"
    match: str = "key"
    labels: Labels | None = None
    maps: Maps | None = None
    splits: Mapping[str, str | Sequence[str]] | None = None


def read(root: Path, name: str) -> Description:
    """Returns the description in a YAML file below the root.

    Raises:
      UserError: no such file, no YAML, an unknown or missing key, a value of another kind, or a
        pattern that leaves the root.
    """
    file = archive.inside(root, name)
    try:
        said = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UserError(f"{file}: missing or no text: describe the folder in it") from error
    except yaml.YAMLError as error:
        raise errors.UserError(f"{file}: no YAML: {str(error).splitlines()[0]}") from error
    result = _build(Description, said, str(file))
    for key, kind in (("labels", Labels), ("maps", Maps)):
        if getattr(result, key) is not None:
            part = _build(kind, getattr(result, key), f"{key} in {file}")
            result = dataclasses.replace(result, **{key: part})
    if result.match not in ("key", "order"):
        raise errors.unknown(f"way to match in {file}", result.match, ("key", "order"))
    mappings = {"sensors": result.sensors, "splits": result.splits or {}}
    mappings |= {"classes of maps": result.maps.classes} if result.maps else {}
    for key, value in mappings.items():
        if not isinstance(value, Mapping) or not value and key != "splits":
            raise errors.UserError(f"{file}: {key} must be a mapping, found {value!r}")
    for pattern in (*result.sensors.values(), *([result.maps.files] if result.maps else [])):
        if not isinstance(pattern, str):
            raise errors.UserError(f"{file}: the file pattern {pattern!r} is no text")
        archive.inside(root, pattern)
    return result


def _build(kind: type, entry: Any, where: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if not isinstance(entry, Mapping):
        raise errors.UserError(f"{where}: must be a mapping of {', '.join(fields)}")
    for key in entry:
        if key not in fields:
            raise errors.unknown(f"key of {where}", key, fields)
    for field in fields.values():
        if field.default is dataclasses.MISSING and field.name not in entry:
            raise errors.UserError(f"{where}: has no {field.name!r}")
    return kind(**entry)
