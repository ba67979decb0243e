"""Any folder of GeoTIFFs with a YAML file that says which sensors they are and what they show."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from smarties import errors
from smarties.data import geotiff, scenes, sources
from smarties.data.archives import archive, description, tiling
from smarties.spectrum import bands, registry

_MAP = bands.Sensor(name="map", bands=(bands.Band(name="class", unit="digital number"),))


class Described(tiling.Tiled):
    """Scenes as a description below the root lists them, with labels or maps of classes."""

    CARD = archive.Card(
        title="Your own GeoTIFFs",
        task="as described",
        units="of the sensors named: write a sensor file for numbers of another scale",
        citation="your own",
        licence="your own",
        size="any",
        url="not published",
        layout="""dataset.yaml, of which only sensors are required:
  sensors: {sentinel2-l2a: "S2/*.tif", my_sensor.yaml: "X/{key}/{band}.tif"}
  tile: 96
  resampling: nearest
  match: key
  labels: {file: labels.csv, key: scene, column: class, separator: ";", classes: [crop, forest]}
  maps: {files: "maps/*.tif", classes: {0: water, 1: land}, ignore: 255}
  splits: {train: [a, b], test: folder}
* and {key} are any text within one name and together name the scene, {band} is a band's name.""",
        tested="real files",
    )

    def __init__(self, root: str | Path, *, description: str = "dataset.yaml"):
        """Opens a folder: names of files, tables, and headers where images are to be cut.

        Args:
          root: the folder.
          description: YAML file below it, see the card and `smarties/data/archives/description.py`.

        Raises:
          UserError: an impossible description, paths that leave the root, or no example.
        """
        self.root = Path(root)
        self._said = said = read_description(self.root, description)
        sensors = {}
        for name, pattern in said.sensors.items():
            own = str(name).endswith((".yaml", ".yml"))
            sensor = registry.sensor(archive.inside(self.root, name) if own else str(name))
            sensors[sensor] = pattern
        omitted: list[archive.Omission] = []
        patterns = {**sensors, _MAP: said.maps.files} if said.maps else sensors
        found = _find(self.root, patterns, said.match, omitted)
        texts = said.labels.read(self.root) if said.labels else {}
        listed = []
        for key, files in sorted(found.items()):
            name = "/".join(key)
            if said.labels and name not in texts:
                reason = f"no row of {said.labels.file} names it"
                omitted.append(archive.Omission(file=name, reason=reason))
                continue
            images, maps = tuple(files[: len(sensors)]), files[len(sensors) :]
            listed.append(tiling.Scene(name, images, extra=(texts.get(name), *maps)))
        for name in sorted(texts.keys() - {"/".join(key) for key in found}):
            reason = f"a row of {said.labels.file} without an image"  # type: ignore
            omitted.append(archive.Omission(file=name, reason=reason))
        classes = said.maps.classes.values() if said.maps else ()
        if said.labels:
            present = {part for text in texts.values() for part in said.labels.parts(text)}
            classes = said.labels.classes or sorted(present)
        super().__init__(
            root,
            _split(listed, said.splits, omitted),
            sensors=list(sensors),
            tile=said.tile,
            resampling=said.resampling,
            classes=tuple(map(str, classes)),
            omitted=omitted,
            options=dataclasses.asdict(said),
        )

    def read(self, item: tiling.Tile) -> sources.Example:
        """Returns a tile with its scene's labels and its own map, see `Archive.read`."""
        text, *maps = item.scene.extra
        example = super().read(item)
        if labels := self._said.labels:
            where = f"{labels.file}: {item.scene.name}"
            present = archive.multi_hot(labels.parts(text), self.classes, where)
            if not labels.separator and present.sum() != 1:
                raise errors.Unreadable(f"{where}: has no class: exactly one is needed")
            example["labels"] = present if labels.separator else np.int64(present.argmax())
        if maps:
            example["map"] = self._map(item, maps[0])
        return example

    def _map(self, item: tiling.Tile, files: tuple[str, ...]) -> np.ndarray:
        """Returns uint8 or uint16 [H, W], the class of each pixel of a tile."""
        maps = self._said.maps
        assert maps
        try:
            grid, image = self.grid(item.scene), geotiff.inspect(files, _MAP)
            together = scenes.align((item.scene.name,), [*grid.images, image])
        except errors.UserError as error:
            raise errors.Unreadable(str(error)) from error
        if together.coarser[-1] != 1 or together.shape != grid.shape:
            raise errors.Unreadable(
                f"{files[0]}: {image.shape[0]}x{image.shape[1]} pixels, but the scene is "
                f"{grid.shape[0]}x{grid.shape[1]}: a map has the grid of the finest sensor"
            )
        size = (self.tile, self.tile) if self.tile else grid.shape
        corner, last = (item.row, item.column), len(grid.images)
        stored, valid = tiling.window(together, last, corner, size, _MAP, "nearest")
        wide = max(maps.ignore, len(maps.classes)) > 255
        result = np.full(size, maps.ignore, np.uint16 if wide else np.uint8)
        for index, number in enumerate(maps.classes):
            result[valid & (stored[..., 0] == number)] = index
        strange = valid & ~np.isin(stored[..., 0], list(maps.classes))
        if strange.any():
            number, known = stored[strange][0, 0], map(str, maps.classes)
            raise errors.Unreadable(f"{files[0]}: {errors.unknown('label', str(number), known)}")
        return result


