"""What covers the ground of a place: terrain, woods, waters, fields, towns, roads, as patches."""

import dataclasses
import functools

import numpy as np

from smarties.data.planet import kinds, noise, world

# Patches 0..7 of every scene; field and lot prototypes follow.
_NATURAL, LAKE, RIVER, ROAD, SHORE, EDGE, STREET, PARK = slice(0, 4), 4, 5, 6, 7, 8, 9, 10
_FIELDS, _LOTS = 48, 48
FIELD0, LOT0 = 11, 11 + _FIELDS
PATCHES = LOT0 + _LOTS
OVERSAMPLE = 2  # drawn pixels per side and sensor pixel, so that edges are mixed pixels

_WILD = ("broadleaf", "conifer", "shrub", "steppe", "tundra", "rock", "desert", "sand", "snowfield",
         "ice", "bog", "reed")  # fmt: skip
# Mean and width of temperature and log10 precipitation, and how much height favours each.
_WILD_NICHE = np.array([
    (14, 7, 3.0, .3, -.4), (3, 5, 2.85, .35, .2), (18, 6, 2.5, .3, .2), (11, 9, 2.55, .3, .0),
    (-2, 5, 2.7, .4, .5), (2, 9, 2.7, .8, .9), (21, 8, 1.8, .35, .2), (24, 7, 1.6, .3, -.2),
    (-6, 4, 2.8, .6, 1.2), (-9, 4, 2.8, .6, .8), (4, 6, 2.95, .3, -.8), (13, 8, 3.05, .3, -1.0),
])  # fmt: skip
_THEME = {  # first kinds of a theme; relief in m; shares of farmed and built land
    "water": ((), (3, 40), (0, .5), (0, .15)),
    "broadleaf forest": (("broadleaf",), (8, 90), (0, .28), (0, .06)),
    "conifer forest": (("conifer",), (20, 200), (0, .18), (0, .04)),
    "shrubland": (("shrub",), (10, 120), (0, .15), (0, .05)),
    "grassland": (("steppe", "tundra", "meadow"), (6, 120), (0, .9), (0, .06)),
    "cropland": ((), (2, 25), (.8, 1), (0, .10)),
    "built-up": ((), (2, 25), (.3, 1), (.6, 1)),
    "bare": (("rock", "desert", "sand"), (20, 220), (0, .04), (0, .02)),
    "snow": (("snowfield", "ice", "snowfield"), (80, 260), (0, 0), (0, 0)),
    "wetland": (("reed", "bog"), (1, 8), (0, .22), (0, .03)),
}  # fmt: skip


@dataclasses.dataclass
class Layout:
    """One place on a raster: [H, W] maps, and tables over its patches [P].

    Attributes:
      terrain: height of the ground, m. patch: which patch a pixel belongs to.
      rows: tillage lines in the fields, -1..1 [H, W]; street_angle: of the town grid, radians.
      kind: position in `kinds.KINDS`; shift: days the season is late; tone: brightness factor;
      rough: radar roughness, dB; vigour: factor of the green share.
    """

    grid: noise.Grid
    terrain: np.ndarray
    patch: np.ndarray
    rows: np.ndarray
    street_angle: float
    kind: np.ndarray
    shift: np.ndarray
    tone: np.ndarray
    rough: np.ndarray
    vigour: np.ndarray

    @functools.cached_property
    def cover(self) -> np.ndarray:
        """Classes of LAND_COVER, [H, W] uint8."""
        return kinds.COVER[self.kind][self.patch]


