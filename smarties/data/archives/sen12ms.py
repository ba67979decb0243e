"""SEN12MS and DFC2020: triplets of radar, optical and land cover, named alike."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from smarties import errors
from smarties.data import sources
from smarties.data.archives import archive, ground
from smarties.spectrum import registry

FOLDERS = {"sentinel2-l1c": "s2", "sentinel1-grd": "s1"}
SIZE = 256
Item = tuple[str, str, str]  # season, region, patch


class Sen12Ms(archive.Archive):
    """One example per patch `<season>/s2_<region>/<season>_s2_<region>_p<patch>.tif`.

    Examples have "map": the index of the class in `classes`, `ground.UNLABELLED` where the
    publisher has another number. The archive records no dates, so the time is NaN; images are
    older than processing baseline 04.00.
    """

    LABELS: ClassVar[str] = "lc"
    LAYERS: ClassVar[int] = 4  # IGBP, LCCS land cover, LCCS land use, LCCS surface hydrology
    CLASSES: ClassVar[tuple[str, ...]] = (
        "evergreen needleleaf forest", "evergreen broadleaf forest", "deciduous needleleaf forest",
        "deciduous broadleaf forest", "mixed forest", "closed shrublands", "open shrublands",
        "woody savannas", "savannas", "grasslands", "permanent wetlands", "croplands",
        "urban and built-up", "cropland and natural vegetation mosaics", "snow and ice", "barren",
        "water",
    )  # fmt: skip
    CARD = archive.Card(
        title="SEN12MS, 180,662 triplets of 256x256 pixels (10 m)",
        task="pretraining; weak land cover (IGBP 1..17 of MODIS at 500 m become classes 0..16)",
        units="sentinel2-l1c: uint16, top-of-atmosphere reflectance = DN * 1e-4, offset 0, 13 "
        "bands; sentinel1-grd: float32 dB, sigma nought, VV and VH",
        citation="Schmitt et al., SEN12MS - a curated dataset of georeferenced multi-spectral "
        "Sentinel-1/2 imagery for deep learning and data fusion, ISPRS Annals IV-2/W7 2019",
        licence="CC-BY-4.0; contains modified Copernicus Sentinel data",
        size="about 510 GB",
        url="https://mediatum.ub.tum.de/1474000",
        layout="ROIs<id>_<season>/s1_<region>/ROIs<id>_<season>_s1_<region>_p<patch>.tif\n"
        "ROIs<id>_<season>/s2_<region>/ROIs<id>_<season>_s2_<region>_p<patch>.tif\n"
        "ROIs<id>_<season>/lc_<region>/ROIs<id>_<season>_lc_<region>_p<patch>.tif",
        tested="files written in its layout",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        sensors: Sequence[str] = tuple(FOLDERS),
        splits: Mapping[str, Sequence[str]] | None = None,
    ):
        """Lists the patches.

        Args:
          root: the folder of the seasons.
          sensors: of `FOLDERS`.
          splits: by name, the seasons ("ROIs1158_spring") or regions ("ROIs1158_spring/1") of a
            split; patches of others are left out. None for one split "all".

        Raises:
          UserError: an unknown sensor, a season or region that is not there, or no patch.
        """
        self.base = Path(root)
        for sensor in sensors:
            if sensor not in FOLDERS:
                raise errors.unknown("sensor of the archive", sensor, FOLDERS)
        self.read_as = {name: registry.sensor(name) for name in sensors}
        self.read_as |= {self.LABELS: ground.plane(self.LABELS, self.LAYERS)}
        items, omitted = self._list([FOLDERS[name] for name in sensors] + [self.LABELS])
        parts: dict[str, list[Item]] = {"all": items}
        if splits:
            known = {place for item in items for place in (item[0], f"{item[0]}/{item[1]}")}
            for place in (place for places in splits.values() for place in places):
                if place not in known:
                    raise errors.unknown("season or region of a split", place, known)
            parts = {
                split: [i for i in items if {i[0], f"{i[0]}/{i[1]}"} & set(places)]
                for split, places in splits.items()
            }
        super().__init__(
            root,
            parts,
            sensors=sensors,
            classes=self.CLASSES,
            omitted=omitted,
            options={"sensors": list(sensors)},
        )

    def _list(self, kinds: list[str]) -> tuple[list[Item], list[archive.Omission]]:
        """Returns the patches that all kinds of files have, and the files others lack."""
        seen: dict[str, set[Item]] = {}
        for kind in kinds:
            seen[kind] = set()
            for file in self.base.glob(f"*/{kind}_*/*_p*.tif"):
                season, folder = file.parts[-3:-1]
                region = folder.removeprefix(f"{kind}_")
                patch = file.stem.removeprefix(f"{season}_{kind}_{region}_p")
                seen[kind].add((season, region, patch))
        whole = set.intersection(*seen.values())
        every = set().union(*seen.values())
        reason = "missing, or named unlike its folder, though others of the patch are there"
        omitted = [
            archive.Omission(file=self._file(kind, item), reason=reason)
            for kind, items in seen.items()
            for item in sorted(every - items, key=_order)
        ]
        return sorted(whole, key=_order), omitted

    def _file(self, kind: str, item: Item) -> str:
        season, region, patch = item
        return f"{season}/{kind}_{region}/{season}_{kind}_{region}_p{patch}.tif"

    def name(self, item: Item) -> str:
        return f"{item[0]}_{item[1]}_p{item[2]}"

    def read(self, item: Item) -> sources.Example:
        files = {
            name: (str(archive.inside(self.base, self._file(FOLDERS.get(name, name), item))),)
            for name in self.read_as
        }
        found = ground.together(files, self.read_as, SIZE)
        labels = found[self.LABELS]
        # 255 is "unclassified" of MODIS, 0 "unlabelled" of DFC2020: classes begin with 1.
        labels.valid[(labels.pixels[..., 0] == 0) | (labels.pixels[..., 0] == 255)] = False
        labelled = ground.labels(labels, len(self.CLASSES), files[self.LABELS][0], first=1)
        return {**ground.example(found, self.sensors), "map": labelled}


def _order(item: Item) -> tuple:
    """Returns what sorts patches by number, those without one last."""
    season, region, patch = item
    numbers = ((not text.isdigit(), int(text) if text.isdigit() else 0) for text in (region, patch))
    return (season, *numbers, region, patch)


class Dfc2020(Sen12Ms):
    """The patches with labels at 10 m, in the same layout: `dfc_` in place of `lc_`."""

    LABELS, LAYERS = "dfc", 1
    CLASSES = (
        "forest", "shrubland", "savanna", "grassland", "wetlands", "croplands",
        "urban and built-up", "snow and ice", "barren", "water",
    )  # fmt: skip
    CARD = archive.Card(
        title="DFC2020, 6,114 triplets of 256x256 pixels (10 m)",
        task="semantic segmentation (simplified IGBP 1..10 become classes 0..9)",
        units="sentinel2-l1c: uint16, top-of-atmosphere reflectance = DN * 1e-4, offset 0, 13 "
        "bands; sentinel1-grd: float32 dB, sigma nought, VV and VH; re-encodings of it as 8 bits "
        "and 96x96 pixels are other data and not read",
        citation="Robinson et al., Global land-cover mapping with weak supervision: outcome of the "
        "2020 IEEE GRSS data fusion contest, IEEE JSTARS 2021",
        licence="CC-BY-4.0; contains modified Copernicus Sentinel data",
        size="not published here",
        url="https://ieee-dataport.org/competitions/2020-ieee-grss-data-fusion-contest",
        layout="ROIs0000_<part>/s1_<region>/ROIs0000_<part>_s1_<region>_p<patch>.tif\n"
        "s2_<region>/ and dfc_<region>/ alike; <part> is validation or test",
        tested="files written in its layout",
    )
