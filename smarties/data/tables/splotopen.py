"""sPlotOpen as MaskSDM processed it: 95,104 plots, 61 predictors and an embedding of the location.

[doi 10.25829/idiv.3474-bb7k72; processed files: Zenodo 16902598]
"""

from pathlib import Path

import numpy as np
from scipy import sparse

from smarties.data.tables import described, files
from smarties.data.tables.table import Table
from smarties.errors import UserError

ID = "PlotObservationID"
GROUPS = {
    "worldclim": tuple(f"bio_{i}" for i in range(1, 20)),
    "soil": ("ORCDRC", "PHIHOX", "CECSOL", "BDTICM", "CLYPPT", "SLTPPT", "SNDPPT", "BLDFIE"),
    "location": ("Longitude", "Latitude"),
    "topography": ("Elevation", "Slope", "Aspect"),
    "metadata": (
        "Location_uncertainty", "Releve_area", "Cover_total", "Cover_tree_layer",
        "Cover_shrub_layer", "Cover_herb_layer", "Cover_moss_layer", "Cover_lichen_layer",
        "Cover_algae_layer", "Cover_litter_layer", "Cover_bare_rocks", "Cover_cryptogams",
        "Cover_bare_soil", "Height_trees_highest", "Height_trees_lowest",
        "Height_shrubs_highest", "Height_shrubs_lowest", "Height_herbs_average",
        "Height_herbs_lowest", "Height_herbs_highest",
    ),
    "human": (
        "HFP2009", "Built2009", "Croplands2005", "Lights2009", "Navwater2009", "Pasture2009",
        "Popdensity2010", "Railways", "Roads",
    ),
}  # fmt: skip
VECTOR, WIDTH = "satclip", 256
FILES = (
    "worldclim", "soilgrid", "location", "topographic", "metadata", "cover", "height", "human",
)  # fmt: skip
SPECIES = 12_738  # of more than 20 presences
FEWEST = 21
_ROWS = 4096  # of the dense matrix of occurrences, 4 GB, that are read at a time


def table(root: str) -> Table:
    """Returns all plots, in the order of their numbers, as rows of occurrences are.

    Raises:
      UserError: a missing file or column, plots that differ between files, or arrays of other
        lengths.
    """
    folder = Path(root)
    columns, plots = {}, None
    for name in FILES:
        file = folder / f"{name}_data.csv"
        rows = files.read(file)
        found = files.numbers(rows, (ID,), file)[:, 0].astype(int)
        if plots is not None and not np.array_equal(plots, found):
            raise UserError(f"{file}: other plots, or another order, than {FILES[0]}_data.csv")
        plots = found
        wanted = [n for names in GROUPS.values() for n in names if n in rows.column_names]
        columns |= dict(zip(wanted, files.numbers(rows, wanted, file).T, strict=True))
    names = tuple(name for group in GROUPS.values() for name in group)
    if lost := [name for name in names if name not in columns]:
        raise UserError(f"{folder}: no file has the column {lost[0]!r}")
    assert plots is not None
    order = np.argsort(plots, kind="stable")
    species, presence = _occurrences(folder, len(plots))
    vector = described.vector(folder / "satclip_embeddings.npy", len(plots))
    values = np.stack([columns[name] for name in names], 1)[order]
    place = [names.index(name) for name in GROUPS["location"]]
    return Table(
        predictors=names,
        values=values,
        vectors={VECTOR: vector[order]},
        groups={**GROUPS, VECTOR: (VECTOR,)},
        species=species,
        presence=presence,
        coordinates=values[:, place],
        degrees=True,
        sites=plots[order].astype(str),
    )


def _occurrences(folder: Path, count: int) -> tuple[tuple[str, ...], sparse.csr_array]:
    file = folder / "species_names.csv"
    rows = files.read(file)
    names = files.texts(rows, "Species Name", file)
    names = names[np.argsort(files.numbers(rows, ("Index",), file)[:, 0])]
    file = folder / "species_occurrences.npy"
    try:
        dense = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: no array that can be read ({error})") from error
    if dense.shape != (count, len(names)):
        raise UserError(f"{file}: has shape {dense.shape}: ({count}, {len(names)}) would be right")
    parts = [sparse.csr_array(dense[i : i + _ROWS], dtype=np.uint8) for i in range(0, count, _ROWS)]
    presence = sparse.csr_array(sparse.vstack(parts))
    return described.fewest(tuple(names.tolist()), presence, FEWEST)


def blank(rows: int = 32) -> Table:
    """Returns a table of the same names and sizes that stands for the data where it is not here."""
    rng = np.random.default_rng(0)
    names = tuple(name for group in GROUPS.values() for name in group)
    values = rng.normal(size=(rows, len(names))).astype(np.float32)
    return Table(
        predictors=names,
        values=values,
        vectors={VECTOR: rng.normal(size=(rows, WIDTH)).astype(np.float32)},
        groups={**GROUPS, VECTOR: (VECTOR,)},
        species=tuple(f"species {i}" for i in range(SPECIES)),
        presence=sparse.csr_array((rows, SPECIES), dtype=np.uint8),
        coordinates=values[:, :2],
        degrees=True,
        sites=np.arange(rows).astype(str),
    )
