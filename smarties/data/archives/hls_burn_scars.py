"""HLS Burn Scars: six bands of Harmonised Landsat Sentinel-2 with masks of burnt ground."""

import dataclasses
import datetime
import re
from pathlib import Path

import numpy as np

from smarties.data import sources
from smarties.data.archives import archive, ground
from smarties.spectrum import bands, registry

SIZE = 512
_IMAGE, _MASK = "_merged.tif", ".mask.tif"


def sensor() -> bands.Sensor:
    """Returns the six bands of HLSS30 as the archive stores them: reflectance, float32."""
    whole = registry.sensor("hls-s30").select("B02,B03,B04,B8A,B11,B12")
    scaled = (
        dataclasses.replace(
            band,
            dtype="float32",
            scale=1.0,
            clip=(band.clip[0] * band.scale, band.clip[1] * band.scale),
        )
        for band in whole.bands
    )
    title = "HLS Burn Scars, six bands of HLSS30 as reflectance"
    return dataclasses.replace(whole, name="hls-burn-scars", title=title, bands=tuple(scaled))


class HlsBurnScars(archive.Archive):
    """One example per scene, in the published splits.

    Examples have "map": 0 not burnt, 1 burnt, `ground.UNLABELLED` where the mask is -1. The time
    is midnight of the day in the name.
    """

    CARD = archive.Card(
        title="HLS Burn Scars, 804 scenes of 512x512 pixels (30 m), contiguous United States",
        task="semantic segmentation of burn scars",
        units="hls-burn-scars: float32 surface reflectance in 0..1, scale 1, offset 0, bands B02 "
        "B03 B04 B8A B11 B12; -9999 without data",
        citation="Phillips et al., HLS Foundation burnscars dataset, 2023",
        licence="CC-BY-4.0",
        size="not published here",
        url="https://huggingface.co/datasets/ibm-nasa-geospatial/hls_burn_scars",
        layout="{training,validation}/subsetted_512x512_HLS.S30.<tile>.<year><day>.v1.4"
        "{_merged.tif,.mask.tif}",
        tested="files written in its layout",
    )
    CLASSES = ("not burnt", "burnt")

    def __init__(self, root: str | Path):
        """Lists the scenes.

        Args:
          root: the folder of training and validation.

        Raises:
          UserError: no scene.
        """
        root, omitted, splits = Path(root), [], {}
        self.read_as = {"hls-burn-scars": sensor(), "mask": ground.plane("mask")}
        for split in ("training", "validation"):
            images, masks = (
                {file.name.removesuffix(end) for file in (root / split).glob(f"*{end}")}
                for end in (_IMAGE, _MASK)
            )
            splits[split] = [(split, scene) for scene in sorted(images & masks)]
            for scene in sorted(images ^ masks):
                lost = _MASK if scene in images else _IMAGE
                reason = "missing, the other file of the scene is there"
                omitted.append(archive.Omission(file=f"{split}/{scene}{lost}", reason=reason))
        super().__init__(root, splits, sensors=(sensor(),), classes=self.CLASSES, omitted=omitted)

    def name(self, item: tuple[str, str]) -> str:
        return item[1]

    def read(self, item: tuple[str, str]) -> sources.Example:
        split, scene = item
        files = {
            name: (str(archive.inside(self.root, f"{split}/{scene}{end}")),)
            for name, end in (("hls-burn-scars", _IMAGE), ("mask", _MASK))
        }
        found = ground.together(files, self.read_as, SIZE)
        labels = ground.labels(found["mask"], len(self.CLASSES), files["mask"][0], none=-1)
        example = ground.example(found, self.sensors)
        return {**example, "map": labels, "time": np.float64(_day(scene))}


def _day(scene: str) -> float:
    """Returns the start of the day "<year><day of the year>" in a name, seconds since 1970."""
    parts = re.search(r"\.(\d{4})(\d{3})\.", scene)
    if not parts:
        return float("nan")
    new_year = datetime.datetime(int(parts[1]), 1, 1, tzinfo=datetime.UTC)
    return (new_year + datetime.timedelta(days=int(parts[2]) - 1)).timestamp()
