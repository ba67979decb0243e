"""Sentinel-2 products as ESA hands them out: `.SAFE` folders with one JPEG 2000 file per band."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np

from smarties import errors
from smarties.data import sources, times
from smarties.data.archives import archive, baseline, tiling
from smarties.spectrum import bands, registry

SATURATED = 65_535  # SPECIAL_VALUE of the product specification; no measurement either
SENSORS = {"L1C": "sentinel2-l1c", "L2A": "sentinel2-l2a"}
_BAND = re.compile(r"_(B\d[\dA])(?:_(\d\d)m)?\.jp2")
_UNTOLD = "99.99"  # as `baseline.baseline_of`: of users' own making
_OFFSETS = ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")


class Sentinel2(tiling.Tiled):
    """Tiles of Sentinel-2 whose scenes' `extra` is their processing baseline."""

    def read(self, item: tiling.Tile) -> sources.Example:
        """Returns a tile as reflectance * 10000, without the offset of newer baselines."""
        example = super().read(item)
        (sensor,) = self.sensors
        pixels, valid = example["images"][sensor], example["valid"][sensor]
        valid &= (pixels != SATURATED).all(axis=-1)
        pixels = np.where(valid[..., None], pixels, pixels.dtype.type(0))
        example["images"][sensor] = baseline.harmonise(pixels, valid, item.scene.extra)
        return example


class Safe(Sentinel2):
    """Granules of the products of one level below a folder, cut into tiles of 10 m pixels."""

    CARD = archive.Card(
        title="Sentinel-2 products",
        task="none",
        units="sentinel2-l1c or sentinel2-l2a: reflectance x 10000, uint16, 0 where nothing was "
        "measured. What baselines from 04.00 on add, 1000, is taken off",
        citation="Drusch et al. 2012, Sentinel-2: ESA's optical high-resolution mission for GMES "
        "operational services, Remote Sensing of Environment 120",
        licence="Copernicus Sentinel data legal notice: free, full and open, with attribution",
        size="some 800 MB a product",
        url="https://dataspace.copernicus.eu",
        layout="""S2A_MSIL1C_<sensing>_N<baseline>_R<orbit>_T<tile>_<made>.SAFE, at any depth, with
  MTD_MSIL1C.xml
  GRANULE/*/IMG_DATA/*_B01.jp2 ... *_B12.jp2        level 1C
  GRANULE/*/IMG_DATA/R10m/*_B02_10m.jp2, R20m, R60m  level 2A""",
        tested="files written in its layout",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        level: Literal["L1C", "L2A"] = "L2A",
        tile: int = 240,
        baseline: float | None = None,
        resampling: str = "nearest",
    ):
        """Lists the granules and looks at their headers.

        Args:
          root: a folder of products, or one product.
          level: of the products to read.
          tile: side in pixels of 10 m; multiples of 6 begin with pixels of all bands.
          baseline: of products that do not tell theirs, see `baseline.settle`.
          resampling: of bands of 20 and 60 m, one of `geotiff.RESAMPLING`.

        Raises:
          UserError: an unknown level or resampling, or no product of the level.
        """
        if level not in SENSORS:
            raise errors.unknown("level", level, SENSORS)
        sensor = registry.sensor(SENSORS[level])
        scenes, omitted = [], []
        for product in sorted(_products(Path(root))):
            if f"MSI{level}" not in product.name:
                continue
            try:
                scenes.extend(_granules(product, sensor, baseline, omitted))
            except errors.UserError as error:
                omitted.append(archive.Omission(file=product.name, reason=str(error)))
        super().__init__(
            root,
            {"all": scenes},
            sensors=[sensor],
            tile=tile,
            resampling=resampling,
            omitted=omitted,
            options={
                "level": level, "tile": tile, "baseline": baseline, "resampling": resampling,
            },
        )  # fmt: skip


def _products(root: Path) -> Iterator[Path]:
    for folder, below, _ in os.walk(root):
        if folder.endswith(".SAFE"):
            below.clear()
            yield Path(folder)


