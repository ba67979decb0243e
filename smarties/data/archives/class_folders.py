"""Scene classification with one folder per class: EuroSAT, UC Merced, RESISC45 and WHU-RS19."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from smarties import errors
from smarties.data import geotiff, sources
from smarties.data.archives import archive, ground, tables


class ClassFolders(archive.Archive):
    """Images of `<class>/<name>.<suffix>`, all of one static shape.

    Examples have "labels", the index of the class in the published classes, sorted as Python sorts
    them; a folder that is missing does not move the others. Of images of another size than `size`
    the centre is kept, or they are padded, and "valid" tells what is padding.
    """

    SENSOR: ClassVar[str]
    CLASSES: ClassVar[tuple[str, ...]]
    SUFFIX: ClassVar[str]
    SIZE: ClassVar[int]
    INNER: ClassVar[tuple[str, ...]]  # where the class folders may lie below the root

    def __init__(
        self, root: str | Path, *, lists: Mapping[str, str] | None = None, size: int | None = None
    ):
        """Opens the folders.

        Args:
          root: of the published archive, or the folder of the class folders.
          lists: text file by split, absolute or below the root: one image a line as "<name>" or
            "<class>/<name>", any suffix. A listed image that is missing is omitted. Without lists
            all images are the split "all".
          size: side of the examples, pixels; None for the published one.

        Raises:
          UserError: no image, no such list, or a listed path that leaves the root.
        """
        root = Path(root)
        self.size = int(size or self.SIZE)
        self.base = next((root / i for i in self.INNER if (root / i).is_dir()), root)
        omitted, items = [], []
        folders = {path.name for path in self.base.glob("*") if path.is_dir()}
        for name in sorted(folders - set(self.CLASSES)):
            reason = str(errors.unknown("label", name, self.CLASSES))
            omitted.append(archive.Omission(file=str(self.base / name), reason=reason))
        for name in self.CLASSES:
            files = sorted((self.base / name).glob(f"*{self.SUFFIX}"))
            items += [f"{name}/{file.name}" for file in files]
            if not files:
                reason = f"no *{self.SUFFIX} of this class"
                omitted.append(archive.Omission(file=str(self.base / name), reason=reason))
        splits = {"all": items}
        if lists:
            splits = {s: self._listed(root / file, items, omitted) for s, file in lists.items()}
        super().__init__(
            root,
            splits,
            sensors=(self.SENSOR,),
            classes=self.CLASSES,
            omitted=omitted,
            options={"size": self.size},
        )

    def _listed(self, file: Path, items: list[str], omitted: list) -> list[str]:
        """Returns the items a list names; those it names in vain are added to `omitted`."""
        known = {}
        for item in items:
            whole = item.removesuffix(self.SUFFIX)
            known |= {whole: item, whole.rpartition("/")[2]: item}
        found = []
        for line in tables.lines(file):
            archive.inside(self.base, line)
            key = "/".join(Path(line).with_suffix("").parts[-2:])
            if key in known:
                found.append(known[key])
            else:
                reason = f"{file} lists it, but it is not there"
                omitted.append(archive.Omission(file=line, reason=reason))
        return found

    def name(self, item: str) -> str:
        return item.rpartition(".")[0]

    def read(self, item: str) -> sources.Example:
        raster = self._raster(str(archive.inside(self.base, item)))
        example = ground.example({self.SENSOR: ground.fit(raster, self.size)}, (self.SENSOR,))
        return {**example, "labels": np.int64(self.CLASSES.index(item.partition("/")[0]))}

    def _raster(self, file: str) -> geotiff.Raster:
        return ground.picture(file)


_UINT8 = "uint8 digital numbers of a picture, no scale and no offset: not reflectance"


class EuroSat(ClassFolders):
    """Thirteen bands of Sentinel-2 L1C in the files' own order, B8A last; georeferenced."""

    SENSOR, SUFFIX, SIZE = "eurosat", ".tif", 64
    INNER = ("EuroSAT_MS", "ds/images/remote_sensing/otherDatasets/sentinel_2/tif")
    CLASSES = (
        "AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture",
        "PermanentCrop", "Residential", "River", "SeaLake",
    )  # fmt: skip
    CARD = archive.Card(
        title="EuroSAT, multispectral, 27,000 images of 64x64 pixels",
        task="single-label classification, 10 classes of land use and land cover",
        units="eurosat: uint16, top-of-atmosphere reflectance = DN * 1e-4, offset 0 (of before "
        "processing baseline 04.00); no nodata besides 0",
        citation="Helber et al., EuroSAT: a novel dataset and deep learning benchmark for land use "
        "and land cover classification, IEEE JSTARS 2019",
        licence="MIT; contains modified Copernicus Sentinel data",
        size="2 GB packed",
        url="https://github.com/phelber/EuroSAT",
        layout="EuroSAT_MS/<class>/<class>_<number>.tif",
        tested="real files",
    )

    def _raster(self, file: str) -> geotiff.Raster:
        return geotiff.load((file,), self.definitions[self.SENSOR])


