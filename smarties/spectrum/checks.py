"""Whether a described band can exist; every error names the file, the band and what is right."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from smarties.errors import UserError, unknown

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64")
UNITS = ("reflectance", "dB", "K", "radiance", "digital number")
POLARIZATIONS = ("VV", "VH", "HH", "HV")
WAVELENGTH_NM = (100.0, 1e6)  # ultraviolet to the far end of the thermal infrared
FREQUENCY_GHZ = (0.1, 100.0)  # radar, P to W band
STATISTICS = ("clip", "mean", "std")
_NUMBERS = ("center", "fwhm", "frequency", "gsd", "scale", "offset", "nodata", "mean", "std")


def band(entry: Mapping[str, Any], where: str) -> None:
    """Returns nothing if the band of `entry`, named `where` in errors, is possible.

    Raises:
      UserError: no number where one is due, impossible wavelength or frequency, statistics that
        cannot be, or an unknown dtype, unit or polarisation.
    """
    _numbers(entry, where)
    if entry.get("frequency") is not None or entry.get("polarization") is not None:
        _radar(entry, where)
    else:
        _optical(entry, where)
    for key, known in (("dtype", DTYPES), ("unit", UNITS)):
        if key in entry and entry[key] not in known:
            raise unknown(f"{key} of {where}", entry[key], known)
    if entry.get("scale", 1) == 0 or entry.get("gsd", 1) <= 0:
        raise UserError(f"{where}: scale must not be 0 and gsd must be above 0 m")
    _statistics(entry, where)


def distinct(names: Sequence[str], where: str) -> None:
    """Returns nothing if the band names differ.

    Raises:
      UserError: a name appears twice.
    """
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"band {name} in {where} appears {names.count(name)} times: names must differ"
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(entry: Mapping[str, Any], where: str) -> None:
    for key in _NUMBERS:
        value = entry.get(key)
        if value is None:
            continue
        if not _is_number(value):
            raise UserError(
                f"{where}: {key} is {value!r}, not a number (YAML reads 1.0e-4, not 1e-4)"
            )
        if not math.isfinite(value) and key != "nodata":
            raise UserError(f"{where}: {key} is {value}, not a finite number")
    clip = entry.get("clip", (0, 1))
    if not (isinstance(clip, list | tuple) and len(clip) == 2 and all(map(_is_number, clip))):
        raise UserError(f"{where}: clip is {clip!r}, must be two numbers [low, high]")


def _optical(entry: Mapping[str, Any], where: str) -> None:
    center, fwhm = entry.get("center"), entry.get("fwhm")
    if center is None or fwhm is None:
        raise UserError(
            f"{where} needs center and fwhm (nm), or frequency (GHz) and polarization for radar"
        )
    low, high = WAVELENGTH_NM
    if not low <= center <= high:
        raise UserError(
            f"{where}: center {center:g} nm is impossible, must be {low:g} to {high:g} nm"
        )
    if not 0 < fwhm <= center:
        raise UserError(
            f"{where}: fwhm {fwhm:g} nm is impossible, "
            f"must be above 0 and at most the center, {center:g} nm"
        )


def _radar(entry: Mapping[str, Any], where: str) -> None:
    if entry.get("center") is not None or entry.get("fwhm") is not None:
        raise UserError(
            f"{where} has both a wavelength and a frequency: "
            "radar bands carry frequency and polarization only"
        )
    frequency, (low, high) = entry.get("frequency"), FREQUENCY_GHZ
    if frequency is None or not low <= frequency <= high:
        given = "missing" if frequency is None else f"{frequency:g} GHz"
        raise UserError(f"{where}: frequency is {given}, must be {low:g} to {high:g} GHz")
    if entry.get("polarization") not in POLARIZATIONS:
        raise unknown(f"polarization of {where}", entry.get("polarization"), POLARIZATIONS)


def _statistics(entry: Mapping[str, Any], where: str) -> None:
    missing = [key for key in STATISTICS if entry.get(key) is None]
    if missing:
        raise UserError(
            f"{where} has no {', '.join(missing)}: give clip, mean and std, "
            "or take them over with statistics: {from: sentinel2-l2a}"
        )
    low, high = entry["clip"]
    if not low < high:
        raise UserError(f"{where}: clip [{low:g}, {high:g}] must run from low to high")
    if entry["std"] <= 0:
        raise UserError(f"{where}: std {entry['std']:g} must be above 0")
