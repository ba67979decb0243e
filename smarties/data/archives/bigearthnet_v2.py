"""BigEarthNet v2.0 (reBEN): pairs of Sentinel-1 and Sentinel-2, 19 labels, reference maps."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from smarties import errors
from smarties.data import geotiff, sources
from smarties.data.archives import archive, bigearthnet_patches, nomenclature
from smarties.data.archives.bigearthnet_patches import S1, S2
from smarties.data.archives.bigearthnet_splits import SPLITS
from smarties.spectrum import bands, registry

MAP = "reference map"
TABLES = {
    "recommended": "metadata.parquet",
    "excluded": "metadata_for_patches_with_snow_cloud_or_shadow.parquet",
}
_FOLDERS = {S2: "BigEarthNet-S2", S1: "BigEarthNet-S1", MAP: "Reference_Maps"}
_CODES = bands.Sensor(
    name=MAP, bands=(bands.Band(name="reference_map", dtype="uint16", unit="digital number"),)
)


@dataclasses.dataclass(frozen=True)
class Table:
    """The metadata, a row per patch, in NumPy so that it is small and quick to send to workers.

    Attributes:
      patches, radar: names of the Sentinel-2 and Sentinel-1 images, bytes [N].
      labels: uint8 [N, 19], in the official order.
      splits: index into `SPLITS` [N].
      wrong: what is wrong with a row, by number.
    """

    patches: np.ndarray
    radar: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    wrong: dict[int, str]


def table(root: str | Path, snow: bool = False, clouds_or_shadows: bool = False) -> Table:
    """Returns the metadata of the patches asked for.

    Args:
      root: folder of the two tables as published.
      snow: also patches with seasonal snow, 60,773 of them.
      clouds_or_shadows: also patches with clouds or their shadows, 8,677 of them.

    Raises:
      UserError: a missing or truncated table, or one without the published columns.
    """
    found = _rows(Path(root) / TABLES["recommended"])
    if snow or clouds_or_shadows:
        import pyarrow
        from pyarrow import compute

        more = _rows(Path(root) / TABLES["excluded"])
        keep = pyarrow.array(np.zeros(more.num_rows, bool))
        for wanted, column in (
            (snow, "contains_seasonal_snow"),
            (clouds_or_shadows, "contains_cloud_or_shadow"),
        ):
            keep = compute.or_(keep, more[column]) if wanted else keep  # type: ignore
        found = pyarrow.concat_tables([found, more.filter(keep)])
    found = found.combine_chunks()
    labels, unknown = _labels(found["labels"])
    wrong = {int(row): errors.unknown("label", n, nomenclature.CLASSES_19) for row, n in unknown}
    split = found["split"].to_pylist()
    number = {name: i for i, name in enumerate(SPLITS)}
    for row in np.flatnonzero([name not in number for name in split]):
        wrong[int(row)] = errors.unknown("split", split[row], SPLITS)
    return Table(
        np.array(found["patch_id"].to_pylist(), "S"),
        np.array(found["s1_name"].to_pylist(), "S"),
        labels,
        np.array([number.get(name, 0) for name in split], np.int8),
        {row: str(error) for row, error in wrong.items()},
    )


class BigEarthNetV2(archive.Archive):
    """Patches as distributed, in folders of TIFF files; splits "train", "validation" and "test"."""

    DATASET = "bigearthnet-v2"
    CARD = archive.Card(
        title="BigEarthNet v2.0 (reBEN), 549,488 pairs of Sentinel-1 and Sentinel-2 patches, of "
        "which 480,038 are recommended (without snow, clouds and shadows)",
        task="multi-label classification with 19 classes; segmentation by CORINE land cover",
        units="Sentinel-2: surface reflectance x 10,000, uint16, 0 is no data; sen2cor 2.11, no "
        "offset (the images are older than baseline 04.00). Sentinel-1: GRD, sigma nought with "
        "terrain correction of the geometry only, dB, float32, no speckle filter",
        citation="Clasen et al., reBEN: Refined BigEarthNet Dataset for Remote Sensing Image "
        "Analysis, 2024, arXiv 2407.03653",
        licence="CDLA-Permissive-1.0; contains modified Copernicus Sentinel data",
        size="151 GB of pixels uncompressed; size of the published files not given here",
        url="https://bigearth.net",
        layout="metadata.parquet\n"
        "metadata_for_patches_with_snow_cloud_or_shadow.parquet (if asked for)\n"
        "BigEarthNet-S2/<tile product>/<patch>/<patch>_<B01..B12>.tif\n"
        "BigEarthNet-S1/<product>/<patch>/<patch>_<VV|VH>.tif\n"
        "Reference_Maps/<tile product>/<patch>/<patch>_reference_map.tif (if asked for)",
        checksums={
            TABLES["recommended"]: "md5:55687065e77b6d0b0f1ff604a6e7b49c",
            TABLES["excluded"]: "md5:fe31856f4986d446c9468b59d6387c91",
        },
        tested="real files",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        sensors: Sequence[str | bands.Sensor] = (S2, S1),
        snow: bool = False,
        clouds_or_shadows: bool = False,
        maps: Literal["classes", "codes"] | None = None,
        resampling: str = "nearest",
        metadata: str | Path | None = None,
    ):
        """Opens the archive: reads the tables and lists the folders, without opening an image.

        Args:
          root: the folder, see the card's layout.
          sensors: to read; () for labels and maps alone.
          snow, clouds_or_shadows: patches outside the recommended subset to read as well.
          maps: "classes" adds the reference map as uint8, index of the 19 classes, 255 where none
            applies; "codes" as uint16, CORINE codes, 999 where unlabelled.
          resampling: of the 20 m and 60 m bands to 10 m, one of `geotiff.RESAMPLING`; statistics
            differ a little between them.
          metadata: folder of the tables, if not the root.

        Raises:
          UserError: a missing folder or table, an unknown option, or no patch found.
        """
        bigearthnet_patches.check_resampling(resampling)
        if maps not in (None, "classes", "codes"):
            raise errors.unknown("kind of map", maps, ("classes", "codes"))
        known = [registry.sensor(sensor) for sensor in sensors]
        self.root, self.maps, self.resampling = Path(root), maps, resampling
        self._kinds = {sensor.name: bigearthnet_patches.kind(sensor) for sensor in known}
        kinds = dict.fromkeys((*self._kinds.values(), *((MAP,) if maps else ())))
        if not kinds:
            raise errors.UserError("nothing to read: give sensors, or maps='classes'")
        self.table = table(metadata or root, snow, clouds_or_shadows)
        listed = {kind: self.listed(kind) for kind in kinds}
        splits, omitted = self._present(listed)
        if snow and clouds_or_shadows:  # otherwise images without a row are those not asked for
            omitted += self._without_row(listed)
        super().__init__(
            root,
            splits,
            sensors=known,
            classes=nomenclature.CLASSES_19,
            omitted=omitted,
            options={
                "sensors": list(self._kinds),
                "snow": snow,
                "clouds_or_shadows": clouds_or_shadows,
                "maps": maps,
                "resampling": resampling,
            },
        )

    def name(self, item: int) -> str:
        return self.table.patches[item].decode()

    def told(self, item: int) -> str:
        table = self.table
        return f"{table.patches[item]} {table.radar[item]} {table.labels[item].tobytes().hex()}"

    def read(self, item: int) -> sources.Example:
        images = {}
        for name, kind in self._kinds.items():
            file, sensor = self._file(kind, item), self.definitions[name]
            found = self.bands(kind, file, sensor)
            images[name] = file, bigearthnet_patches.join(found, sensor, self.resampling)
        if self.maps:
            file = self._file(MAP, item)
            found = self.bands(MAP, file, _CODES)
            images[MAP] = f"{file} ({MAP})", bigearthnet_patches.join(found, _CODES, "nearest")
        time = bigearthnet_patches.parse(self._file(next(iter(self._kinds.values()), MAP), item))
        example = bigearthnet_patches.example(images, time.time, self.table.labels[item].copy())
        if self.maps:
            codes = example["images"].pop(MAP)[..., 0]
            index = nomenclature.index_19(codes, images[MAP][0])
            del example["valid"][MAP]
            example["map"] = index if self.maps == "classes" else codes
        return example

    def listed(self, kind: str) -> set[str]:
        """Returns the names of all images of a kind (`S1`, `S2` or `MAP`) that lie in the archive.

        Raises:
          UserError: no such folder.
        """
        folder, found = self.root / _FOLDERS[kind], set()
        try:
            with os.scandir(folder) as products:
                for product in products:
                    if product.is_dir():
                        found.update(os.listdir(product.path))
        except FileNotFoundError as error:
            raise errors.UserError(
                f"no such folder: {folder}: the layout must be\n{self.CARD.layout}"
            ) from error
        return found

    def bands(
        self, kind: str, name: str, sensor: bands.Sensor
    ) -> Iterator[tuple[str, geotiff.Raster]]:
        """Yields (file, image) of each band of an image, see `bigearthnet_patches.tiffs`."""
        product = name.rsplit("_", 3 if kind == S1 else 2)[0]
        folder = self.root / _FOLDERS[kind] / product / name
        return bigearthnet_patches.tiffs(folder, sensor)

    def _file(self, kind: str, item: int) -> str:
        return (self.table.radar if kind == S1 else self.table.patches)[item].decode()

    def _present(
        self, listed: dict[str, set[str]]
    ) -> tuple[dict[str, list[int]], list[archive.Omission]]:
        """Returns rows by split whose images are all there, and what is wrong with the others."""
        splits: dict[str, list[int]] = {split: [] for split in SPLITS}
        omitted = []
        for row, split in enumerate(self.table.splits.tolist()):
            reason = self.table.wrong.get(row)
            for kind, names in listed.items():
                name = self._file(kind, row)
                if not reason and name not in names:
                    reason = f"metadata row without image: no {name} of {kind}"
            if reason:
                omitted.append(archive.Omission(file=self.name(row), reason=reason))
            else:
                splits[SPLITS[split]].append(row)
        return splits, omitted

    def _without_row(self, listed: dict[str, set[str]]) -> list[archive.Omission]:
        omitted = []
        for kind, names in listed.items():
            rows = self.table.radar if kind == S1 else self.table.patches
            known = {name.decode() for name in rows.tolist()}
            omitted += [
                archive.Omission(file=name, reason=f"image of {kind} without metadata row")
                for name in sorted(names - known)
            ]
        return omitted


def _rows(file: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise errors.UserError(
            "reading this archive's metadata needs pyarrow: pip install 'smarties[data]'"
        ) from error
    flags = ["contains_seasonal_snow", "contains_cloud_or_shadow"]
    columns = ["patch_id", "labels", "split", "s1_name", *flags]
    try:
        missing = set(columns) - set(parquet.read_schema(file).names)
        if missing:
            raise errors.UserError(f"{file}: no column {', '.join(sorted(missing))}")
        return parquet.read_table(file, columns=columns)
    except (pyarrow.ArrowException, OSError) as error:
        raise errors.UserError(f"{file}: missing, truncated or no table ({error})") from error


def _labels(column: Any) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Returns uint8 [N, 19] and (row, name) of unknown labels, from a column of lists of names."""
    lists = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    rows = np.repeat(np.arange(len(lists)), lists.value_lengths().to_numpy(zero_copy_only=False))
    names = lists.flatten().dictionary_encode()
    known = {name: i for i, name in enumerate(nomenclature.CLASSES_19)}
    words = names.dictionary.to_pylist()
    index = np.array([known.get(word, -1) for word in words], np.int64)
    used = names.indices.to_numpy()
    found = index[used] if len(words) else used
    labels = np.zeros((len(lists), len(known)), np.uint8)
    labels[rows[found >= 0], found[found >= 0]] = 1
    return labels, [(int(rows[i]), words[used[i]]) for i in np.flatnonzero(found < 0)]
