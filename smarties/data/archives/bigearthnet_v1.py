"""BigEarthNet v1: Sentinel-2 patches of 2019 with 43 or 19 labels, and their Sentinel-1 pairs."""

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from smarties import errors
from smarties.data import geotiff, sources
from smarties.data.archives import (
    archive,
    bigearthnet_patches,
    bigearthnet_v1_files,
    nomenclature,
)
from smarties.data.archives.bigearthnet_patches import S1, S2
from smarties.spectrum import bands, registry

_LABELS = {19: nomenclature.labels_19, 43: nomenclature.labels_43}
_CLASSES = {19: nomenclature.CLASSES_19, 43: nomenclature.CLASSES_43}


class BigEarthNetV1(archive.Archive):
    """Patches as distributed: a folder each, of TIFF files and a JSON file with their labels.

    Splits are those of the lists given. Without lists all patches are in "train", which says
    nothing of the published split.
    """

    DATASET = "bigearthnet-v1"
    CARD = archive.Card(
        title="BigEarthNet v1 and BigEarthNet-MM, 590,326 Sentinel-2 patches and as many pairs "
        "with Sentinel-1",
        task="multi-label classification with 43 or 19 classes of CORINE land cover",
        units="Sentinel-2: surface reflectance x 10,000, uint16, 0 is no data; sen2cor of 2017 and "
        "2018, no offset. Sentinel-1: GRD, sigma nought with terrain correction of the geometry "
        "only, dB, float32, no speckle filter",
        citation="Sumbul et al., BigEarthNet, IGARSS 2019, arXiv 1902.06148; "
        "Sumbul et al., BigEarthNet-MM, 2021, arXiv 2105.07921",
        licence="CDLA-Permissive-1.0; contains modified Copernicus Sentinel data",
        size="162 GB of pixels uncompressed; size of the published files not given here",
        url="https://bigearth.net",
        layout="BigEarthNet-v1.0/<patch>/<patch>_<B01..B12>.tif, <patch>_labels_metadata.json\n"
        "BigEarthNet-S1-v1.0/<patch>/<patch>_<VV|VH>.tif, <patch>_labels_metadata.json",
        tested="real files",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        sensors: Sequence[str | bands.Sensor] = (S2,),
        nomenclature: Literal[19, 43] = 19,
        lists: Mapping[str, str | Path] | None = None,
        exclude: Sequence[str | Path] = (),
        pairs: str | Path | None = None,
        resampling: str = "nearest",
        folders: tuple[str, str] = ("BigEarthNet-v1.0", "BigEarthNet-S1-v1.0"),
    ):
        """Opens the archive by the names of its folders, without opening an image.

        Where names do not suffice the JSON files are read too, minutes for all patches: without
        `lists`, to leave out patches without labels (57 of the 19); without `pairs`, to find them.

        Args:
          root: of the archive, see the card's layout.
          sensors: one of Sentinel-1 and Sentinel-2, or both for pairs.
          nomenclature: number of classes.
          lists: text or CSV file by split; a line per patch with one of its two names, or both.
          exclude: lists of patches to leave out, as those published of snow and clouds.
          pairs: list of both names of each pair, as published by bigearthnet_common.
          resampling: of the 20 m and 60 m bands to 10 m, one of `geotiff.RESAMPLING`.
          folders: of Sentinel-2 and Sentinel-1, below the root.

        Raises:
          UserError: a missing folder or list, a line without a name, an unknown option, no patch.
        """
        bigearthnet_patches.check_resampling(resampling)
        if nomenclature not in _CLASSES:
            raise errors.unknown("number of classes", nomenclature, map(str, _CLASSES))
        known = [registry.sensor(sensor) for sensor in sensors]
        self._kinds = {sensor.name: bigearthnet_patches.kind(sensor) for sensor in known}
        both = dict(zip((S2, S1), folders, strict=True))
        self._folders = {
            kind: archive.inside(root, folder)
            for kind, folder in both.items()
            if kind in self._kinds.values()
        }
        if not self._folders:
            raise errors.UserError("nothing to read: give sensors")
        self.nomenclature, self.resampling = nomenclature, resampling
        splits, omitted = bigearthnet_v1_files.index(
            self._folders, lists or {}, exclude, pairs, lambda item: self._labels(self._first(item))
        )
        super().__init__(
            root,
            splits,
            sensors=known,
            classes=_CLASSES[nomenclature],
            omitted=omitted,
            options={
                "sensors": list(self._kinds),
                "nomenclature": nomenclature,
                "resampling": resampling,
            },
        )

    def name(self, item: bigearthnet_v1_files.Item) -> str:
        return item[0]

    def read(self, item: bigearthnet_v1_files.Item) -> sources.Example:
        names, images = dict(zip(self._folders, item, strict=True)), {}
        for name, kind in self._kinds.items():
            folder, sensor = self._folders[kind] / names[kind], self.definitions[name]
            found = bigearthnet_patches.tiffs(folder, sensor)
            raster = bigearthnet_patches.join(found, sensor, self.resampling)
            _check_place(folder, bigearthnet_v1_files.describe(folder), raster)
            images[name] = folder.name, raster
        folder = self._first(item)
        return bigearthnet_patches.example(images, _time(folder), self._labels(folder))

    def _first(self, item: bigearthnet_v1_files.Item) -> Path:
        """Returns the folder that an item's id, labels and time come from."""
        return next(iter(self._folders.values())) / item[0]

    def _labels(self, folder: Path) -> np.ndarray:
        """Returns the labels of a patch, uint8 [19] or [43]; raises `Unreadable` without any."""
        names = bigearthnet_v1_files.describe(folder)["labels"]
        try:
            labels = _LABELS[self.nomenclature](names)
        except errors.UserError as error:
            raise errors.Unreadable(f"{folder}: {error}") from error
        if not labels.any():
            raise errors.Unreadable(
                f"{folder}: none of its labels {names} is one of the {self.nomenclature} classes"
            )
        return labels


def _time(folder: Path) -> float:
    """Returns seconds since 1970-01-01 UTC as the JSON says, or else the name."""
    described = bigearthnet_v1_files.describe(folder)
    try:
        time = datetime.datetime.fromisoformat(described["acquisition_date"])
    except (KeyError, TypeError, ValueError):
        return bigearthnet_patches.parse(folder.name).time
    return time.replace(tzinfo=datetime.UTC).timestamp()


def _check_place(folder: Path, described: Mapping[str, Any], raster: geotiff.Raster) -> None:
    """Raises `Unreadable` where the JSON puts the patch elsewhere than the TIFF files do."""
    from rasterio import crs  # type: ignore
    from rasterio import errors as failures

    corners = described["coordinates"]
    (a, _, x, _, e, y), side = raster.transform[:6], bigearthnet_patches.SIDE
    here = (x, y, x + a * side, y + e * side)
    there = tuple(corners[key] for key in ("ulx", "uly", "lrx", "lry"))
    if not np.allclose(here, there, rtol=0, atol=1):
        raise errors.Unreadable(f"{folder}: its JSON says corners {there}, its TIFF files {here}")
    try:
        same = crs.CRS.from_wkt(described["projection"]) == crs.CRS.from_user_input(raster.crs)
    except failures.CRSError as error:
        raise errors.Unreadable(f"{folder}: no CRS in its JSON or TIFF files ({error})") from error
    if not same:
        said = described["projection"][:40]
        raise errors.Unreadable(
            f"{folder}: its JSON says CRS {said}..., its TIFF files {raster.crs}"
        )
