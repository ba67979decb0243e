"""The environment of a place, and the species that live where their few niche variables suit."""

from collections.abc import Mapping

import numpy as np

ENVIRONMENT = (
    "temperature",  # annual mean, deg C
    "temperature_swing",  # half the summer-winter difference, deg C
    "precipitation",  # mm a year
    "seasonality",  # of precipitation, 0..1
    "elevation",  # m
    "slope",  # mean, degrees
    "soil_ph",
    "soil_sand",  # 0..1
    "human_footprint",  # 0..1
    "ndvi",  # of the scene on its date
    "tree_cover",  # share of the scene
    "distance_to_water",  # m from the centre of the scene
)
_TYPICAL = {  # centre and spread, to state niches in comparable numbers
    "temperature": (10, 9), "temperature_swing": (10, 5), "precipitation": (2.8, 0.4),
    "seasonality": (0.5, 0.25), "elevation": (2.7, 0.5), "slope": (0.7, 0.5), "soil_ph": (6.3, 1.0),
    "soil_sand": (0.5, 0.2), "human_footprint": (0.4, 0.25), "ndvi": (0.45, 0.25),
    "tree_cover": (0.3, 0.3), "distance_to_water": (2.7, 0.7),
}  # fmt: skip
_LOGARITHMIC = ("precipitation", "elevation", "slope", "distance_to_water")

# Per species: its niche variables, each with (optimum, width) in typical units.
NICHES: dict[str, Mapping[str, tuple[float, float]]] = {
    "Abies frigida": {"temperature": (-0.9, 0.6), "tree_cover": (1.2, 1.0)},
    "Acer medium": {"temperature": (0.4, 0.6), "precipitation": (0.5, 0.7)},
    "Alnus riparia": {"distance_to_water": (-1.2, 0.7), "temperature": (0.1, 0.9)},
    "Arnica montana": {"elevation": (1.1, 0.6), "soil_ph": (-0.8, 0.8)},
    "Artemisia arida": {"precipitation": (-1.4, 0.8), "ndvi": (-1.0, 0.9)},
    "Calluna acida": {"soil_ph": (-1.1, 0.6), "soil_sand": (0.7, 0.9)},
    "Carex palustris": {"distance_to_water": (-1.0, 0.6), "slope": (-0.9, 0.7)},
    "Cirsium agreste": {"human_footprint": (0.8, 0.7), "ndvi": (0.3, 0.8)},
    "Dryas nivalis": {"temperature": (-1.6, 0.7), "elevation": (0.8, 1.0)},
    "Fagus umbrosa": {"temperature": (0.1, 0.6), "tree_cover": (1.2, 0.8), "soil_ph": (0.2, 1.0)},
    "Festuca lata": {"ndvi": (0.6, 0.7), "tree_cover": (-0.8, 0.6)},
    "Gypsophila calcarea": {"soil_ph": (1.1, 0.7), "slope": (0.6, 0.8)},
    "Leontopodium altum": {"elevation": (1.5, 0.6), "slope": (1.1, 0.8)},
    "Parietaria urbana": {"human_footprint": (1.5, 0.6), "temperature": (0.5, 0.9)},
    "Pinus sabulosa": {"soil_sand": (1.1, 0.6), "tree_cover": (0.8, 1.0)},
    "Quercus xera": {"temperature": (1.0, 0.6), "seasonality": (-0.6, 0.8)},
    "Saxifraga rupestris": {"slope": (1.3, 0.6), "ndvi": (-0.8, 0.9)},
    "Stipa continentalis": {"temperature_swing": (0.8, 0.7), "precipitation": (-0.6, 0.6)},
    "Tectona tropica": {"temperature": (1.6, 0.5), "seasonality": (0.8, 0.8)},
    "Typha lacustris": {"distance_to_water": (-1.5, 0.6), "ndvi": (0.3, 1.0)},
}
SPECIES = tuple(NICHES)


def suitability(environment: np.ndarray) -> np.ndarray:
    """Returns the probability of presence [..., S] for environments [..., E] in their own units."""
    center, spread = np.array([_TYPICAL[name] for name in ENVIRONMENT]).T
    logarithmic = [ENVIRONMENT.index(name) for name in _LOGARITHMIC]
    value = np.array(environment, np.float64)
    value[..., logarithmic] = np.log10(np.maximum(value[..., logarithmic], 1))
    value = (value - center) / spread
    misfit = ((value[..., None, :] - _OPTIMUM) / _WIDTH) ** 2
    return 0.95 * np.exp(-0.5 * misfit.sum(-1))


def _table(part: int, otherwise: float) -> np.ndarray:
    """Returns optima (part 0) or widths (part 1) as a table [S, E]."""
    return np.array([
        [niche[name][part] if name in niche else otherwise for name in ENVIRONMENT]
        for niche in NICHES.values()
    ])  # fmt: skip


_OPTIMUM, _WIDTH = _table(0, 0.0), _table(1, np.inf)