def layout(place: world.Place, rng: np.random.Generator, grid: noise.Grid) -> Layout:
    """Returns the layout of a place: wild land, then what people and water cut out of it."""
    theme = world.LAND_COVER[place.theme]
    first, relief, farmed, built = _THEME[theme]
    kind = np.zeros(PATCHES, np.int64)
    terrain = _terrain(rng, grid, rng.uniform(*relief))
    patch = _wild(place, rng, grid, terrain, first, kind)
    rows = np.zeros((1, 1), np.float32)
    share = rng.uniform(*farmed)
    if share > 0.03:
        rows = _farm(place, rng, grid, patch, share, kind)
    kind[LAKE], kind[RIVER] = kinds.number("lake", "river")
    kind[SHORE] = kinds.number(
        "sand" if rng.random() < 0.4 else "reed" if rng.random() < 0.5 else "shrub"
    )[0]
    _waters(theme, rng, grid, patch, terrain)
    angle = rng.uniform(0, np.pi / 2)
    share = rng.uniform(*built)
    if theme == "built-up" or (share > 0.01 and rng.random() < 0.5):
        _town(rng, grid, patch, share, angle, kind)
    kind[ROAD] = kinds.number("street")[0]
    if theme not in ("snow", "bare", "wetland") or rng.random() < 0.2:
        _roads(rng, grid, patch, angle)
    z = rng.standard_normal((4, PATCHES)).astype(np.float32)
    return Layout(
        grid, terrain, patch.astype(np.intp), rows, angle, kind,
        shift=(rng.normal(0, 8) + 8 * z[0]).astype(np.float32),
        tone=np.exp(0.10 * z[1] + 0.05 * rng.standard_normal(dtype=np.float32)),
        rough=1.3 * z[2] + rng.normal(0, 0.8),
        vigour=np.clip(1 + 0.08 * z[3], 0.7, 1.1),
    )  # fmt: skip


def _terrain(rng: np.random.Generator, grid: noise.Grid, relief: float) -> np.ndarray:
    """Returns heights, m: rounded hills, that turn to ridges and gullies as relief grows."""
    steep = np.float32(min(relief / 150, 1.0))
    hills = noise.fields(rng, grid, 3200, 100, 1, 0.5)[0] * (1 - np.float32(0.5) * steep)
    for coarse, share in ((1600, 0.9), (400, 0.28)):
        ridges = noise.fields(rng, grid, coarse, 50, 1, 0.5)[0]
        hills -= np.float32(share) * steep * np.abs(ridges)
    return np.float32(relief) * hills


def _wild(place, rng, grid, terrain, first, kind) -> np.ndarray:
    """Returns patches 0..3: the theme's kind, three that suit the climate, by height and noise."""
    has = np.array([place.climate.temperature, np.log10(place.climate.precipitation)])
    misfit = (((has - _WILD_NICHE[:, :4:2]) / _WILD_NICHE[:, 1:4:2]) ** 2).sum(-1)
    order = np.argsort(0.5 * misfit - rng.gumbel(size=len(_WILD)))
    chosen = [_WILD[i] for i in order[:4]]
    if first:
        suits = [misfit[_WILD.index(f)] if f in _WILD else 3.0 for f in first]
        chosen = [first[int(np.argmin(suits - rng.gumbel(size=len(first))))], *chosen[:3]]
    kind[_NATURAL] = kinds.number(*chosen)
    score = noise.fields(rng, grid, 1600, 25, 4, 0.75)
    lead = (1.5, 0.3, 0.0, -0.3) if first else (0.6, 0.4, 0.1, -0.2)
    height = (terrain - terrain.mean()) * np.float32(0.02)
    for slot, name in enumerate(chosen):
        favour = _WILD_NICHE[_WILD.index(name), 4] if name in _WILD else 0.0
        score[slot] += np.float32(favour) * height + np.float32(lead[slot])
    patch, best = np.zeros(terrain.shape, np.uint8), score[0]
    for slot in (1, 2, 3):
        ahead = score[slot] > best
        patch = np.maximum(patch, ahead.view(np.uint8) * np.uint8(slot))
        best = np.maximum(best, score[slot])
    return patch


def _crops(place: world.Place, rng: np.random.Generator) -> list[str]:
    """Returns the kinds of the field prototypes: a few crops of the region in some proportion."""
    warm, wet = place.climate.temperature, place.climate.precipitation
    usual = ["cereal", "cereal", "maize", "beet", "rapeseed", "meadow", "fallow"]
    if warm > 15:
        usual = ["cereal", "maize", "orchard", "fallow", "rice" if wet > 900 else "beet", "meadow"]
    if world.LAND_COVER[place.theme] == "grassland":
        usual = ["meadow", "meadow", "meadow", "steppe", "broadleaf"]
    if world.LAND_COVER[place.theme] not in ("cropland", "grassland", "built-up"):
        usual += ["meadow", "meadow"]
    share = rng.dirichlet(np.full(len(usual), 0.8))
    if world.LAND_COVER[place.theme] == "cropland" and "meadow" in usual:
        share[usual.index("meadow")] *= 0.4
    picked = [usual[i] for i in rng.choice(len(usual), _FIELDS, p=share / share.sum())]
    return picked[:-1] + ["broadleaf" if warm > 7 else "conifer"]


