"""What a band, a sensor and a spectrum are: frozen, hashable values without arrays.

Optical and thermal bands are placed by wavelength (nm), radar bands by frequency (GHz) and
polarisation. A radar band never carries a wavelength.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from smarties.errors import UserError, unknown

Domain = Literal["optical", "thermal", "microwave"]
THERMAL_FROM_NM = 3_000.0  # below: reflected sunlight; above: emitted heat


@dataclasses.dataclass(frozen=True, kw_only=True)
class Band:
    """One channel of a sensor.

    Attributes:
      name: as in the sensor's own files, e.g. "B8A".
      common_name: STAC common name, e.g. "nir08"; "" where there is none.
      center: centre wavelength, nm; None for radar.
      fwhm: full width at half maximum, nm; None for radar.
      frequency: GHz; None for optical and thermal bands.
      polarization: "VV", "VH", "HH" or "HV"; None for optical and thermal bands.
      gsd: ground sampling distance, m.
      dtype: NumPy dtype of the stored numbers.
      unit: of the physical value: "reflectance", "dB", "K", "radiance" or "digital number".
      scale, offset: physical value = stored * scale + offset.
      nodata: the stored number that means no measurement, or None.
      clip: (low, high) in stored numbers, mapped to 0 and 1.
      mean, std: of the clipped and rescaled values, in 0..1.
      statistics: where clip, mean and std come from.
      range: name of the spectral range this band is, per spectrum; () where it is interpolated.
      selected: whether models get the band by default.
    """

    name: str
    common_name: str = ""
    center: float | None = None
    fwhm: float | None = None
    frequency: float | None = None
    polarization: str | None = None
    gsd: float = 10.0
    dtype: str = "uint16"
    unit: str = "reflectance"
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    clip: tuple[float, float] = (0.0, 1.0)
    mean: float = 0.5
    std: float = 0.25
    statistics: str = ""
    range: tuple[tuple[str, str], ...] = ()
    selected: bool = True

    @property
    def domain(self) -> Domain:
        if self.frequency is not None:
            return "microwave"
        assert self.center is not None
        return "optical" if self.center < THERMAL_FROM_NM else "thermal"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sensor:
    """A named, ordered set of bands, in the order of the sensor's files."""

    name: str
    title: str = ""
    source: str = ""
    bands: tuple[Band, ...]

    def index(self, names: str | Sequence[str] | None = None) -> tuple[int, ...]:
        """Returns the file positions of the named bands, or of the selected ones for None.

        Raises:
          UserError: a name is unknown (with a suggestion) or appears twice.
        """
        if names is None:
            return tuple(i for i, band in enumerate(self.bands) if band.selected)
        names = names.split(",") if isinstance(names, str) else list(names)
        position = {band.name: i for i, band in enumerate(self.bands)}
        for name in names:
            if name not in position:
                raise unknown(f"band of {self.name}", name, position)
            if names.count(name) > 1:
                raise UserError(f"band {name!r} of {self.name} is asked for twice")
        return tuple(position[name] for name in names)

    def select(self, names: str | Sequence[str] | None = None) -> "Sensor":
        """Returns the sensor with only these bands, in this order, all of them selected."""
        bands = (dataclasses.replace(self.bands[i], selected=True) for i in self.index(names))
        return dataclasses.replace(self, bands=tuple(bands))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(band.name for band in self.bands)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """One spectral range with a learned projection: an interval in nm, or a radar channel.

    Attributes:
      name: e.g. "red_edge_1".
      interval: (low, high) in nm as published; for radar the published pseudo-wavelengths, used
        by rule `released` only.
      polarization: of a radar range, else None.
      frequency: GHz of a radar range, else None.
    """

    name: str
    interval: tuple[float, float]
    polarization: str | None = None
    frequency: float | None = None

    @property
    def center(self) -> float:
        return (self.interval[0] + self.interval[1]) / 2

    @property
    def domain(self) -> Domain:
        if self.frequency is not None:
            return "microwave"
        return "optical" if self.center < THERMAL_FROM_NM else "thermal"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aggregate:
    """A range without a projection of its own: a fixed mix of two others."""

    name: str
    interval: tuple[float, float]
    parts: tuple[str, str]

    @property
    def center(self) -> float:
        return (self.interval[0] + self.interval[1]) / 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spectrum:
    """The K learned ranges of a model, and the aggregated and dropped ones of its release."""

    name: str
    ranges: tuple[Range, ...]
    aggregates: tuple[Aggregate, ...] = ()
    dropped: tuple[Range, ...] = ()

    def __len__(self) -> int:
        return len(self.ranges)