def _granules(
    product: Path, sensor: bands.Sensor, otherwise: float | None, omitted: list[archive.Omission]
) -> Iterator[tiling.Scene]:
    """Yields the granules of a product that have all bands; tells what the others lack."""
    told = read_metadata(next(iter(sorted(product.glob("MTD_MSIL*.xml"))), None))
    known = offset_baseline(product.name, told, otherwise)
    hit = re.match(r"S2._MSIL.._(\d{8}T\d{6})_", product.name)
    time = told.get("PRODUCT_START_TIME") or (hit and hit[1])
    granules = sorted(path for path in product.glob("GRANULE/*") if path.is_dir())
    if not granules:
        omitted.append(archive.Omission(file=product.name, reason="no granule in GRANULE"))
    for granule in granules:
        name = product.name.removesuffix(".SAFE")
        name = name if len(granules) == 1 else f"{name}/{granule.name}"
        files = _band_files(granule, sensor)
        if lacking := [band for band in sensor.names if band not in files]:
            reason = f"no file of band {', '.join(lacking)} in IMG_DATA"
            omitted.append(archive.Omission(file=name, reason=reason))
            continue
        listed = tuple(files[band] for band in sensor.names)
        yield tiling.Scene(name, (listed,), times.seconds(time, str(product)), extra=known)


def _band_files(granule: Path, sensor: bands.Sensor) -> dict[str, str]:
    """Returns the file of each band found, in the resolution nearest to what was measured."""
    gsd = {band.name: band.gsd for band in sensor.bands}
    best: dict[str, tuple[float, str]] = {}
    for file in sorted(granule.glob("IMG_DATA/**/*.jp2")):
        hit = _BAND.search(file.name)
        if hit and hit[1] in gsd:
            apart = abs(float(hit[2] or gsd[hit[1]]) - gsd[hit[1]])
            best[hit[1]] = min((apart, str(file)), best.get(hit[1], (np.inf, "")))
    return {band: file for band, (_, file) in best.items()}


def read_metadata(file: Path | None) -> dict[str, str]:
    """Returns the texts of an XML file's elements by name without namespace; {} without a file.

    Of elements of one name the last counts, but of the offsets, which are joined by spaces.

    Raises:
      Unreadable: no XML in UTF-8, or one with a document type, as entities could be of any size.
    """
    if file is None or not file.exists():
        return {}
    try:
        text = file.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise errors.Unreadable(f"{file}: has a document type: product metadata have none")
        tree = ElementTree.fromstring(text.encode())
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise errors.Unreadable(f"{file}: truncated or no XML ({error})") from error
    found: dict[str, str] = {}
    for element in tree.iter():
        key, text = element.tag.rpartition("}")[2], (element.text or "").strip()
        found[key] = f"{found[key]} {text}" if key in found and key in _OFFSETS else text
    return found


def offset_baseline(product: str, told: dict[str, str], otherwise: float | None) -> float:
    """Returns the baseline of a product: as named, as its metadata tell, or `otherwise`.

    Offsets in the metadata decide, for products that users made themselves have baseline 99.99.

    Raises:
      Unreadable: nobody knows, or name, metadata and offsets contradict each other.
    """
    named, written = baseline.baseline_of(product), told.get("PROCESSING_BASELINE", _UNTOLD)
    known = named if written == _UNTOLD else baseline.baseline_of(f"_N{written}")
    if named is not None and known != named:
        raise errors.Unreadable(
            f"{product}: its name says baseline {named:05.2f}, its metadata {written}: get it again"
        )
    texts = " ".join(told.get(key, "") for key in _OFFSETS).split()
    try:
        offsets = {0 - float(text) for text in texts}
    except ValueError as error:
        raise errors.Unreadable(f"{product}: its metadata give the offset {texts}") from error
    if known is None and len(offsets) == 1 and offsets <= {0, baseline.OFFSET}:
        return baseline.SINCE if offsets == {baseline.OFFSET} else 0.0
    known = baseline.settle(product, otherwise if known is None else known, product)
    expected = baseline.OFFSET if known >= baseline.SINCE else 0
    if strange := offsets - {expected}:
        raise errors.Unreadable(
            f"{product}: baseline {known:05.2f} adds {expected}, but its metadata say "
            f"{min(strange):g}: get it again"
        )
    return known
