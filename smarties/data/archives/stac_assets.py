"""What a STAC item says of its assets: bands, files, grid and offset, in STAC 1.0 and 1.1."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smarties import errors
from smarties.data import geotiff
from smarties.data.archives import archive, baseline
from smarties.spectrum import bands

# An asset gives these for all its bands (STAC 1.1, and raster of 1.0 for assets of one band).
_SHARED = re.compile(r"eo:(?!bands)|raster:(?!bands)|data_type$|nodata$|unit$|gsd$")
_NO_DATA = {"thumbnail", "overview", "visual", "metadata"}


@dataclasses.dataclass(frozen=True)
class Asset:
    """One file of an item.

    Attributes:
      key: of the asset.
      bands: each with the fields of STAC 1.1, those of the asset included.
      href: as written.
      crs: authority code; "" where not told.
      shape: (rows, columns), or None.
      transform: the six affine coefficients a..f, or None.
    """

    key: str
    bands: tuple[Mapping[str, Any], ...]
    href: str
    crs: str
    shape: tuple[int, int] | None
    transform: tuple[float, ...] | None


def assets(item: Mapping[str, Any], keys: Sequence[str] | None, where: str) -> list[Asset]:
    """Returns the assets of the keys, or for None all that hold described bands.

    Raises:
      Unreadable: an unknown key, or an asset without an href or of another form.
    """
    known, properties = item.get("assets") or {}, item.get("properties") or {}
    for key in keys or ():
        if key not in known:
            raise errors.Unreadable(f"{where}: {errors.unknown('asset', key, known)}")
    found = []
    for key in keys or known:
        try:
            if keys is None and set(known[key].get("roles") or ()) & _NO_DATA:
                continue
            asset = _asset(key, known[key], properties)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise errors.Unreadable(f"{where}: asset {key} is malformed ({error!r})") from error
        if keys or asset.bands:
            found.append(asset)
    return found


def _asset(key: str, asset: Mapping[str, Any], properties: Mapping[str, Any]) -> Asset:
    place = {**properties, **asset}
    epsg, shape, transform = (place.get(f"proj:{k}") for k in ("epsg", "shape", "transform"))
    return Asset(
        key=key,
        bands=tuple(_bands(key, asset, properties)),
        href=str(asset["href"]),
        crs=str(place.get("proj:code") or (f"EPSG:{epsg}" if epsg else "")),
        shape=(int(shape[0]), int(shape[1])) if shape else None,
        transform=tuple(map(float, transform[:6])) if transform else None,
    )


def _bands(key: str, asset: Mapping[str, Any], properties: Mapping) -> list[dict[str, Any]]:
    shared = {name: asset[name] for name in asset if _SHARED.match(name)}
    raster = asset.get("raster:bands") or []
    if asset.get("bands"):
        listed = [dict(band) for band in asset["bands"]]
    elif asset.get("eo:bands"):
        eo = asset["eo:bands"]
        listed = [{**r, **e} for r, e in zip(raster or [{}] * len(eo), eo, strict=True)]
    elif raster:
        listed = [{"name": key, **band} for band in raster]
    else:
        listed = [{"name": key}] if asset.get("sar:polarizations") else []
    told = {**properties, **asset}
    own = asset.get("sar:polarizations") or ()
    for i, band in enumerate(listed):
        listed[i] = band = {**shared, "name": key, **band}
        if "gsd" not in band and "gsd" in told:
            band["gsd"] = told["gsd"]
        names = {key.upper(), str(band["name"]).upper()}
        radar = [p for p in told.get("sar:polarizations") or () if p in names]
        if len(own) == len(listed):
            radar = [own[i]]
        if radar and not {"center_wavelength", "eo:center_wavelength"} & band.keys():
            band.setdefault("sar:polarizations", radar)
            band.setdefault("sar:center_frequency", told.get("sar:center_frequency"))
    return listed


def pick(
    found: Sequence[Asset], sensor: bands.Sensor, where: str, *, chosen: bool = False
) -> list[Asset]:
    """Returns the asset of each band of a sensor, or the one asset with all of them in order.

    A band is known by its name, or by the asset's key, or else by its common name. Assets that the
    user has chosen, as many as bands, are taken in their order.

    Raises:
      Unreadable: a band without an asset or with several, or chosen in another order.
    """
    wanted = [geotiff.plain(name) for name in sensor.names]
    if chosen and len(found) == len(wanted):
        for asset, name in zip(found, wanted, strict=True):
            if (other := _names(asset) & {*wanted}) - {name}:
                raise errors.Unreadable(
                    f"{where}: asset {asset.key} is band {min(other)}, not {name} of {sensor.name}"
                )
        return list(found)
    for asset in found:
        named = [geotiff.plain(str(band["name"])) for band in asset.bands]
        if len(wanted) > 1 and named == wanted:
            return [asset]
    single = [asset for asset in found if len(asset.bands) <= 1]
    picked = []
    for band, name in zip(sensor.bands, wanted, strict=True):
        for known in (_names, _common):
            hits = [
                a for a in single if (name if known is _names else band.common_name) in known(a)
            ]
            if hits:
                break
        if len(hits) != 1:
            among = f"several assets ({', '.join(a.key for a in hits)})" if hits else "no asset"
            raise errors.Unreadable(
                f"{where}: band {band.name} of {sensor.name} has {among}: name those of all bands "
                "in assets=..."
            )
        picked += hits
    return picked


def _names(asset: Asset) -> set[str]:
    return {geotiff.plain(asset.key), *(geotiff.plain(str(b["name"])) for b in asset.bands)}


def _common(asset: Asset) -> set[str]:
    keys = ("common_name", "eo:common_name")
    return {str(b[key]) for b in asset.bands for key in keys if b.get(key)}


def local(root: Path, item: Path, href: str) -> str:
    """Returns the path of an asset's file.

    Raises:
      UserError: it is on the net, or leaves the root.
    """
    if re.match(r"\w+:", href):
        raise errors.UserError(f"{item}: {href} is not on this disk: download it beside the item")
    return str(archive.inside(root, item.resolve().parent / href))


def numbers(band: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Returns (scale, offset) of a band of STAC 1.0 or 1.1; None where not told."""
    scale = band.get("raster:scale", band.get("scale"))
    offset = band.get("raster:offset", band.get("offset"))
    return scale, offset


