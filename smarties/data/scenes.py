"""Which files of a folder make a scene, which scenes are held out, and how their grids meet.

A pattern names the files of a sensor below the root: `*` stands for any text within one name, and
the texts of all `*` together are the scene's key: {"sentinel1-grd": "S1RTC/*.tif", "sentinel2-l2a":
"S2L2A/*.tif"}. `{band}` stands for the band in layouts with one file per band: "s2a/*/*/{band}.tif"
(zero padding does not matter: B1.tif is band B01).
"""

import dataclasses
import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.data import geotiff
from smarties.spectrum import bands

Key = tuple[str, ...]
Files = dict[Key, tuple[str, ...]]
MOST_CROPPED = 2  # pixels by which grids of one ground may differ in size
LEAST_OVERLAP = 0.9  # of the ground of two images of one scene


@dataclasses.dataclass(frozen=True)
class Scene:
    """Images of one ground on a common grid, that of the finest sensor.

    Attributes:
      key: the texts of the wildcards.
      images: one per sensor.
      shape: (rows, columns) of the common grid, cropped to what all share.
      coarser: how many pixels of the grid one pixel of each sensor spans.
      offsets: (row, column) where the common ground starts in each sensor's own pixels.
      finest: position of the sensor whose grid it is.
    """

    key: Key
    images: tuple[geotiff.Image, ...]
    shape: tuple[int, int]
    coarser: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    finest: int

    @property
    def name(self) -> str:
        return "/".join(self.key)

    def window(self, i: int, row: int, column: int, tile: int) -> tuple[int, int, int, int]:
        """Returns the window of a tile of the grid in the pixels of image `i`."""
        k, (top, left) = self.coarser[i], self.offsets[i]
        return top + row // k, left + column // k, tile // k, tile // k

    def geo(self, row: int, column: int) -> tuple[str, tuple[float, ...]]:
        """Returns (CRS, affine coefficients a..f) of the grid from a pixel on."""
        image, (top, left) = self.images[self.finest], self.offsets[self.finest]
        a, b, c, d, e, f = image.transform
        x, y = left + column, top + row
        return image.crs, (a, b, c + a * x + b * y, d, e, f + d * x + e * y)