def _farm(place, rng, grid, patch, share, kind) -> np.ndarray:
    """Cuts parcels into `patch`, rows of fields of uneven width; returns tillage lines [H, W]."""
    kind[FIELD0:LOT0] = kinds.number(*_crops(place, rng))
    long, wide = rng.uniform(110, 420), rng.uniform(70, 240)
    pivots = place.climate.precipitation < 600 and rng.random() < 0.4
    uneven, bend = 0.28, np.float32(rng.choice([0, 12, 45]))
    if pivots:
        long = wide = rng.uniform(220, 420)
        uneven, bend = 0.0, np.float32(0)
    u, v = grid.turned(rng.uniform(0, np.pi))
    warp = noise.fields(rng, grid, 900, 450, 3, 0.5)
    u, v = u + bend * warp[0], v + bend * warp[1]
    y = v / wide + np.float32(uneven) * np.sin(
        v * np.float32(2.3 / wide) + np.float32(rng.uniform(0, 6))
    )
    row = np.floor(y)
    which = row.astype(np.int64) & 63
    width = (long * (1.0 if pivots else rng.uniform(0.35, 1.6, 64)) * np.ones(64)).astype(
        np.float32
    )
    x = u / width[which] + rng.random(64, np.float32)[which]
    col = np.floor(x)
    code = (row * 73 + col * 151).astype(np.int64) & 1023
    field = (FIELD0 + rng.integers(0, _FIELDS, 1024)).astype(np.uint8)[code]
    # Whole parcels are farmed or left; wild land keeps the corners where its noise runs high.
    keep = rng.random(1024, np.float32)[code] * np.float32(0.7) + warp[2]
    farmed = keep < noise.level(keep, share) if share < 0.97 else np.ones_like(keep, bool)
    dx, dy = np.abs(x - col - np.float32(0.5)), np.abs(y - row - np.float32(0.5))
    if pivots:
        # Centre pivots: a circle watered in each square, the corners left dry.
        corner = (dx * dx) + (dy * dy) > np.float32(0.235)
        field[corner] = FIELD0 + _FIELDS - 2
        kind[FIELD0 + _FIELDS - 2] = kinds.number("fallow")[0]
    kind[EDGE] = kinds.number(*rng.choice(["track", "broadleaf", "shrub"], 1))[0]
    if rng.random() < 0.75:
        half = np.float32(rng.uniform(2.0, 4.5))
        edge = (np.float32(0.5) - dx) * width[which] < half
        edge |= (np.float32(0.5) - dy) * np.float32(wide) < half
        field[edge] = EDGE
    np.copyto(patch, field, where=farmed)
    lines = np.sin(v * np.float32(2 * np.pi / rng.uniform(14, 34)))
    return np.where(farmed, lines, np.float32(0))


def _waters(theme, rng, grid, patch, terrain) -> None:
    """Cuts a lake or coast, then a river, into `patch`, and flattens the ground of the lake."""
    broad = theme == "water" and rng.random() < 0.3
    share = {"water": rng.uniform(0.55, 0.95), "wetland": rng.uniform(0.02, 0.2)}.get(
        theme, rng.uniform(0.02, 0.2) if rng.random() < 0.2 and theme != "snow" else 0.0
    )
    if share and not broad:
        depth = noise.fields(rng, grid, 1600, 50, 1, 0.55)[0]
        if theme == "water" and rng.random() < 0.5:
            depth += grid.turned(rng.uniform(0, 2 * np.pi))[0] * np.float32(3.0 / grid.ground)
        shore = noise.level(depth, share)
        strip = np.float32(rng.choice([0.0, 0.05, 0.12]))
        patch[depth < shore + strip] = SHORE
        wet = depth < shore
        patch[wet] = LAKE
        terrain[wet] = terrain[wet].min()
    if broad or (theme != "water" and rng.random() < 0.38):
        width = rng.uniform(0.3, 0.5) * grid.ground if broad else np.exp(rng.uniform(2.4, 4.3))
        off, bank = _river(rng, grid, float(width))
        patch[bank] = SHORE
        patch[off] = LAKE if broad else RIVER


