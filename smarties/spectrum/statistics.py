"""Statistics for a sensor nobody has measured: those of another, moved to its bands and numbers."""

from typing import Any

import numpy as np

from smarties.errors import UserError
from smarties.spectrum.bands import Band, Sensor


def borrowed(band: Band, reference: Sensor, where: str) -> dict[str, Any]:
    """Returns clip, mean, std and statistics (their provenance) of `band`, taken from `reference`.

    Clip limits are turned into physical values, interpolated over wavelength, and turned into the
    stored numbers of `band`; mean and std are free of units and interpolated as they are. Beyond
    the outermost reference band its values hold. A radar band takes those of its polarisation.

    Raises:
      UserError: the reference has no band of the same unit and domain (or polarisation).
    """
    alike = [
        b
        for b in reference.bands
        if (b.domain, b.unit, b.polarization) == (band.domain, band.unit, band.polarization)
    ]
    if not alike:
        kind = band.polarization or band.domain
        raise UserError(
            f"{where}: {reference.name} has no {kind} band in {band.unit} to take statistics from: "
            "name another sensor, or give clip, mean and std"
        )
    alike.sort(key=lambda b: b.center or 0)
    columns = zip(*map(_physical, alike), strict=True)
    low, high, mean, std = (_at(band, alike, values) for values in columns)
    clip = sorted((value - band.offset) / band.scale for value in (low, high))
    return {
        "clip": tuple(clip),
        "mean": mean,
        "std": std,
        "statistics": f"{_how(band, alike)} {reference.name}",
    }


def _physical(band: Band) -> tuple[float, float, float, float]:
    low, high = (x * band.scale + band.offset for x in band.clip)
    return low, high, band.mean, band.std


def _at(band: Band, alike: list[Band], values: tuple[float, ...]) -> float:
    if band.center is None:
        return values[0]
    return float(np.interp(band.center, [b.center or 0 for b in alike], values))


def _how(band: Band, alike: list[Band]) -> str:
    if band.center is None or len(alike) == 1:
        return f"those of {alike[0].name} of"
    first, last = alike[0], alike[-1]
    outermost = first if band.center < (first.center or 0) else last
    inside = (first.center or 0) <= band.center <= (last.center or 0)
    return "interpolated over wavelength from" if inside else f"those of {outermost.name} of"