def read_description(root: Path, name: str) -> description.Description:
    """Returns the description with `{key}` written as `*`, see `description.read`."""
    said = description.read(root, name)
    plain = {name: pattern.replace("{key}", "*") for name, pattern in said.sensors.items()}
    maps = said.maps and dataclasses.replace(said.maps, files=said.maps.files.replace("{key}", "*"))
    return dataclasses.replace(said, sensors=plain, maps=maps)


def _find(
    root: Path, patterns: Mapping[bands.Sensor, str], match: str, omitted: list[archive.Omission]
) -> dict[scenes.Key, list[tuple[str, ...]]]:
    """Returns the files of the scenes that have all images; tells what the others lack."""
    found = []
    for sensor, pattern in patterns.items():
        files, incomplete = scenes.gather(root, pattern, sensor)
        for key, lacking in incomplete.items():
            reason = f"{sensor.name} lacks the file of band {', '.join(lacking)}"
            omitted.append(archive.Omission(file="/".join(key), reason=reason))
        found.append(files)
    if not all(found):
        return {}
    joined, _ = scenes.match(found, match, root)
    used = {files for together in joined.values() for files in together}
    for sensor, files in zip(patterns, found, strict=True):
        for lone in files.values():
            if lone not in used:
                reason = f"only {sensor.name} has it: a scene needs all of its {len(found)} images"
                omitted.append(archive.Omission(file=lone[0], reason=reason))
    return joined


def _split(listed: list[tiling.Scene], splits, omitted: list[archive.Omission]):
    """Returns the scenes by split: those named, or below a folder named, the key's first text."""
    if not splits:
        return {"all": listed}
    homes, used = {}, set()
    for split, names in splits.items():
        for name in [names] if isinstance(names, str) else names:
            if homes.setdefault(str(name), split) != split:
                raise errors.UserError(f"splits: {name} is in {homes[str(name)]} and in {split}")
    chosen: dict[str, list[tiling.Scene]] = {str(split): [] for split in splits}
    for scene in listed:
        hits = [name for name in (scene.name, scene.name.split("/")[0]) if name in homes]
        used.update(hits)
        if hits:
            chosen[str(homes[hits[0]])].append(scene)
        else:
            omitted.append(archive.Omission(file=scene.name, reason="in no split"))
    for name in sorted(homes.keys() - used):
        omitted.append(archive.Omission(file=name, reason="listed in a split without an image"))
    return chosen