def _river(rng, grid, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the water and its banks are, [H, W] bool each."""
    u, v = grid.turned(rng.uniform(0, np.pi))
    warp = noise.fields(rng, grid, 600, 150, 1, 0.5)[0]
    u = u + np.float32(0.4 * width + 25) * warp
    course, steep = np.float32(rng.normal(0, grid.ground / 8)) + np.zeros_like(u), np.zeros_like(u)
    for size in (rng.uniform(8, 14), rng.uniform(3.5, 6)):
        length = np.float32(size * (width + 25) / (2 * np.pi))
        angle = u / length + np.float32(rng.uniform(0, 6.3))
        swing = np.float32(rng.uniform(0.5, 1.3)) * length
        course = course + swing * np.sin(angle)
        steep = steep + swing / length * np.cos(angle)
    off = np.abs(v - course) / np.sqrt(1 + steep * steep)
    half = np.float32(width / 2) * (1 + np.float32(0.3) * np.sin(u / np.float32(2.2 * width + 60)))
    return off < half, off < half * np.float32(1.15) + np.float32(rng.uniform(2, 10))


def _town(rng, grid, patch, share, angle, kind) -> None:
    """Cuts a town into `patch`: streets on a turned grid, blocks of lots, buildings in the lots."""
    style = rng.choice(3, p=(0.5, 0.3, 0.2))  # houses, city, industry
    mixes = ((.62, .14, .02, .22), (.30, .52, .08, .10), (.04, .34, .46, .16))  # fmt: skip
    names = ("tile roof", "grey roof", "metal roof", "garden")
    kind[LOT0:] = kinds.number(*rng.choice(names, _LOTS, p=mixes[style]))
    kind[LOT0] = kinds.number("garden")[0]
    kind[STREET], kind[PARK] = kinds.number("street", "park")
    block = rng.uniform((70, 60, 120), (150, 110, 220)), rng.uniform((50, 50, 110), (90, 90, 190))
    lot = rng.uniform((18, 22, 45), (30, 40, 90))[style]
    u, v = grid.turned(angle)
    warp = noise.fields(rng, grid, 800, 200, 3, 0.6)
    bend = np.float32(rng.choice([0, 10, 30]))
    zone = warp[2] + (u * u + v * v) * np.float32(6 / grid.ground**2)
    inside = zone < noise.level(zone, share) if share < 0.97 else np.ones(zone.shape, bool)
    local, street = [], np.zeros(zone.shape, bool)
    code = blocks = np.float32(4096)
    for along, side, size, prime in (
        (u, warp[0], block[0][style], 29),
        (v, warp[1], block[1][style], 57),
    ):
        at = (along + bend * side) / np.float32(size)
        cell = np.floor(at)
        lots_across = max(round(size / lot), 1)
        at = (at - cell) * np.float32(lots_across)
        blocks = blocks + cell * np.float32(prime)
        lots = np.floor(at)
        code = code + cell * np.float32(7 * prime) + lots * np.float32(prime + 4)
        local.append(np.abs(at - lots - np.float32(0.5)))
        near = np.float32(rng.uniform(4, 7) * lots_across / size)
        street |= np.abs(at - np.float32(lots_across / 2)) > np.float32(lots_across / 2) - near
    margin = np.float32(rng.uniform((0.30, 0.38, 0.38), (0.42, 0.5, 0.48))[style])
    roof = np.maximum(*local) < margin
    lots = (LOT0 + rng.integers(0, _LOTS, 1024)).astype(np.uint8)[code.astype(np.intp) & 1023]
    town = np.where(roof, lots, np.uint8(LOT0))
    np.copyto(
        town, PARK, where=(rng.random(256) < rng.uniform(0, 0.12))[blocks.astype(np.intp) & 255]
    )
    town[street] = STREET
    inside &= (patch != LAKE) & (patch != RIVER)
    np.copyto(patch, town, where=inside)


def _roads(rng, grid, patch, angle) -> None:
    """Cuts up to two curved roads into `patch`; they cross rivers on bridges, but not lakes."""
    for _ in range(rng.choice(3, p=(0.3, 0.5, 0.2))):
        u, v = grid.turned(angle + rng.choice((0, np.pi / 2)) + rng.normal(0, 0.2))
        length = np.float32(rng.uniform(150, 600))
        course = (
            np.float32(rng.uniform(0, 0.25))
            * length
            * np.sin(u / length + np.float32(rng.uniform(0, 6)))
        )
        off = np.abs(v - course - np.float32(rng.uniform(-0.4, 0.4) * grid.ground))
        patch[(off < np.float32(rng.uniform(5, 8))) & (patch != LAKE)] = ROAD
