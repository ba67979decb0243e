"""Mixing matrices: how the bands of a sensor are made of the learned ranges of a spectrum.

M [C, K], rows sum to one. A band that is one of the K ranges gets a one-hot row; any other is
interpolated:

  linear    between the neighbouring centres of its own domain, in wavelength; beyond the ends the
            outermost range
  log       the same in log wavelength
  released  as the public weights do: an aggregated range weighs its parts by |c - c_i|, so the
            FARTHER part weighs more, and neighbours are taken over the whole axis, radar included
"""

from typing import Literal

import numpy as np

from smarties.errors import UserError, unknown
from smarties.spectrum.bands import Band, Sensor, Spectrum

Rule = Literal["released", "linear", "log"]
RULES: tuple[Rule, ...] = ("released", "linear", "log")


def mixing(spectrum: Spectrum, sensor: Sensor, rule: Rule = "linear") -> np.ndarray:
    """Returns M [C, K] float32 for the bands of `sensor` in their order.

    Raises:
      UserError: the rule is unknown, or a band has no range in its domain to be made of.
    """
    if rule not in RULES:
        raise unknown("mixing rule", rule, RULES)
    return np.stack([_row(spectrum, sensor.name, band, rule) for band in sensor.bands])


def words(spectrum: Spectrum, row: np.ndarray) -> str:
    """Returns a row [K] of a mixing matrix in words, e.g. "0.21 aerosol + 0.79 blue_1"."""
    parts = [(w, r.name) for w, r in zip(row, spectrum.ranges, strict=True) if w > 0]
    if len(parts) == 1:
        return parts[0][1]
    exact = any(weight > 0.995 for weight, _ in parts)  # lest a share of almost all read as 1
    return " + ".join(f"{weight:.{5 if exact else 2}f} {name}" for weight, name in parts)


def _row(spectrum: Spectrum, sensor: str, band: Band, rule: Rule) -> np.ndarray:
    index = {r.name: i for i, r in enumerate(spectrum.ranges)}
    aggregates = {a.name: a for a in spectrum.aggregates}
    name = dict(band.range).get(spectrum.name)
    if name in index:
        return _one_hot(index[name], len(spectrum))
    if name is not None and name not in aggregates:
        raise unknown(f"range of {spectrum.name} for band {band.name} of {sensor}", name, index)
    aggregate = aggregates.get(name) if name else None
    if rule == "released":
        return _released(spectrum, sensor, band, aggregate)
    if band.domain == "microwave":
        return _radar(spectrum, sensor, band)
    parts = aggregate.parts if aggregate else tuple(index)
    return _interpolated(spectrum, sensor, band, parts, np.log if rule == "log" else np.asarray)


def _one_hot(i: int, k: int) -> np.ndarray:
    return np.eye(k, dtype=np.float32)[i]


def _missing(spectrum: Spectrum, sensor: str, band: Band) -> UserError:
    return UserError(
        f"band {band.name} of {sensor} is {band.domain} and {spectrum.name} has no such range to "
        "make it of: leave it out with bands=..., or choose rule 'released'"
    )


def _interpolated(spectrum: Spectrum, sensor: str, band: Band, parts, scale) -> np.ndarray:
    ranges = enumerate(spectrum.ranges)
    at = [i for i, r in ranges if r.name in parts and r.domain == band.domain]
    if not at:
        raise _missing(spectrum, sensor, band)
    at.sort(key=lambda i: spectrum.ranges[i].center)
    centers = scale(np.array([spectrum.ranges[i].center for i in at]))
    weights = [np.interp(scale(np.float64(band.center)), centers, unit) for unit in np.eye(len(at))]
    row = np.zeros(len(spectrum), np.float32)
    row[at] = weights
    return row


def _radar(spectrum: Spectrum, sensor: str, band: Band) -> np.ndarray:
    """Returns the range of the band's polarisation, or of its kind (co- or cross-polarised)."""
    at = [i for i, r in enumerate(spectrum.ranges) if r.domain == "microwave"]
    same = [i for i in at if spectrum.ranges[i].polarization == band.polarization]
    kind = [
        i for i in at if _is_cross(spectrum.ranges[i].polarization) == _is_cross(band.polarization)
    ]
    if not (same or kind):
        raise _missing(spectrum, sensor, band)
    return _one_hot((same or kind)[0], len(spectrum))


def _is_cross(polarization: str | None) -> bool:
    return polarization in ("VH", "HV")


def _released(spectrum: Spectrum, sensor: str, band: Band, aggregate) -> np.ndarray:
    """Returns w_i = |c - c_i| / sum_j |c - c_j|, as the release's SpectrumRangeProjectionAvg."""
    if aggregate is None and band.domain == "microwave":
        return _radar(spectrum, sensor, band)
    index = {r.name: i for i, r in enumerate(spectrum.ranges)}
    center = aggregate.center if aggregate else band.center
    parts = [index[p] for p in aggregate.parts] if aggregate else _neighbours(spectrum, center)
    distance = np.abs(center - np.array([spectrum.ranges[i].center for i in parts]))
    row = np.zeros(len(spectrum), np.float32)
    row[parts] = distance / distance.sum() if len(parts) > 1 else 1.0
    return row


def _neighbours(spectrum: Spectrum, center) -> list[int]:
    order = sorted(range(len(spectrum)), key=lambda i: spectrum.ranges[i].center)
    below = [i for i in order if spectrum.ranges[i].center <= center]
    above = [i for i in order if spectrum.ranges[i].center >= center]
    return sorted({*below[-1:], *above[:1]})