def align(key: Key, images: Sequence[geotiff.Image], *, centred: bool = False) -> Scene:
    """Returns the scene of images that cover one ground, all cropped to what they share.

    Args:
      key: of the scene.
      images: of it.
      centred: grids are about one centre, whatever their transforms say of the last pixels, as in
        archives whose georeference is known to be off; they must have one ground all the same.
        Without CRS they are taken to be so in any case.

    Raises:
      UserError: sizes that differ by more than `MOST_CROPPED` pixels, another CRS, pixel size or
        ground.
    """
    finest = max(range(len(images)), key=lambda i: images[i].shape)
    best = images[finest]
    coarser = tuple(max(1, round(best.shape[0] / image.shape[0])) for image in images)
    for image, k in zip(images, coarser, strict=True):
        _check_ground(image, best, k)
    spans = np.array(coarser)[:, None]
    place = _centred if centred or not all(image.crs for image in images) else _placed
    origins = np.round([place(image, best, k) for image, k in zip(images, coarser, strict=True)])
    start = (origins + np.ceil((origins.max(0) - origins) / spans) * spans).max(0)
    offsets = np.round((start - origins) / spans).astype(int)
    step = math.lcm(*coarser)
    left = ((np.array([image.shape for image in images]) - offsets) * spans).min(0)
    return Scene(
        key=key,
        images=tuple(images),
        shape=(int(left[0]) // step * step, int(left[1]) // step * step),
        coarser=coarser,
        offsets=tuple((int(row), int(column)) for row, column in offsets),
        finest=finest,
    )


def _check_ground(image: geotiff.Image, best: geotiff.Image, k: int) -> None:
    """Raises `UserError` unless an image, of pixels `k` times those of `best`, has its ground."""
    apart = [abs(f - k * c) for f, c in zip(best.shape, image.shape, strict=True)]
    pair = f"{image.where} and {best.where}"
    if max(apart) > MOST_CROPPED * k:
        sizes = " and ".join(f"{i.shape[0]}x{i.shape[1]}" for i in (image, best))
        raise errors.UserError(
            f"{pair}: {sizes} pixels are no grids of one ground: cut them to the same bounds"
        )
    if not (image.crs and best.crs):
        return
    if image.crs != best.crs:
        raise errors.UserError(
            f"{pair}: {image.crs} and {best.crs}: co-registered images share one CRS"
        )
    if abs(image.transform[0] / (k * best.transform[0]) - 1) > 0.05 or (
        _overlap(image.bounds, best.bounds) < LEAST_OVERLAP
    ):
        raise errors.UserError(f"{pair}: they do not cover the same ground: co-register them")


def _placed(image: geotiff.Image, best: geotiff.Image, k: int) -> tuple[float, float]:
    """Returns (row, column) of an image's first pixel on the grid of `best`, by its transform."""
    a, _, c, _, e, f = best.transform[:6]
    return (image.transform[5] - f) / e, (image.transform[2] - c) / a


def _centred(image: geotiff.Image, best: geotiff.Image, k: int) -> tuple[float, float]:
    """Returns the same for grids about one centre."""
    rows, columns = ((b - k * n) / 2 for b, n in zip(best.shape, image.shape, strict=True))
    return rows, columns


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Returns the shared share of the smaller of two boxes (left, bottom, right, top)."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [abs((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return max(width, 0) * max(height, 0) / min(areas)


def find(root: Path, pattern: str, sensor: bands.Sensor) -> tuple[Files, int]:
    """Returns the files of each image by key, and how many images lack a band file.

    Raises:
      UserError: no file matches, or no image has all bands.
    """
    files, incomplete = gather(root, pattern, sensor)
    if not files:
        raise errors.UserError(
            f"{root}: no image that matches {pattern!r} has all bands of {sensor.name}: "
            f"{', '.join(sensor.names)}"
        )
    return files, len(incomplete)


def gather(
    root: Path, pattern: str, sensor: bands.Sensor
) -> tuple[Files, dict[Key, tuple[str, ...]]]:
    """Returns the files of each complete image by key, and the bands that the others lack.

    Raises:
      UserError: no file matches.
    """
    parts = re.split(r"(\*|\{band\})", pattern)
    capture = {"*": "([^/]*)", "{band}": "(?P<band>[^/]*)"}
    expression = re.compile("".join(capture.get(p, re.escape(p)) for p in parts))
    which = expression.groupindex.get("band")
    images: dict[Key, dict[str, str]] = defaultdict(dict)
    for file in sorted(root.glob(pattern.replace("{band}", "*"))):
        if hit := expression.fullmatch(file.relative_to(root).as_posix()):
            key = tuple(t for i, t in enumerate(hit.groups(), 1) if i != which)
            images[key][geotiff.plain(hit["band"]) if which else ""] = str(file)
    if not images:
        raise errors.UserError(f"{root}: no file of {sensor.name} matches {pattern!r}")
    wanted = {geotiff.plain(name): name for name in sensor.names} if which else {"": ""}
    files, incomplete = {}, {}
    for key, found in images.items():
        if lacking := tuple(name for plain, name in wanted.items() if plain not in found):
            incomplete[key] = lacking
        else:
            files[key] = tuple(found[plain] for plain in wanted)
    return files, incomplete


def match(found: Sequence[Files], match: str, root: Path) -> tuple[dict[Key, list], int]:
    """Returns the files of each scene, one tuple per sensor, and how many images are alone.

    Raises:
      UserError: no scene is seen by all sensors.
    """
    if match == "order":
        found = [_in_order(files) for files in found]
    common = set(found[0]).intersection(*found[1:])
    if not common:
        names = "; ".join("/".join(min(files)) for files in found)
        raise errors.UserError(
            f"{root}: no scene is seen by all sensors; their keys begin with {names}: let the "
            f"wildcards of all patterns stand for the same text, or match by order"
        )
    alone = sum(len(files) - len(common) for files in found)
    return {key: [files[key] for files in found] for key in common}, alone


def _in_order(files: Files) -> Files:
    """Returns the same files keyed by (first wildcard, rank of the date among its images)."""
    places = defaultdict(list)
    for key in files:
        text = "/".join(key[1:])
        date = re.search(r"\d{8}", text)
        places[key[:1]].append((date[0] if date else "", text, key))
    return {
        (*place, f"{i:04d}"): files[key]
        for place, dated in places.items()
        for i, (_, _, key) in enumerate(sorted(dated))
    }


def split(scenes: dict[Key, list], split: str | None, share: float, names, seed: int):
    """Returns the scenes of "train" or "test"; all scenes of a place, the first wildcard, in one.

    Raises:
      UserError: an unknown scene among `names`, or too few places.
    """
    if split is None:
        return scenes
    place = {key: key[0] if key else "" for key in scenes}
    if names:
        known = {*place.values(), *map("/".join, scenes)}
        for name in names:
            if name not in known:
                raise errors.unknown("test scene", name, known)
        held = {place[key] for key in scenes if {place[key], "/".join(key)} & set(names)}
        test = {key for key in scenes if place[key] in held}
    else:
        drawn = sorted(
            set(place.values()), key=lambda p: hashlib.sha256(f"{seed}/{p}".encode()).digest()
        )
        count = min(max(1, round(share * len(drawn))), len(drawn) - 1)
        test = {key for key in scenes if place[key] in drawn[:count]}
    if not test or len(test) == len(scenes):
        raise errors.UserError(
            f"{len(scenes)} scenes of {len(set(place.values()))} places cannot be split by place "
            f"into train and test: add scenes, or name other test scenes"
        )
    return {key: files for key, files in scenes.items() if (key in test) == (split == "test")}
