"""TerraMesh in single GeoTIFFs: radar, optical, land cover and heights of one grid."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from smarties import errors
from smarties.data import geotiff, sources, times
from smarties.data.archives import archive, baseline, ground, tables
from smarties.spectrum import registry

FOLDERS = {
    "s1-rtc": "S1RTC",
    "sentinel2-l1c": "S2L1C",
    "sentinel2-l2a": "S2L2A",
    "rgb": "S2RGB",
}
_MAPS = {"lulc": "LULC", "elevation": "DEM"}
_L1C, _L2A = "sentinel2-l1c", "sentinel2-l2a"
CIRRUS = 950  # digital numbers of B10 that no scene keeps above everywhere without the offset
SWIR_RATIO = 1.15  # surface to top-of-atmosphere reflectance in B12, median of a scene


class TerraMesh(archive.Archive):
    """Scenes that all the asked-for modalities see.

    Examples have "map" (LULC, see `classes`) and "elevation", int16 [H, W] metres.
    """

    CARD = archive.Card(
        title="TerraMesh, more than 9 million scenes, as GeoTIFF by modality",
        task="pretraining on aligned modalities; weak land cover labels",
        units="s1-rtc: float32, terrain-flattened gamma nought in dB; sentinel2-l1c and "
        "sentinel2-l2a: int16, reflectance = DN * 1e-4; the publisher took off the offset of "
        "processing baseline 04.00, but not of all scenes, see option `offset`; rgb: uint8 "
        "picture; elevation: int16 metres (Copernicus DEM); all on 10 m",
        citation="Blumenstiel et al., TerraMesh: a planetary mosaic of multimodal Earth "
        "observation data, 2025",
        licence="CC-BY-SA-4.0; contains modified Copernicus Sentinel data; Copernicus DEM (c) "
        "DLR, Airbus, ESA",
        size="not published here",
        url="https://huggingface.co/datasets/ibm-esa-geospatial/TerraMesh",
        layout="S1RTC/<scene>.tif, S2L1C/, S2L2A/, S2RGB/, LULC/, DEM/ alike\n"
        "scenes.csv (optional): scene, s2_datetime, s1_datetime",
        tested="real files",
    )
    CLASSES = (
        "none", "water", "trees", "flooded vegetation", "crops", "built", "bare", "snow and ice",
        "clouds", "rangeland",
    )  # fmt: skip

    def __init__(
        self,
        root: str | Path,
        *,
        sensors: Sequence[str] = ("sentinel2-l2a", "s1-rtc"),
        size: int = 224,
        offset: Literal["measured", "stored"] = "measured",
    ):
        """Lists the scenes.

        Args:
          root: the folder of the modalities.
          sensors: of `FOLDERS`. The statistics of sensor "rgb" are those of finer pictures.
          size: side of the examples, pixels about the scenes' centre.
          offset: some scenes still carry the 1000 of processing baseline 04.00, and no file says
            which. "measured" takes it off where the numbers show it (`_without_offset`), for which
            S2L1C is read with S2L2A; "stored" leaves all numbers as they are,
            and S2L1C that carries it is then refused.

        Raises:
          UserError: an unknown sensor or option, or no scene that all of them see.
        """
        root, self.size, self.offset = Path(root), size, offset
        if offset not in ("measured", "stored"):
            raise errors.unknown("offset", offset, ("measured", "stored"))
        for sensor in sensors:
            if sensor not in FOLDERS:
                raise errors.unknown("sensor of TerraMesh", sensor, FOLDERS)
        needed = {name: FOLDERS[name] for name in sensors}
        if offset == "measured" and _L2A in sensors:
            needed |= {_L1C: FOLDERS[_L1C]}
        self.folders = needed | _MAPS
        self.read_as = {name: registry.sensor(name) for name in needed}
        self.read_as |= {name: ground.plane(name) for name in _MAPS}
        seen = {f: {p.stem for p in (root / f).glob("*.tif")} for f in self.folders.values()}
        self.times, omitted = _times(root, set().union(*seen.values()))
        scenes = sorted(set.intersection(*seen.values()))
        for folder, names in seen.items():
            for name in sorted(set().union(*seen.values()) - names):
                reason = "missing, though other modalities have the scene"
                omitted.append(archive.Omission(file=f"{folder}/{name}.tif", reason=reason))
        super().__init__(
            root,
            {"all": scenes},
            sensors=sensors,
            classes=self.CLASSES,
            omitted=omitted,
            options={"sensors": list(sensors), "size": size, "offset": offset},
        )

    def name(self, item: str) -> str:
        return item

    def read(self, item: str) -> sources.Example:
        files = {
            name: (str(archive.inside(self.root, f"{folder}/{item}.tif")),)
            for name, folder in self.folders.items()
        }
        found = ground.together(files, self.read_as, self.size)
        if self.offset == "measured" and _L1C in found:
            found |= _without_offset(found[_L1C], found.get(_L2A))
        heights = found["elevation"].pixels[..., 0]
        if heights.dtype != np.int16:
            raise errors.Unreadable(f"{files['elevation'][0]}: {heights.dtype}, not int16 metres")
        return {
            **ground.example(found, self.sensors),
            "map": ground.labels(found["lulc"], len(self.classes), files["lulc"][0]),
            "elevation": heights,
            "time": np.float64(self.times.get(item, np.nan)),
        }


def _without_offset(
    toa: geotiff.Raster, surface: geotiff.Raster | None
) -> dict[str, geotiff.Raster]:
    """Returns the L1C and L2A rasters by sensor without the offset that some scenes carry.

    L1C carries it where the cirrus band B10, nearly 0 without clouds, is high in every pixel. L2A
    does where its B12 is plausible only without the 1000: there the atmosphere is so clear that
    the surface reflects 1.15 to 1.19 times what L1C measures in all real scenes looked at.
    """
    l1c, l2a = registry.sensor(_L1C), registry.sensor(_L2A)
    found = {_L1C: toa}
    if toa.valid.any() and toa.pixels[toa.valid][:, l1c.index("B10")].min() >= CIRRUS:
        found[_L1C] = _less(toa)
    if surface is not None:
        found[_L2A] = surface
        both = toa.valid & surface.valid
        below = found[_L1C].pixels[both][:, l1c.index("B12")].astype(float).clip(1)
        above = surface.pixels[both][:, l2a.index("B12")].astype(float)
        if both.any():
            ratios = [np.median((above - n).clip(1) / below) for n in (0, baseline.OFFSET)]
            stored, less = np.abs(np.log(ratios) - np.log(SWIR_RATIO))
            found[_L2A] = _less(surface) if less < stored else surface
    return found


def _less(raster: geotiff.Raster) -> geotiff.Raster:
    pixels = baseline.harmonise(raster.pixels, raster.valid, baseline.SINCE)
    return dataclasses.replace(raster, pixels=pixels)


def _times(root: Path, scenes: set[str]) -> tuple[dict[str, float], list[archive.Omission]]:
    """Returns seconds since 1970 by scene, of the optical image, and rows without an image."""
    table = root / "scenes.csv"
    if not table.is_file():
        return {}, []
    rows = [row for _, row in tables.rows(table, ("scene", "s2_datetime"))]
    lost = [row["scene"] for row in rows if row["scene"] not in scenes]
    reason = "a row of scenes.csv without any image"
    return (
        {row["scene"]: times.found(row["s2_datetime"]) for row in rows},
        [archive.Omission(file=scene, reason=reason) for scene in lost],
    )
