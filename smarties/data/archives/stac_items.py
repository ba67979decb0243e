"""STAC items on disk: their bands, of a known sensor or of a new one, cut into tiles."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smarties import errors
from smarties.data import geotiff, sources, times
from smarties.data.archives import archive, baseline, stac_assets, tiling
from smarties.spectrum import bands, registry, stac

_SENTINEL2 = ("sentinel2-l1c", "sentinel2-l2a")


@dataclasses.dataclass(frozen=True)
class _Told:
    """What an item says beyond its files: a grid by file, the box, and the offset of Sentinel-2."""

    assets: tuple[stac_assets.Asset, ...]
    bbox: tuple[float, ...]
    added: int


class StacItems(tiling.Tiled):
    """Items of one sensor; assets must lie on disk, for nothing is read over the network."""

    CARD = archive.Card(
        title="STAC items",
        task="none",
        units="of the sensor named, or as the items' raster fields say; of Sentinel-2 what "
        "baselines from 04.00 on add, 1000, is taken off",
        citation="STAC specification 1.0 and 1.1, extensions eo, raster, sar and proj",
        licence="see the items",
        size="any",
        url="https://stacspec.org",
        layout="""any/depth/item.json, items or collections of items, with assets whose
  href is a path relative to the item""",
        tested="items written for real files",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        items: str | Sequence[str] = "**/*.json",
        sensor: str | bands.Sensor | None = None,
        assets: Sequence[str] | None = None,
        statistics: str | None = None,
        tile: int | None = None,
        baseline: float | None = None,
        linear: bool = False,
        resampling: str = "nearest",
    ):
        """Reads the items.

        Args:
          root: a folder.
          items: pattern of their files below it, or a list of paths.
          sensor: a registered one or a YAML file, or None for the one that the first item tells.
          assets: keys, in the order of a new sensor's bands; None for all that describe bands.
          statistics: registered sensor to take a new one's clip, mean and std from.
          tile: side in pixels of the finest band; None for whole items.
          baseline: of Sentinel-2 items that do not tell theirs, or contradict themselves.
          linear: radar is stored as linear power, and turned into the dB of the sensor.
          resampling: of coarser bands, one of `geotiff.RESAMPLING`.

        Raises:
          UserError: no item, paths that leave the root, or an item that describes no sensor.
        """
        folder, omitted = Path(root), []
        listed = list(_items(folder, items, omitted))
        known = None if sensor is None else registry.sensor(sensor)
        if known is None and listed:
            known = new_sensor(*listed[0], assets, statistics)
        scenes = []
        for file, item in listed:
            try:
                found = stac_assets.assets(item, assets, str(file))
                if sensor is None:
                    _same(known, new_sensor(file, item, assets, statistics), str(file))
                chosen = assets is not None
                scenes.append(
                    _scene(folder, file, item, found, known, sensor is None, chosen, baseline)
                )
            except errors.UserError as error:
                omitted.append(archive.Omission(file=str(file), reason=str(error)))
        self._linear = linear
        super().__init__(
            root,
            {"all": scenes},
            sensors=[known] if known else [],
            tile=tile,
            resampling=resampling,
            omitted=omitted,
            options={
                "sensor": registry.sensor_to_dict(known) if known else None,
                "assets": list(assets) if assets else None,
                "tile": tile, "baseline": baseline, "linear": linear, "resampling": resampling,
            },
        )  # fmt: skip

    def image(self, scene: tiling.Scene, i: int) -> geotiff.Image:
        """Returns the image on the grid of its files, or else of its item, which must agree."""
        image = super().image(scene, i)
        for file, shape, asset in zip(image.files, image.shapes, scene.extra.assets, strict=True):
            if asset.shape and asset.shape != shape:
                raise errors.UserError(f"{file}: {shape} pixels, but the item says {asset.shape}")
            if not asset.crs:
                continue
            said = geotiff.crs(asset.crs, f"the item of {file}")
            if image.crs and image.crs != said:
                raise errors.UserError(f"{file}: {image.crs}, but the item says {said}")
            if not image.crs and asset.transform and shape == image.shape:
                return dataclasses.replace(image, crs=said, transform=asset.transform, bare=True)
        return image

    def sensor(self, scene: tiling.Scene, i: int) -> bands.Sensor:
        """Returns the sensor with the item's nodata values where it tells them."""
        sensor = super().sensor(scene, i)
        told = [b.get("nodata") for asset in scene.extra.assets for b in asset.bands]
        if len(told) != len(sensor.bands):  # files that the item leaves without bands
            return sensor
        own = (
            band if value is None else dataclasses.replace(band, nodata=float(value))
            for band, value in zip(sensor.bands, told, strict=True)
        )
        return dataclasses.replace(sensor, bands=tuple(own))

    def read(self, item: tiling.Tile) -> sources.Example:
        """Returns a tile of an item, see `Archive.read`."""
        example, told = super().read(item), item.scene.extra
        (sensor,) = self.sensors
        pixels, valid = example["images"][sensor], example["valid"][sensor]
        if told.added:
            pixels = baseline.harmonise(pixels, valid, baseline.SINCE)
        if self._linear:
            valid &= (pixels > 0).all(axis=-1)
            decibels = 10 * np.log10(np.where(valid[..., None], pixels, 1))
            pixels = decibels.astype(np.result_type(pixels.dtype, np.float32))
        example["images"][sensor] = pixels
        if not example["crs"] and self.tile is None and len(told.bbox) in (4, 6):
            half = len(told.bbox) // 2
            west, south, east, north = (told.bbox[k] for k in (0, 1, half, half + 1))
            example["location"] = np.array([(west + east) / 2, (south + north) / 2], np.float32)
        return example


