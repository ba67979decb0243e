"""fMoW with fMoW-Sentinel: a picture and a Sentinel-2 composite of one place, nearest in time."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.data import geotiff, sources, times
from smarties.data.archives import archive, ground, nearest, tables

TABLES = {"train": "train.csv", "val": "val.csv", "test": "test_gt.csv"}
_COLUMNS = ("category", "location_id", "image_id", "timestamp")
_SHARED = 100  # image ids below are those of the pictures, and have their time
Item = tuple[str, str, str, str, float]  # split, place, picture, composite, time of the composite


class Fmow(archive.Archive):
    """One example per picture that has a composite near enough in time; none is used twice.

    Examples have "labels", the index of the category. The two images are no common grid: each is
    cropped or padded about its centre, and "crs" and "transform" are the composite's.
    """

    CARD = archive.Card(
        title="fMoW RGB with fMoW-Sentinel, 62 categories",
        task="single-label classification; pretraining on pairs of sensors",
        units="sentinel2-l1c: integers, top-of-atmosphere reflectance = DN * 1e-4, offset 0 "
        "(2015 to 2019), cloud composites of 90 days, 13 bands; rgb: uint8 digital numbers of a "
        "picture, no scale and no offset: not reflectance",
        citation="Christie et al., Functional map of the world, CVPR 2018; Cong et al., SatMAE: "
        "pre-training transformers for temporal and multi-spectral satellite imagery, NeurIPS 2022",
        licence="fMoW Challenge Public License; contains modified Copernicus Sentinel data",
        size="about 200 GB of pictures; composites not published here",
        url="https://github.com/fMoW/dataset and https://purl.stanford.edu/vg497cb6002",
        layout="fmow-rgb/<split>/<category>/<category>_<place>/<category>_<place>_<image>_rgb.jpg\n"
        "fmow-sentinel/<split>/<category>/<category>_<place>/<category>_<place>_<image>.tif\n"
        "fmow-sentinel/{train,val,test_gt}.csv: category, location_id, image_id, timestamp",
        tested="files written in its layout",
    )
    CLASSES = (
        "airport", "airport_hangar", "airport_terminal", "amusement_park", "aquaculture",
        "archaeological_site", "barn", "border_checkpoint", "burial_site", "car_dealership",
        "construction_site", "crop_field", "dam", "debris_or_rubble", "educational_institution",
        "electric_substation", "factory_or_powerplant", "fire_station", "flooded_road", "fountain",
        "gas_station", "golf_course", "ground_transportation_station", "helipad", "hospital",
        "impoverished_settlement", "interchange", "lake_or_pond", "lighthouse",
        "military_facility", "multi-unit_residential", "nuclear_powerplant", "office_building",
        "oil_or_gas_facility", "park", "parking_lot_or_garage", "place_of_worship",
        "police_station", "port", "prison", "race_track", "railway_bridge",
        "recreational_facility", "road_bridge", "runway", "shipyard", "shopping_mall",
        "single-unit_residential", "smokestack", "solar_farm", "space_facility", "stadium",
        "storage_tank", "surface_mine", "swimming_pool", "toll_booth", "tower", "tunnel_opening",
        "waste_disposal", "water_treatment_facility", "wind_farm", "zoo",
    )  # fmt: skip

    def __init__(
        self,
        root: str | Path,
        *,
        splits: Sequence[str] = ("train", "val"),
        days: float = 45,
        older: bool = False,
        sizes: tuple[int, int] = (64, 512),
    ):
        """Reads the tables, lists the places and joins their images.

        Args:
          root: the folder of fmow-rgb and fmow-sentinel.
          splits: of `TABLES`.
          days: the most that two images of a pair may be apart.
          older: also pictures whose time no table tells, from the JSON file beside each; slow to
            open, and useful only with many `days`, as most of them are older than Sentinel-2.
          sizes: sides of the composites and of the pictures, pixels.

        Raises:
          UserError: an unknown split, a missing table or column, or no pair.
        """
        self.base, self.sizes = Path(root), tuple(sizes)
        omitted, found = [], {}
        for split in splits:
            if split not in TABLES:
                raise errors.unknown("split of fMoW", split, TABLES)
            found[split] = []
            for place, known in sorted(self._table(split, omitted).items()):
                found[split] += self._join(split, place, known, days, older, omitted)
        options = {"splits": list(splits), "days": days, "older": older, "sizes": list(sizes)}
        super().__init__(
            root,
            found,
            sensors=("sentinel2-l1c", "rgb"),
            classes=self.CLASSES,
            omitted=omitted,
            options=options,
        )

    def _table(self, split: str, omitted: list) -> dict[str, dict[int, float]]:
        """Returns the seconds of a split's composites by place and image id."""
        table = self.base / "fmow-sentinel" / TABLES[split]
        places: dict[str, dict[int, float]] = defaultdict(dict)
        for line, row in tables.rows(table, _COLUMNS):
            where, category = f"{table.name}, line {line}", row["category"]
            when, known = times.found(row["timestamp"]), category in self.CLASSES
            if not known or np.isnan(when) or not _whole(row["location_id"], row["image_id"]):
                reason = "no number or time in the row"
                if not known:
                    reason = str(errors.unknown("label", category, self.CLASSES))
                omitted.append(archive.Omission(file=where, reason=reason))
                continue
            place = f"{category}/{category}_{int(row['location_id'])}"
            if int(row["image_id"]) in places[place]:
                omitted.append(archive.Omission(file=where, reason="the id appears twice"))
            places[place].setdefault(int(row["image_id"]), when)
        return places

    def _join(
        self, split: str, place: str, times: dict, days: float, older: bool, omitted: list
    ) -> list[Item]:
        """Returns the pairs of one place; rows and pictures that are alone are omitted."""
        name = place.partition("/")[2]
        radiance, pictures = (
            {file.name for file in (self.base / part / split / place).glob(f"{name}_*{end}")}
            for part, end in (("fmow-sentinel", ".tif"), ("fmow-rgb", "_rgb.jpg"))
        )
        composites = {f"{name}_{i}.tif": when for i, when in times.items()}
        for file in sorted(composites.keys() - radiance):
            path, reason = f"fmow-sentinel/{split}/{place}/{file}", "a row without an image"
            omitted.append(archive.Omission(file=path, reason=reason))
        there = {file: when for file, when in composites.items() if file in radiance}
        taken: dict[str, float] = {}
        for file in pictures:
            image = file.removeprefix(f"{name}_").removesuffix("_rgb.jpg")
            if image.isdigit() and int(image) < _SHARED and int(image) in times:
                taken[file] = times[int(image)]
            elif older:
                sidecar = self.base / "fmow-rgb" / split / place / file.replace(".jpg", ".json")
                taken[file] = _sidecar(sidecar, omitted)
        joined = nearest.nearest(taken, there, days)
        for file in sorted(pictures - joined.keys()):
            reason = f"no composite within {days:g} days of it, or its time is not known"
            path = f"fmow-rgb/{split}/{place}/{file}"
            omitted.append(archive.Omission(file=path, reason=reason))
        return [(split, place, file, other, there[other]) for file, other in joined.items()]

    def name(self, item: Item) -> str:
        return f"{item[0]}/{item[2].removesuffix('_rgb.jpg')}"

    def read(self, item: Item) -> sources.Example:
        split, place, file, other, when = item
        radiance, picture = (
            str(archive.inside(self.base, f"{part}/{split}/{place}/{name}"))
            for part, name in (("fmow-sentinel", other), ("fmow-rgb", file))
        )
        rasters = {
            "sentinel2-l1c": geotiff.load((radiance,), self.definitions["sentinel2-l1c"]),
            "rgb": ground.picture(picture),
        }
        fitted = {
            name: ground.fit(rasters[name], size)
            for name, size in zip(self.sensors, self.sizes, strict=True)
        }
        label = np.int64(self.CLASSES.index(place.partition("/")[0]))
        return {
            **ground.example(fitted, self.sensors),
            "labels": label,
            "time": np.float64(when),
        }


def _whole(*texts: str) -> bool:
    return all(text.isascii() and text.isdigit() for text in texts)


def _sidecar(file: Path, omitted: list) -> float:
    """Returns the seconds that the JSON beside a picture tells, NaN where it does not."""
    try:
        return times.found(str(json.loads(file.read_text())["timestamp"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"no JSON with a timestamp ({type(error).__name__})"
        omitted.append(archive.Omission(file=str(file), reason=reason))
        return float("nan")