def added(
    properties: Mapping[str, Any], found: Sequence[Asset], otherwise: float | None, where: str
) -> int:
    """Returns what the files of a Sentinel-2 item have added to reflectance * 10000: 0 or 1000.

    Told by raster:offset, by s2:processing_baseline, and by earthsearch:boa_offset_applied where
    whoever made the files has taken it off; all of them must agree.

    Args:
      properties: of the item.
      found: its assets.
      otherwise: the baseline of items that do not tell, or contradict themselves.
      where: names the item.

    Raises:
      Unreadable: not told, or told differently.
    """
    told: set[int] = set()
    for scale, offset in (numbers(band) for asset in found for band in asset.bands):
        if scale and offset is not None:
            told.add(round(-offset / scale))
    if properties.get("earthsearch:boa_offset_applied"):
        told.add(0)
    elif version := properties.get("s2:processing_baseline"):
        known = baseline.baseline_of(f"_N{version}")
        if known is not None:
            told.add(baseline.OFFSET if known >= baseline.SINCE else 0)
    if otherwise is not None and len(told) != 1:
        told = {baseline.OFFSET if otherwise >= baseline.SINCE else 0}
    if len(told) != 1 or not told <= {0, baseline.OFFSET}:
        said = f"contradicts itself: added {sorted(told)}" if told else "does not tell"
        raise errors.Unreadable(
            f"{where}: {said} (raster:offset, s2:processing_baseline): give baseline=..."
        )
    return told.pop()
