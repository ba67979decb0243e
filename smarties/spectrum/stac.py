"""Sensors to and from STAC: `bands` of STAC 1.1, `eo:bands` with `raster:bands` of STAC 1.0.

STAC counts wavelengths in micrometres, and knows no statistics of clipped values: those travel
under the prefix `smarties:`. Sources: STAC 1.1 common metadata; extensions eo, raster and sar.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from smarties.errors import UserError, unknown
from smarties.spectrum import registry
from smarties.spectrum.bands import Band, Sensor

Version = Literal["1.0", "1.1"]
UNITS = {
    "reflectance": "1",
    "dB": "dB",
    "K": "K",
    "radiance": "W.m-2.sr-1.um-1",
    "digital number": "{DN}",
}
_OWN = ("clip", "mean", "std", "statistics", "range", "selected")


def write(sensor: Sensor, version: Version = "1.1") -> dict[str, Any]:
    """Returns the STAC fields that describe the bands of `sensor`, to merge into an asset or item.

    Raises:
      UserError: the version is unknown.
    """
    if version == "1.1":
        bands = [{**_eo(b, "eo:"), **_raster(b, "raster:"), **_sar([b])} for b in sensor.bands]
        return {"bands": [_present(b) for b in bands]}
    if version != "1.0":
        raise unknown("STAC version", version, ("1.0", "1.1"))
    radar = [b for b in sensor.bands if b.domain == "microwave"]
    return {
        "eo:bands": [_present(_eo(b, "")) for b in sensor.bands],
        "raster:bands": [_present(_raster(b, "")) for b in sensor.bands],
        **_present(_sar(radar)),
    }


def read(entry: Mapping[str, Any], name: str, statistics: str | None = None) -> Sensor:
    """Returns the sensor described by a STAC asset, item or collection of either version.

    Args:
      entry: the parsed JSON; bands are looked for in it, its `properties` and its `summaries`.
      name: of the sensor, also used in errors.
      statistics: a registered sensor to take clip, mean and std from where the bands have none.

    Raises:
      UserError: there are no bands, a field is missing, or a band is impossible.
    """
    for place in (entry, entry.get("properties") or {}, entry.get("summaries") or {}):
        if place.get("bands"):
            bands = [_from_1_1(b) for b in place["bands"]]
            break
        if place.get("eo:bands"):
            bands = _from_1_0(place, name)
            break
    else:
        raise UserError(f"the STAC entry of {name} has no bands: it needs bands, or eo:bands")
    for band in bands:
        if statistics and "clip" not in band:
            band["statistics"] = {"from": statistics}
    return registry.sensor_from_dict({"name": name, "bands": bands}, where=name)


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, "")}


def _micrometres(nanometres: float | None) -> float | None:
    return None if nanometres is None else round(nanometres / 1000, 9)


def _nanometres(micrometres: float | None) -> float | None:
    return None if micrometres is None else round(micrometres * 1000, 6)


def _eo(band: Band, prefix: str) -> dict[str, Any]:
    own = {f"smarties:{key}": getattr(band, key) for key in _OWN}
    return {
        "name": band.name,
        f"{prefix}common_name": band.common_name,
        f"{prefix}center_wavelength": _micrometres(band.center),
        f"{prefix}full_width_half_max": _micrometres(band.fwhm),
        **own,
        "smarties:clip": list(band.clip),
        "smarties:range": dict(band.range) or None,
    }


def _raster(band: Band, prefix: str) -> dict[str, Any]:
    is_nan = band.nodata is not None and math.isnan(band.nodata)
    return {
        "data_type": band.dtype,
        "nodata": "nan" if is_nan else band.nodata,
        "unit": UNITS[band.unit],
        f"{prefix}scale": band.scale,
        f"{prefix}offset": band.offset,
        f"{prefix}spatial_resolution": band.gsd,
    }


def _sar(bands: Sequence[Band]) -> dict[str, Any]:
    """Returns the radar fields of `bands`: of one in STAC 1.1, of them all in STAC 1.0."""
    polarizations = [b.polarization for b in bands if b.polarization]
    if not polarizations:
        return {}
    return {"sar:center_frequency": bands[0].frequency, "sar:polarizations": polarizations}


def _from_1_1(fields: Mapping[str, Any]) -> dict[str, Any]:
    polarizations = fields.get("sar:polarizations") or [None]
    plain = {key.removeprefix("eo:").removeprefix("raster:"): v for key, v in fields.items()}
    return _band(plain, fields.get("sar:center_frequency"), polarizations[0])


def _from_1_0(place: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    eo = place["eo:bands"]
    raster = place.get("raster:bands") or [{}] * len(eo)
    if len(raster) != len(eo):
        raise UserError(
            f"the STAC entry of {name} has {len(eo)} eo:bands and {len(raster)} raster:bands: "
            "one of each is needed per band"
        )
    polarizations = iter(place.get("sar:polarizations") or ())
    bands = []
    for fields in ({**r, **e} for r, e in zip(raster, eo, strict=True)):
        radar = next(polarizations, None) if "center_wavelength" not in fields else None
        bands.append(_band(fields, place.get("sar:center_frequency") if radar else None, radar))
    return bands


def _band(fields: Mapping[str, Any], frequency, polarization) -> dict[str, Any]:
    units = {stac: unit for unit, stac in UNITS.items()}
    unit = fields.get("unit") or ""
    center = fields.get("center_wavelength")
    if center is not None and center > 100:
        raise UserError(
            f"band {fields.get('name')}: center_wavelength {center:g} is too long, "
            "STAC counts in micrometres"
        )
    nodata = fields.get("nodata")
    return _present(
        {
            "name": fields.get("name"),
            "common_name": fields.get("common_name"),
            "center": _nanometres(fields.get("center_wavelength")),
            "fwhm": _nanometres(fields.get("full_width_half_max")),
            "frequency": frequency,
            "polarization": polarization,
            "gsd": fields.get("spatial_resolution", fields.get("gsd")),
            "dtype": fields.get("data_type"),
            "unit": units.get(unit, unit),
            "scale": fields.get("scale"),
            "offset": fields.get("offset"),
            "nodata": float("nan") if nodata == "nan" else nodata,
            **{key: fields.get(f"smarties:{key}") for key in _OWN},
        }
    )
