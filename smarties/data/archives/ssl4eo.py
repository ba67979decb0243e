"""SSL4EO-S12: Sentinel-1 and Sentinel-2 of one place in several seasons, a file per band."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.data import sources, times
from smarties.data.archives import archive, baseline, ground, nearest
from smarties.spectrum import registry

FOLDERS = {"sentinel1-grd": "s1", "sentinel2-l1c": "s2c", "sentinel2-l2a": "s2a"}
Item = tuple[str, ...]  # location, then the image of each sensor


class Ssl4Eo(archive.Archive):
    """One example per location and season: the images nearest in time.

    Each image of the first sensor is joined with the nearest of every other one, none twice. The
    georeference of radar and optical files differs by three or four pixels, but their contents
    agree, to about one pixel, where the grids are laid centre on centre; so they are, and "crs",
    "transform" and "location" are the first sensor's own. In the real location the 60 m bands lie
    some 40 m off the others; they are given as published.
    """

    CARD = archive.Card(
        title="SSL4EO-S12, 251,079 locations in four seasons, 264x264 pixels at 10 m",
        task="pretraining",
        units="sentinel1-grd: float32 dB, sigma nought (GRD of Google Earth Engine); "
        "sentinel2-l1c and sentinel2-l2a: uint16, reflectance = DN * 1e-4; where metadata.json "
        "names processing baseline 04.00 or later, 1000 is subtracted",
        citation="Wang et al., SSL4EO-S12: a large-scale multimodal, multitemporal dataset for "
        "self-supervised learning in Earth observation, IEEE GRSM 2023",
        licence="CC-BY-4.0; contains modified Copernicus Sentinel data",
        size="about 1.5 TB",
        url="https://github.com/zhu-xlab/SSL4EO-S12",
        layout="s1/<location>/<product>/{VV,VH}.tif and metadata.json\n"
        "s2c/<location>/<image>/B1.tif ... B12.tif (13 bands) and metadata.json\n"
        "s2a/<location>/<image>/B1.tif ... B12.tif (12 bands, no B10) and metadata.json",
        tested="real files",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        sensors: Sequence[str] = ("sentinel2-l2a", "sentinel1-grd"),
        days: float = 45,
        size: int = 264,
        baseline: float | None = None,
    ):
        """Lists the images and joins them.

        Args:
          root: the folder of s1, s2c and s2a, or the one above it.
          sensors: of `FOLDERS`; seasons are those of the first.
          days: the most that images of one example may be apart.
          size: side of the examples, pixels about the centre.
          baseline: processing baseline of Sentinel-2 images whose metadata.json names none.

        Raises:
          UserError: an unknown sensor, or no location that all of them see.
        """
        root = Path(root)
        for sensor in sensors:
            if sensor not in FOLDERS:
                raise errors.unknown("sensor of SSL4EO-S12", sensor, FOLDERS)
        self.base = root / "SSL4EO-S12" if (root / "SSL4EO-S12").is_dir() else root
        self.size, self.baseline = size, baseline
        self.read_as = {name: registry.sensor(name) for name in sensors}
        items, omitted = self._join(days)
        super().__init__(
            root,
            {"all": items},
            sensors=sensors,
            omitted=omitted,
            options={"sensors": list(sensors), "days": days, "size": size, "baseline": baseline},
        )

    def _join(self, days: float) -> tuple[list[Item], list[archive.Omission]]:
        """Returns the items, and the images of the first sensor that have none to go with."""
        first, *others = (FOLDERS[name] for name in self.read_as)
        items, omitted = [], []
        for place in sorted(path.name for path in (self.base / first).glob("*") if path.is_dir()):
            images = self._dated(first, place, omitted)
            near = [nearest.nearest(images, self._dated(o, place, omitted), days) for o in others]
            for image in sorted(images, key=lambda image: (images[image], image)):
                lone = [o for o, found in zip(others, near, strict=True) if image not in found]
                if lone:
                    reason = f"no image of {', '.join(lone)} within {days:g} days"
                    omitted.append(archive.Omission(file=f"{first}/{place}/{image}", reason=reason))
                else:
                    items.append((place, image, *(found[image] for found in near)))
        return items, omitted

    def _dated(self, folder: str, place: str, omitted: list) -> dict[str, float]:
        """Returns the seconds of a location's images by name; undated ones are omitted."""
        names = [path.name for path in (self.base / folder / place).glob("*") if path.is_dir()]
        dated = {name: times.found(name) for name in sorted(names)}
        for name in [name for name, when in dated.items() if np.isnan(when)]:
            del dated[name]
            omitted.append(
                archive.Omission(file=f"{folder}/{place}/{name}", reason="no date in its name")
            )
        return dated

    def name(self, item: Item) -> str:
        return f"{item[0]}/{item[1]}"

    def read(self, item: Item) -> sources.Example:
        place, *images = item
        folders = {
            name: f"{FOLDERS[name]}/{place}/{image}"
            for name, image in zip(self.read_as, images, strict=True)
        }
        files = {
            name: tuple(
                str(archive.inside(self.base, f"{folder}/{_file(band)}.tif"))
                for band in self.read_as[name].names
            )
            for name, folder in folders.items()
        }
        found = ground.together(files, self.read_as, self.size, centred=True)
        example = ground.example(found, self.sensors)
        for name in set(self.sensors) - {"sentinel1-grd"}:
            example["images"][name] = self._harmonised(example, name, folders[name])
        return {**example, "time": np.float64(times.found(images[0]))}

    def _harmonised(self, example: Mapping, name: str, folder: str) -> np.ndarray:
        file = archive.inside(self.base, f"{folder}/metadata.json")
        told = _metadata(file)
        product = str(told.get("PRODUCT_ID") or "")
        named = str(told.get("PROCESSING_BASELINE") or "")
        if named:
            product = f"{product.partition('_N')[0]}_N{named}"
        number = baseline.settle(product, self.baseline, str(file))
        return baseline.harmonise(example["images"][name], example["valid"][name], number)


def _file(band: str) -> str:
    """Returns the name of a band's file: "B1" for "B01"."""
    return f"B{band[2:]}" if band.startswith("B0") else band


def _metadata(file: Path) -> dict:
    """Returns the properties of an image, {} where the file is missing.

    Raises:
      Unreadable: no JSON object.
    """
    try:
        told = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise errors.Unreadable(f"{file}: no JSON ({error}): get the file again") from error
    if not isinstance(told, dict):
        raise errors.Unreadable(f"{file}: a JSON {type(told).__name__}, not an object")
    return told