def new_sensor(
    file: Path,
    item: Mapping[str, Any],
    assets: Sequence[str] | None = None,
    statistics: str | None = None,
) -> bands.Sensor:
    """Returns the sensor that an item describes, named after its collection or else the item.

    Args:
      file: of the item.
      item: parsed.
      assets, statistics: see `StacItems`.

    Raises:
      UserError: no bands, twice one band, or a band without dtype, unit or scale, or statistics.
    """
    name = str(item.get("collection") or item["id"])
    found = stac_assets.assets(item, assets, str(file))
    listed = [band for asset in found for band in asset.bands]
    for band in listed:
        where = f"{file}: band {band['name']}"
        unit = band.get("unit")
        if not unit and ("sar:polarizations" in band or not stac_assets.numbers(band)[0]):
            raise errors.UserError(f"{where}: neither unit nor scale is told: name its sensor")
        if not band.get("data_type"):
            raise errors.UserError(f"{where}: data_type is not told: name its sensor")
    return stac.read({"bands": listed}, name, statistics)


def _items(
    root: Path, wanted: str | Sequence[str], omitted: list[archive.Omission]
) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    if isinstance(wanted, str):
        archive.inside(root, wanted)
        files = sorted(root.glob(wanted))
    else:
        files = [archive.inside(root, name) for name in wanted]
    for file in files:
        try:
            entry = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            reason = f"missing, truncated or no JSON ({str(error).splitlines()[0]})"
            omitted.append(archive.Omission(file=str(file), reason=reason))
            continue
        entries = entry.get("features", [entry]) if isinstance(entry, dict) else []
        for item in entries:
            if isinstance(item, dict) and item.get("type") == "Feature" and item.get("id"):
                yield file, item


def _scene(
    root: Path,
    file: Path,
    item: Mapping[str, Any],
    found: list[stac_assets.Asset],
    sensor: bands.Sensor | None,
    new: bool,
    chosen: bool,
    otherwise: float | None,
) -> tiling.Scene:
    """Returns where an item's files lie, and what it says of them."""
    assert sensor
    properties = item.get("properties") or {}
    used = found if new else stac_assets.pick(found, sensor, str(file), chosen=chosen)
    sentinel2, added = sensor.name in _SENTINEL2, 0
    if not new:
        _same_numbers(used, sensor, ("scale",) if sentinel2 else ("scale", "offset"), str(file))
    if sentinel2 or "s2:processing_baseline" in properties:
        added = stac_assets.added(properties, used, otherwise, str(file))
        own = 0 if sentinel2 else round(-sensor.bands[0].offset / sensor.bands[0].scale)
        if not sentinel2 and own != added:
            raise errors.Unreadable(
                f"{file}: its files have {added} added, but {sensor.name} takes {own} off: read "
                f"them as {' or '.join(_SENTINEL2)}"
            )
    paths = tuple(stac_assets.local(root, file, asset.href) for asset in used)
    moment = properties.get("datetime") or properties.get("start_datetime")
    told = _Told(tuple(used), tuple(item.get("bbox") or ()), added if sentinel2 else 0)
    return tiling.Scene(str(item["id"]), (paths,), times.seconds(moment, str(file)), told)


def _same_numbers(
    used: list[stac_assets.Asset], sensor: bands.Sensor, keys: Sequence[str], where: str
) -> None:
    described = [band for asset in used for band in asset.bands]
    for band, own in zip(described, sensor.bands, strict=False):
        for key, told in zip(keys, stac_assets.numbers(band), strict=False):
            if told is not None and not np.isclose(told, getattr(own, key), rtol=1e-6, atol=1e-12):
                raise errors.Unreadable(
                    f"{where}: band {own.name} has {key} {told:g}, but {getattr(own, key):g} in "
                    f"{sensor.name}: use a sensor file of this {key}, or the item's own sensor"
                )


def _same(known: bands.Sensor | None, other: bands.Sensor, where: str) -> None:
    assert known
    if known.bands != other.bands:
        names = [b.name for b, o in zip(known.bands, other.bands, strict=False) if b != o]
        raise errors.Unreadable(
            f"{where}: describes other bands than the first item ({', '.join(names[:3])})"
        )
