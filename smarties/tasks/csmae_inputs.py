"""Bands and statistics of CSMAE's sensors: as registered, or as of its release."""

import dataclasses
from typing import Literal

from smarties.data.archives import bigearthnet_statistics
from smarties.errors import unknown
from smarties.spectrum.bands import Band, Sensor

Inputs = Literal["registered", "bigearthnet-v1"]
INPUTS: tuple[Inputs, ...] = ("registered", "bigearthnet-v1")

# Of the release: bands in the order of its embeddings, and stored numbers beyond all that occur.
BANDS = {
    "sentinel1-grd": ("VH", "VV"),
    "sentinel2-l2a": ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B11", "B12", "B8A"),
}
_LIMITS = {"sentinel1-grd": (-100.0, 100.0), "sentinel2-l2a": (0.0, 65535.0)}


def sensor(inputs: Inputs, registered: Sensor) -> Sensor:
    """Returns a sensor with the bands that are looked at selected, and their statistics.

    "bigearthnet-v1": the published mean and standard deviation of BigEarthNet, nothing clipped.
    [CSMAE release]

    Raises:
      UserError: the release has no such sensor.
    """
    if inputs == "registered":
        return registered
    if registered.name not in BANDS:
        raise unknown(f"sensor of task.inputs {inputs}", registered.name, BANDS)
    chosen, limits = BANDS[registered.name], _LIMITS[registered.name]
    known = bigearthnet_statistics.STATISTICS[inputs]
    bands = tuple(_standardised(b, known, limits, b.name in chosen) for b in registered.bands)
    return dataclasses.replace(registered, bands=bands)


def order(inputs: Inputs, chosen: Sensor) -> tuple[str, ...]:
    """Returns the bands of a sensor in the order of their embedding."""
    return chosen.select().names if inputs == "registered" else BANDS[chosen.name]


def _standardised(
    band: Band,
    known: bigearthnet_statistics.Statistics,
    limits: tuple[float, float],
    selected: bool,
) -> Band:
    (mean, std), (low, high) = known.bands[band.name], limits
    return dataclasses.replace(
        band, clip=limits, mean=(mean - low) / (high - low), std=std / (high - low),
        statistics=f"{known.source}; not clipped", selected=selected,
    )  # fmt: skip
