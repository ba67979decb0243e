"""Published mean and standard deviation of BigEarthNet's bands, in the numbers that are stored.

They are for comparing, e.g. with what one computes of one's own part of the archive. A registered
sensor's statistics are of clipped and rescaled values, and no clip belongs to these, so they are
not put in its place.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from smarties import errors
from smarties.spectrum import bands


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of one version.

    Attributes:
      source: where they are published, and of which images and resampling they are.
      bands: (mean, standard deviation) by band; digital numbers for Sentinel-2, dB for Sentinel-1.
    """

    source: str
    bands: Mapping[str, tuple[float, float]]


STATISTICS = {
    "bigearthnet-v1": Statistics(
        source="bigearthnet_common, constants, commit 2010779",
        bands={
            "B01": (340.77, 554.81),
            "B02": (429.94, 572.42),
            "B03": (614.22, 582.88),
            "B04": (590.24, 675.89),
            "B05": (950.68, 729.90),
            "B06": (1792.46, 1096.01),
            "B07": (2075.47, 1273.45),
            "B08": (2218.95, 1365.46),
            "B8A": (2266.46, 1356.14),
            "B09": (2246.06, 1302.33),
            "B11": (1594.43, 1079.19),
            "B12": (1009.33, 818.87),
            "VV": (-12.620, 5.116),
            "VH": (-19.290, 5.464),
        },
    ),
    "bigearthnet-v2": Statistics(
        source="ConfigILM, commit 0504b0d: training split, bands not interpolated",
        bands={
            "B01": (361.08, 575.07),
            "B02": (438.37, 607.03),
            "B03": (614.06, 603.30),
            "B04": (588.41, 684.57),
            "B05": (942.84, 738.43),
            "B06": (1769.93, 1100.46),
            "B07": (2049.55, 1275.81),
            "B08": (2193.29, 1369.37),
            "B8A": (2235.56, 1356.54),
            "B09": (2241.46, 1316.39),
            "B11": (1568.23, 1070.16),
            "B12": (997.73, 813.53),
            "VV": (-12.644, 5.133),
            "VH": (-19.353, 5.591),
        },
    ),
}


def of(version: str, sensor: bands.Sensor) -> tuple[np.ndarray, np.ndarray]:
    """Returns (mean [C], standard deviation [C]) of a sensor's bands, in its order.

    Args:
      version: "bigearthnet-v1" or "bigearthnet-v2".
      sensor: with bands of BigEarthNet.

    Raises:
      UserError: an unknown version, or a band that BigEarthNet does not have.
    """
    if version not in STATISTICS:
        raise errors.unknown("version", version, STATISTICS)
    known = STATISTICS[version].bands
    for name in sensor.names:
        if name not in known:
            raise errors.unknown(f"band of {version}", name, known)
    mean, std = np.array([known[name] for name in sensor.names]).T
    return mean, std