class EuroSatRgb(ClassFolders):
    """The same patches as pictures."""

    SENSOR, SUFFIX, SIZE = "rgb", ".jpg", 64
    INNER = ("EuroSAT_RGB", "2750")
    CLASSES = EuroSat.CLASSES
    CARD = dataclasses.replace(
        EuroSat.CARD,
        title="EuroSAT, RGB, 27,000 pictures of 64x64 pixels",
        units=f"rgb: {_UINT8}; of Sentinel-2 bands at 10 m, stretched by the publisher and JPEG",
        size="90 MB packed",
        layout="EuroSAT_RGB/<class>/<class>_<number>.jpg",
    )


class UcMerced(ClassFolders):
    """Aerial pictures; some of the release are not 256x256 and are cropped or padded to it."""

    SENSOR, SUFFIX, SIZE = "uc-merced", ".tif", 256
    INNER = ("UCMerced_LandUse/Images", "Images")
    CLASSES = (
        "agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral",
        "denseresidential", "forest", "freeway", "golfcourse", "harbor", "intersection",
        "mediumresidential", "mobilehomepark", "overpass", "parkinglot", "river", "runway",
        "sparseresidential", "storagetanks", "tenniscourt",
    )  # fmt: skip
    CARD = archive.Card(
        title="UC Merced Land Use, 2,100 pictures of 256x256 pixels (0.3 m)",
        task="single-label classification, 21 classes of land use",
        units=f"uc-merced: {_UINT8}",
        citation="Yang and Newsam, Bag-of-visual-words and spatial extensions for land-use "
        "classification, ACM GIS 2010",
        licence="public domain (USGS National Map Urban Area Imagery); the authors ask to be cited",
        size="320 MB packed",
        url="http://weegee.vision.ucmerced.edu/datasets/landuse.html",
        layout="UCMerced_LandUse/Images/<class>/<class><00..99>.tif",
        tested="real files",
    )


class Resisc45(ClassFolders):
    """Pictures of Google Earth."""

    SENSOR, SUFFIX, SIZE = "resisc45", ".jpg", 256
    INNER = ("NWPU-RESISC45",)
    CLASSES = (
        "airplane", "airport", "baseball_diamond", "basketball_court", "beach", "bridge",
        "chaparral", "church", "circular_farmland", "cloud", "commercial_area",
        "dense_residential", "desert", "forest", "freeway", "golf_course", "ground_track_field",
        "harbor", "industrial_area", "intersection", "island", "lake", "meadow",
        "medium_residential", "mobile_home_park", "mountain", "overpass", "palace", "parking_lot",
        "railway", "railway_station", "rectangular_farmland", "river", "roundabout", "runway",
        "sea_ice", "ship", "snowberg", "sparse_residential", "stadium", "storage_tank",
        "tennis_court", "terrace", "thermal_power_station", "wetland",
    )  # fmt: skip
    CARD = archive.Card(
        title="NWPU-RESISC45, 31,500 pictures of 256x256 pixels (0.2 to 30 m)",
        task="single-label classification, 45 classes of scenes",
        units=f"resisc45: {_UINT8}",
        citation="Cheng, Han and Lu, Remote sensing image scene classification: benchmark and "
        "state of the art, Proceedings of the IEEE 2017",
        licence="not published here: see the authors' page",
        size="400 MB packed",
        url="https://gcheng-nwpu.github.io/",
        layout="NWPU-RESISC45/<class>/<class>_<001..700>.jpg",
        tested="files written in its layout",
    )


class WhuRs19(ClassFolders):
    """Pictures of Google Earth."""

    SENSOR, SUFFIX, SIZE = "whu-rs19", ".jpg", 600
    INNER = ("WHU-RS19",)
    CLASSES = (
        "Airport", "Beach", "Bridge", "Commercial", "Desert", "Farmland", "Forest", "Industrial",
        "Meadow", "Mountain", "Park", "Parking", "Pond", "Port", "Residential", "River", "Viaduct",
        "footballField", "railwayStation",
    )  # fmt: skip
    CARD = archive.Card(
        title="WHU-RS19, 1,005 pictures of 600x600 pixels (up to 0.5 m)",
        task="single-label classification, 19 classes of scenes",
        units=f"whu-rs19: {_UINT8}",
        citation="Xia et al., Structural high-resolution satellite image indexing, ISPRS TC VII "
        "Symposium 2010",
        licence="not published here: see the authors' page",
        size="100 MB packed",
        url="https://captain-whu.github.io/BED4RS/",
        layout="WHU-RS19/<class>/<name>.jpg",
        tested="files written in its layout",
    )
