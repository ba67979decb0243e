"""The kinds of surface a place is put together from: what each is made of, how radar sees it."""

from typing import NamedTuple

import numpy as np

from smarties.data.planet import world


class Kind(NamedTuple):
    """One kind of surface. A pixel is (1 - g) of `back` plus g of `front`; g follows the season.

    Attributes:
      name, cover: its own name, and its class in LAND_COVER.
      back, front: materials; "soil" is the soil of the place.
      after: what `front` turns into towards the end of the season, or "" (it stays).
      start, end: days of green-up and of harvest or leaf fall, in northern terms; 0, 0: no season.
      low, high: share of `front` out of and in season; spread: its variation within the surface.
      height, rough: of the canopy or building and of its texture, m.
      vv, vh: gamma nought in C band, dB, at g = low; dvv, dvh: change towards full growth.
      heat: daytime surface minus air temperature in summer sun, K.
    """

    name: str
    cover: str
    back: str
    front: str
    after: str
    start: float
    end: float
    low: float
    high: float
    spread: float
    height: float
    rough: float
    vv: float
    vh: float
    dvv: float
    dvh: float
    heat: float


_C, _W = "cropland", "built-up"
KINDS = tuple(Kind(*row) for row in (
    ("lake", "water", "clear water", "turbid water", "",
     0, 0, .12, .12, .04, 0, 0, -21, -28.5, 0, 0, -8),
    ("river", "water", "clear water", "turbid water", "",
     0, 0, .45, .45, .05, 0, 0, -20, -27.5, 0, 0, -7),
    ("broadleaf", "broadleaf forest", "litter", "broadleaf canopy", "autumn leaf",
     112, 300, .12, .93, .10, 17, 2.6, -9.8, -15.6, .8, 1.2, 0),
    ("conifer", "conifer forest", "dark soil", "conifer canopy", "",
     0, 0, .86, .93, .10, 17, 3.0, -10.6, -16.2, 0, 0, 0),
    ("shrub", "shrubland", "soil", "shrub canopy", "",
     70, 240, .42, .66, .20, 2, .8, -12.6, -18.8, .4, .8, 6),
    ("steppe", "grassland", "straw", "grass leaf", "",
     85, 225, .10, .60, .12, .3, .1, -14.2, -21.5, .5, 1.2, 6),
    ("meadow", "grassland", "litter", "grass leaf", "",
     85, 300, .50, .92, .07, .3, .1, -13.0, -20.3, .4, 1.2, 2),
    ("tundra", "grassland", "litter", "moss", "",
     140, 265, .30, .85, .16, .2, .1, -13.6, -21.0, .2, .5, 3),
    ("cereal", _C, "soil", "crop leaf", "straw",
     75, 200, .06, .94, .05, .6, .1, -10.4, -18.6, -4.6, -2.0, 4),
    ("rapeseed", _C, "soil", "crop leaf", "straw",
     60, 198, .10, .95, .05, .9, .1, -10.6, -18.6, 2.0, 5.2, 3),
    ("maize", _C, "soil", "crop leaf", "straw",
     158, 272, .02, .95, .05, 1.8, .1, -10.2, -18.8, 1.6, 4.4, 3),
    ("beet", _C, "soil", "crop leaf", "",
     140, 298, .02, .96, .05, .5, .1, -10.2, -18.6, 2.4, 4.8, 2),
    ("rice", _C, "turbid water", "crop leaf", "straw",
     160, 262, .03, .95, .05, .6, .1, -17.5, -25.5, 8.5, 7.5, -2),
    ("fallow", _C, "soil", "straw", "",
     0, 0, .15, .15, .10, .1, .1, -10.4, -19.4, 0, 0, 9),
    ("orchard", _C, "soil", "shrub canopy", "",
     95, 300, .30, .62, .16, 2.5, .9, -10.6, -16.8, .2, .5, 4),
    ("tile roof", _W, "clay tile", "concrete", "",
     0, 0, .18, .18, .16, 8, .8, -6.2, -14.0, 0, 0, 10),
    ("grey roof", _W, "grey roof", "concrete", "",
     0, 0, .30, .30, .22, 12, 1.0, -5.2, -13.2, 0, 0, 10),
    ("metal roof", _W, "concrete", "bright roof", "",
     0, 0, .55, .55, .12, 10, .4, -4.2, -13.6, 0, 0, 8),
    ("street", _W, "tar", "concrete", "",
     0, 0, .25, .25, .10, 0, 0, -13.5, -21.5, 0, 0, 11),
    ("garden", _W, "tar", "grass leaf", "",
     85, 300, .44, .78, .14, 4, 1.6, -8.6, -15.2, 0, .4, 3),
    ("park", "grassland", "litter", "broadleaf canopy", "autumn leaf",
     105, 300, .35, .90, .16, 7, 2.2, -11.0, -17.2, .3, .8, 1),
    ("track", _C, "soil", "grass leaf", "",
     85, 290, .25, .40, .06, 0, 0, -13.0, -20.5, 0, .3, 6),
    ("rock", "bare", "dark rock", "pale rock", "",
     0, 0, .45, .45, .10, 0, 1.2, -11.0, -19.2, 0, 0, 8),
    ("sand", "bare", "sand", "pale soil", "",
     0, 0, .35, .35, .14, 0, .6, -17.5, -26.5, 0, 0, 15),
    ("desert", "bare", "soil", "pale rock", "",
     0, 0, .30, .30, .09, 0, .7, -14.0, -23.0, 0, 0, 14),
    ("snowfield", "snow", "old snow", "fresh snow", "",
     150, 250, .85, .30, .14, 0, .5, -13.0, -21.5, -4.5, -3.5, -12),
    ("ice", "snow", "dark rock", "old snow", "",
     0, 0, .90, .90, .07, 0, 1.0, -11.0, -17.0, 0, 0, -12),
    ("reed", "wetland", "turbid water", "grass leaf", "straw",
     120, 265, .45, .88, .14, 1.5, .2, -8.8, -18.0, .6, 1.6, -2),
    ("bog", "wetland", "dark soil", "moss", "",
     110, 290, .50, .86, .18, .2, .2, -11.4, -19.4, .4, .6, 0),
))  # fmt: skip
NAMES = tuple(kind.name for kind in KINDS)
COVER = np.array([world.LAND_COVER.index(kind.cover) for kind in KINDS], np.uint8)
NUMBERS = {
    field: np.array([getattr(kind, field) for kind in KINDS], np.float32)
    for field in Kind._fields
    if isinstance(getattr(KINDS[0], field), (int, float))
}


def number(*names: str) -> np.ndarray:
    """Returns positions of named kinds in KINDS."""
    return np.array([NAMES.index(name) for name in names], np.int64)


def growth(start: np.ndarray, end: np.ndarray, day: float | np.ndarray) -> np.ndarray:
    """Returns the state of the season in 0..1 per surface: up over weeks at `start`, down at `end`.

    Surfaces without a season (end = 0) stay at 0. Days count in northern terms and wrap.
    """
    middle = (start + end) / 2
    half = (end - start) / 2
    off = np.abs((day - middle + 182.5) % 365 - 182.5)
    return np.where(end > 0, 1 / (1 + np.exp((off - half) / 9.0)), 0).astype(np.float32)


def ageing(start: np.ndarray, end: np.ndarray, day: float | np.ndarray) -> np.ndarray:
    """Returns how far leaves have turned, 0..1: over the last weeks of the season, and after it."""
    late = (day - end + 182.5) % 365 - 182.5
    aged = 1 / (1 + np.exp(-(late + 14) / 6.0)) / (1 + np.exp((late - 60) / 10.0))
    return np.where(end > 0, aged, 0).astype(np.float32)
