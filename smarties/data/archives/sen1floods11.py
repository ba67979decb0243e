"""Sen1Floods11, hand-labelled chips: Sentinel-1, Sentinel-2 and water at flood events."""

from collections.abc import Sequence
from pathlib import Path

from smarties import errors
from smarties.data import sources
from smarties.data.archives import archive, ground, tables
from smarties.spectrum import registry

KINDS = {"sentinel2-l1c": "S2Hand", "sentinel1-grd": "S1Hand"}
_LABELS = "LabelHand"
_INNER = ("v1.1/data/flood_events/HandLabeled", "data/flood_events/HandLabeled", "HandLabeled")
_LISTS = ("v1.1/splits/flood_handlabeled", "splits/flood_handlabeled")
_SPLITS = ("train", "valid", "test", "bolivia")


class Sen1Floods11(archive.Archive):
    """One example per chip.

    Examples have "map": 0 not water, 1 water, `ground.UNLABELLED` where the label is -1. The
    archive's files record no dates, so the time is NaN.
    """

    CARD = archive.Card(
        title="Sen1Floods11, 446 hand-labelled chips of 512x512 pixels (10 m)",
        task="semantic segmentation of surface water",
        units="sentinel1-grd: float32 dB, VV and VH, NaN without data; sentinel2-l1c: int16, "
        "top-of-atmosphere reflectance = DN * 1e-4, offset 0 (events of 2016 to 2019), 13 bands",
        citation="Bonafilia et al., Sen1Floods11: a georeferenced dataset to train and test deep "
        "learning flood algorithms for Sentinel-1, CVPR Workshops 2020",
        licence="not stated by the repository; contains modified Copernicus Sentinel data",
        size="14 GB with the weakly labelled chips",
        url="https://github.com/cloudtostreet/Sen1Floods11",
        layout="v1.1/data/flood_events/HandLabeled/{S1Hand,S2Hand,LabelHand}/"
        "<chip>_{S1Hand,S2Hand,LabelHand}.tif, or all in one folder\n"
        "v1.1/splits/flood_handlabeled/flood_{train,valid,test,bolivia}_data.csv (optional): "
        "rows of <chip>_S1Hand.tif,<chip>_LabelHand.tif",
        tested="real files",
    )
    CLASSES = ("not water", "water")

    def __init__(self, root: str | Path, *, sensors: Sequence[str] = tuple(KINDS), size: int = 512):
        """Lists the chips, by the published splits where their lists are there.

        Args:
          root: the archive, or a folder of chips.
          sensors: of `KINDS`.
          size: side of the examples, pixels about the chips' centre.

        Raises:
          UserError: an unknown sensor, a list that leaves the root, or no chip.
        """
        root, self.size = Path(root), size
        for sensor in sensors:
            if sensor not in KINDS:
                raise errors.unknown("sensor of Sen1Floods11", sensor, KINDS)
        self.read_as = {name: registry.sensor(name) for name in sensors}
        self.read_as |= {_LABELS: ground.plane(_LABELS)}
        self.base = next((root / i for i in _INNER if (root / i).is_dir()), root)
        kinds = [KINDS.get(name, name) for name in self.read_as]
        self.nested = (self.base / _LABELS).is_dir()
        seen = {kind: self._chips(kind) for kind in kinds}
        whole, every = set.intersection(*seen.values()), set().union(*seen.values())
        omitted = [
            archive.Omission(file=self._file(kind, chip), reason="missing, others of it are there")
            for kind, chips in seen.items()
            for chip in sorted(every - chips)
        ]
        splits = {"all": sorted(whole)}
        if lists := next((root / i for i in _LISTS if (root / i).is_dir()), None):
            splits = {s: self._listed(lists, s, whole, omitted) for s in _SPLITS}
        super().__init__(
            root,
            splits,
            sensors=sensors,
            classes=self.CLASSES,
            omitted=omitted,
            options={"sensors": list(sensors), "size": size},
        )

    def _chips(self, kind: str) -> set[str]:
        files = self.base.glob(f"{kind}/*_{kind}.tif" if self.nested else f"*_{kind}.tif")
        return {file.stem.removesuffix(f"_{kind}") for file in files}

    def _listed(self, lists: Path, split: str, whole: set[str], omitted: list) -> list[str]:
        """Returns the chips of a published list; those that are not whole are omitted."""
        table = lists / f"flood_{split}_data.csv"
        if not table.is_file():
            omitted.append(archive.Omission(file=str(table), reason="no list of this split"))
            return []
        chips = []
        for line in tables.lines(table):
            name = line.partition(",")[0].strip()
            archive.inside(self.base, name)
            chip = Path(name).stem.removesuffix("_S1Hand")
            if chip in whole:
                chips.append(chip)
            else:
                reason = f"{table.name} lists it, but it is not whole"
                omitted.append(archive.Omission(file=name, reason=reason))
        return chips

    def _file(self, kind: str, chip: str) -> str:
        return f"{kind}/{chip}_{kind}.tif" if self.nested else f"{chip}_{kind}.tif"

    def name(self, item: str) -> str:
        return item

    def read(self, item: str) -> sources.Example:
        files = {
            name: (str(archive.inside(self.base, self._file(KINDS.get(name, name), item))),)
            for name in self.read_as
        }
        found = ground.together(files, self.read_as, self.size)
        labels = ground.labels(found[_LABELS], len(self.CLASSES), files[_LABELS][0], none=-1)
        return {**ground.example(found, self.sensors), "map": labels}
