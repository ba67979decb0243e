"""The NCEAS benchmark: 226 species of six regions. [Elith et al. 2020, doi 10.17161/bi.v15i2.13384]

Files as csv.gz: R = region, REGIONtest_env*, REGIONtest_pa* (presence and absence), REGIONtrain_po
(presence only) and REGIONtrain_bg (10,000 random places).
"""

from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse

from smarties.data.tables import files
from smarties.data.tables.table import Table
from smarties.errors import UserError, unknown

Protocol = Literal["presence_absence", "presence_only"]
PROTOCOLS: tuple[Protocol, ...] = ("presence_absence", "presence_only")
CATEGORICAL = {
    "AWT": (), "CAN": ("ontveg",), "NSW": ("vegsys",), "NZ": ("age", "toxicats"), "SA": (),
    "SWI": ("calc",),
}  # fmt: skip
DEGREES = ("CAN", "NSW", "SA")
_OWN = ("group", "siteid", "x", "y", "spid", "occ")


def table(
    root: str, region: str, group: str = "", protocol: Protocol = "presence_absence"
) -> Table:
    """Returns the places of a region; each predictor is a group of its own.

    Args:
      root: folder of the files.
      region: "AWT", "CAN", "NSW", "NZ", "SA" or "SWI".
      group: of species, where a region surveyed several, as "bird" of AWT or "ot" of NSW.
      protocol: "presence_absence" gives the surveyed places alone, to be split. "presence_only"
        gives the part "train" to every place with a record, at which the species recorded at the
        same coordinates are present, and to the random places, at which none is; the surveyed
        places are the part "test".

    Raises:
      UserError: an unknown region, group or protocol, or files that do not fit each other.
    """
    if region not in CATEGORICAL:
        raise unknown("region of NCEAS", region, CATEGORICAL)
    if protocol not in PROTOCOLS:
        raise unknown("protocol of NCEAS", protocol, PROTOCOLS)
    folder = Path(root)
    found = sorted(folder.glob(f"{region}test_env*.csv.gz"))
    if not found:
        raise UserError(f"{folder} has no {region}test_env*.csv.gz: give the folder of the tables")
    ends = [f.name.removeprefix(f"{region}test_env").removesuffix(".csv.gz") for f in found]
    if (f"_{group}" if group else "") not in ends:
        raise unknown(f"group of {region}", group, [end.removeprefix("_") for end in ends])
    end = f"_{group}" if group else ""
    places, marks = (folder / f"{region}test_{kind}{end}.csv.gz" for kind in ("env", "pa"))
    surveyed, presence = files.read(places), files.read(marks)
    sites = files.texts(surveyed, "siteid", places)
    if not np.array_equal(sites, files.texts(presence, "siteid", marks)):
        raise UserError(f"{places} and {marks} have other rows: the same sites would be right")
    names = tuple(n for n in surveyed.column_names if n not in _OWN)
    species = tuple(n for n in presence.column_names if n not in _OWN)
    parts = [(surveyed, places, sparse.csr_array(files.numbers(presence, species, marks) > 0))]
    if protocol == "presence_only":
        parts += _recorded(folder, region, species)
    texts = {
        name: files.levels(np.concatenate([files.texts(t, name, f) for t, f, _ in parts]))
        for name in CATEGORICAL[region]
    }
    plain = [n for n in names if n not in texts]
    numbers = np.concatenate([files.numbers(t, plain, f) for t, f, _ in parts])
    columns = dict(zip(plain, numbers.T, strict=True)) | {n: t[0] for n, t in texts.items()}
    part = np.repeat(["test", "train", "train"][: len(parts)], [t.num_rows for t, *_ in parts])
    return Table(
        predictors=names,
        values=np.stack([columns[name] for name in names], 1),
        levels={name: known for name, (_, known) in texts.items()},
        groups={name: (name,) for name in names},
        species=species,
        presence=sparse.csr_array(sparse.vstack([p for *_, p in parts]), dtype=np.uint8),
        coordinates=np.concatenate([files.numbers(t, ("x", "y"), f) for t, f, _ in parts]),
        degrees=region in DEGREES,
        sites=np.concatenate([files.texts(t, "siteid", f) for t, f, _ in parts]),
        part=part if protocol == "presence_only" else None,
    )


def _recorded(folder: Path, region: str, species: tuple[str, ...]) -> list:
    """Returns [(rows, file, presence)] of the places with records of `species`, and random ones."""
    import pyarrow as pa

    file, other = (folder / f"{region}train_{kind}.csv.gz" for kind in ("po", "bg"))
    records, random = files.read(file), files.read(other)
    column = {name: i for i, name in enumerate(species)}
    names = files.texts(records, "spid", file)
    mine = np.flatnonzero(np.isin(names, species))
    places = np.stack([files.texts(records, name, file)[mine] for name in ("x", "y")], 1)
    _, first, place = np.unique(places, return_index=True, return_inverse=True, axis=0)
    which = np.array([column[name] for name in names[mine].tolist()])
    seen = sparse.csr_array((np.ones(len(mine)), (place, which)), (len(first), len(species))) > 0
    none = sparse.csr_array((random.num_rows, len(species)), dtype=bool)
    return [(records.take(pa.array(mine[first])), file, seen), (random, other, none)]
