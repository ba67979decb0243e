"""Any table of predictors with any table of occurrences, as a YAML file describes them.

predictors:
  file: sites.csv            # or .csv.gz, .parquet; paths are relative to the YAML file
  id: site
  categorical: [soil_type]
  coordinates: [lon, lat]
  unit: degrees              # or metres
  part: split                # optional column: train, validation or test
groups:                      # optional; without, every other column is a predictor
  climate: [bio_1, bio_12]
vectors:                     # optional: [n, E] arrays, row by row with the predictors
  image: embeddings.npy
occurrences:
  file: species.csv
  id: site
  layout: dense              # a column of 0 and 1 for each species; or long: one row a record
  species: species           # of layout long: the column of names
  fewest: 1                  # presences a species needs to be kept
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import sparse

from smarties.data.tables import files
from smarties.data.tables.table import Table
from smarties.errors import UserError, unknown

_SECTIONS = ("predictors", "groups", "vectors", "occurrences")
_PREDICTORS = ("file", "id", "categorical", "coordinates", "unit", "part", "delimiter")
_OCCURRENCES = ("file", "id", "layout", "species", "fewest", "delimiter")


def table(file: str) -> Table:
    """Returns the table that a YAML file describes, with a row for each of its sites.

    Raises:
      UserError: unknown keys, files that do not fit each other or the description, a site that is
        there twice, an occurrence at an unknown site, or an entry that is no number.
    """
    path = Path(file)
    given = _description(path)
    about, found = given["predictors"], given["occurrences"]
    places = path.parent / about["file"]
    rows = files.read(places, about.get("delimiter", ","))
    sites = files.texts(rows, about["id"], places)
    where = files.unique(sites, places, "site")
    groups = {str(k): tuple(map(str, v)) for k, v in (given.get("groups") or {}).items()}
    arrays = (given.get("vectors") or {}).items()
    vectors = {name: vector(path.parent / array, len(sites)) for name, array in arrays}
    own = {about["id"], about.get("part"), *about.get("coordinates", ())}
    grouped = (name for members in groups.values() for name in members if name not in vectors)
    names = tuple(dict.fromkeys(grouped))
    names = names or tuple(name for name in rows.column_names if name not in own)
    values, levels = values_of(rows, names, about.get("categorical", ()), places)
    species, presence = _occurrences(path.parent / found["file"], found, where)
    coordinates = files.numbers(rows, about.get("coordinates", ()), places)
    if not coordinates.shape[1]:
        coordinates = np.full((len(sites), 2), np.nan, np.float32)
    return Table(
        predictors=names,
        values=values,
        levels=levels,
        vectors=vectors,
        groups=groups or {name: (name,) for name in (*names, *vectors)},
        species=species,
        presence=presence,
        coordinates=coordinates,
        degrees=about.get("unit", "degrees") == "degrees",
        sites=sites,
        part=files.texts(rows, about["part"], places) if about.get("part") else None,
    )


def values_of(
    rows: Any, names: tuple[str, ...], categorical: Any, file: Path
) -> tuple[np.ndarray, dict[str, tuple[str, ...]]]:
    """Returns (values [n, F], levels) of columns, some of them categorical."""
    for name in categorical:
        if name not in names:
            raise unknown(f"categorical predictor of {file}", name, names)
    plain = [name for name in names if name not in categorical]
    columns = dict(zip(plain, files.numbers(rows, plain, file).T, strict=True))
    levels = {}
    for name in categorical:
        columns[name], levels[name] = files.levels(files.texts(rows, name, file))
    return np.stack([columns[name] for name in names], 1), levels


def _description(path: Path) -> Mapping[str, Any]:
    try:
        given = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: no YAML description of a table ({error})") from error
    if not isinstance(given, Mapping):
        raise UserError(f"{path}: no sections; predictors and occurrences would be right")
    sections = (("", given, _SECTIONS),) + tuple(
        (f"{name}.", given.get(name) or {}, known)
        for name, known in (("predictors", _PREDICTORS), ("occurrences", _OCCURRENCES))
    )
    for prefix, section, known in sections:
        for key in section:
            if key not in known:
                raise unknown(f"key of {path}", f"{prefix}{key}", [f"{prefix}{k}" for k in known])
        for key in ("file", "id") if prefix else ():
            if key not in section:
                raise UserError(f"{path}: {prefix}{key} is missing")
    return given


def vector(file: Path, count: int) -> np.ndarray:
    """Returns an array [n, E] of a file .npy; raises `UserError` unless it has `count` rows."""
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: no array that can be read ({error})") from error
    if found.ndim != 2 or len(found) != count:
        raise UserError(f"{file}: has shape {found.shape}: one row for each of {count} sites")
    return found.astype(np.float32)


def _occurrences(
    file: Path, about: Mapping[str, Any], where: Mapping[str, int]
) -> tuple[tuple[str, ...], sparse.csr_array]:
    """Returns (species, presence [n, S]), rows as of `where`."""
    rows = files.read(file, about.get("delimiter", ","))
    sites = files.texts(rows, about["id"], file)
    if lost := sorted(set(sites.tolist()) - set(where)):
        raise UserError(
            f"{file}: {len(lost)} sites have no predictors, the first is {lost[0]!r}: give them, "
            "or take their occurrences out"
        )
    place = np.array([where[site] for site in sites.tolist()], int)
    layout = about.get("layout", "dense")
    if layout == "long":
        names = files.texts(rows, about.get("species", "species"), file)
        species, which = np.unique(names, return_inverse=True)
        marks = np.ones(len(place))
    elif layout == "dense":
        files.unique(sites, file, "site")
        species = np.array([name for name in rows.column_names if name != about["id"]])
        dense = files.numbers(rows, species.tolist(), file)
        if not np.isin(dense, (0, 1)).all():
            row, column = np.argwhere(~np.isin(dense, (0, 1)))[0]
            raise UserError(
                f"{file}: row {row + 1}, column {str(species[column])!r} is "
                f"{dense[row, column]:g}: occurrences are 0 or 1"
            )
        row, which = dense.nonzero()
        place, marks = place[row], np.ones(len(row))
    else:
        raise unknown(f"layout of {file}", layout, ("dense", "long"))
    shape = (len(where), len(species))
    presence = sparse.csr_array(
        sparse.csr_array((marks, (place, which)), shape) > 0, dtype=np.uint8
    )
    return fewest(tuple(species.tolist()), presence, about.get("fewest", 1))


def fewest(
    species: tuple[str, ...], presence: sparse.csr_array, count: int
) -> tuple[tuple[str, ...], sparse.csr_array]:
    """Returns (species, presence) of those with `count` presences or more."""
    kept = np.flatnonzero(np.asarray(presence.sum(0)) >= count)
    if not len(kept):
        raise UserError(f"none of {len(species)} species has {count} presences")
    return tuple(species[i] for i in kept), sparse.csr_array(presence[:, kept])
