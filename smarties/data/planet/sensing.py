"""How a sensor sees a place: reflected light, emitted heat or radar echo, in its stored numbers."""

import dataclasses
import functools

import numpy as np

from smarties.data.planet import kinds, materials, noise, world
from smarties.data.planet import layout as layouts
from smarties.spectrum import bands

LOOKS = 4.4  # equivalent number of looks of Sentinel-1 IW GRD
_SOILS = ("dark soil", "brown soil", "red soil", "pale soil")


@dataclasses.dataclass
class Scene:
    """A layout at a date: what all sensors share.

    Attributes:
      green: share of each pixel's front material [H, W]; season: growth per patch [P].
      back, front: materials of each patch, [P, materials], rows sum to about one.
      slope: of the ground, eastward and northward, [H, W] each; light: irradiance relative to flat.
      texture: smooth fine-scale noise [H, W] of unit variance.
      snow: cover by seasonal snow [H, W], or None. haze: aerosol optical depth at 550 nm.
      air: temperature, deg C. wind, wet: 0..1. sun: cosine of its zenith angle.
    """

    place: world.Place
    layout: layouts.Layout
    green: np.ndarray
    season: np.ndarray
    back: np.ndarray
    front: np.ndarray
    slope: tuple[np.ndarray, np.ndarray]
    light: np.ndarray
    texture: np.ndarray
    snow: np.ndarray | None
    haze: float
    air: float
    wind: float
    wet: float
    sun: float


def scene(place: world.Place, layout: layouts.Layout, rng: np.random.Generator) -> Scene:
    """Returns the place at its date: season, soil, weather and light."""
    grid, kind, patch = layout.grid, layout.kind, layout.patch
    number = {name: values[kind] for name, values in kinds.NUMBERS.items()}
    haze, wet, wind = float(rng.gamma(2.0, 0.07)), float(rng.beta(2, 2)), float(rng.beta(1.5, 2.5))
    mix = rng.dirichlet((0.6, 0.9, 0.3, 0.4 + 2 * place.climate.soil_sand)).astype(np.float32)
    cold = rng.random() < 0.7
    texture = noise.fields(rng, grid, (160, 80, 40, 20, 10, 5, 2.5), 2, 0.9)

    day = world.season(place.lat, place.day) - layout.shift
    season = kinds.growth(number["start"], number["end"], day)
    aged = kinds.ageing(number["start"], number["end"], day)
    back, front = _materials(kind, mix, aged, day)
    stubble = np.where(front[:, _AT["straw"]] > 0, 0.45 * aged, 0)
    share = number["low"] + (number["high"] - number["low"]) * np.maximum(season, stubble)
    share *= np.where(number["end"] > 0, layout.vigour, 1)
    bare = 0.75 + 0.25 * (1 - wet)
    back, front = back * (layout.tone * bare)[:, None], front * layout.tone[:, None]

    rough = texture[0] + np.float32(0.6) * layout.rows
    green = np.clip(share[patch] + number["spread"][patch] * rough, 0, 1)
    canopy = number["height"][patch] + number["rough"][patch] * texture[1]
    cosine, azimuth = world.sun(place.lat, place.day)
    cosine = max(cosine, 0.25)
    slope = _slope(layout.terrain, grid.step)
    light = _light(_slope(layout.terrain + canopy, grid.step), cosine, azimuth)
    air = world.air_temperature(place.climate, place.lat, place.day)
    amount = 0.9 / (1 + np.exp((air + 3) / 1.5)) if cold else 0.0
    snow = None
    if amount > 0.05:
        hold = np.array([_HOLD.get(k.name, 1.0) for k in kinds.KINDS], np.float32)[kind]
        snow = np.clip(hold[patch] * (np.float32(1.4 * amount) + 0.25 * texture[1]), 0, hold[patch])
    return Scene(place, layout, green, season, back, front, slope, light, texture[1], snow,
                 haze, air, wind, wet, cosine)  # fmt: skip


_AT = {name: i for i, name in enumerate(materials.MATERIALS)}
_HOLD = {"lake": 0.0, "river": 0.0, "conifer": 0.35, "broadleaf": 0.55, "street": 0.3,
         "tile roof": 0.6, "grey roof": 0.6, "metal roof": 0.6}  # fmt: skip


@functools.cache
def _rows() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns per kind: back, front and aged materials one-hot, and whether the back is soil."""
    soil = np.array([k.back == "soil" for k in kinds.KINDS])
    back = materials.rows(tuple("dark soil" if k.back == "soil" else k.back for k in kinds.KINDS))
    front = materials.rows(tuple(k.front for k in kinds.KINDS))
    after = materials.rows(tuple(k.after or k.front for k in kinds.KINDS))
    return back, front, after, soil


def _materials(kind, mix, aged, day) -> tuple[np.ndarray, np.ndarray]:
    """Returns the materials behind and in front of each patch on its day, [P, materials] each."""
    back, front, after, soil = (table[kind] for table in _rows())
    earth = np.zeros(len(materials.MATERIALS), np.float32)
    earth[[_AT[name] for name in _SOILS]] = mix
    back = np.where(soil[:, None], earth, back)
    front = front + aged[:, None] * (after - front)
    flower = 0.8 * np.exp(-(((day - 122) / 10) ** 2)) * (kind == kinds.number("rapeseed")[0])
    front = front * (1 - flower[:, None]).astype(np.float32)
    front[:, _AT["blossom"]] += flower
    return back, front


def _slope(height: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the slope eastward and northward, [H, W] each (central differences)."""
    padded = np.pad(height, 1, mode="edge")
    scale = np.float32(0.5 / step)
    east = (padded[1:-1, 2:] - padded[1:-1, :-2]) * scale
    return east, (padded[:-2, 1:-1] - padded[2:, 1:-1]) * scale


def _light(slope, cosine: float, azimuth: float) -> np.ndarray:
    """Returns irradiance relative to flat ground: direct sun on the slope, and skylight."""
    east, north = slope
    tangent = np.float32((1 - cosine**2) ** 0.5 / cosine)
    direct = 1 - tangent * (np.float32(np.sin(azimuth)) * east + np.float32(np.cos(azimuth)) * north)
    direct /= np.sqrt(1 + east * east + north * north)
    return np.float32(0.25) + np.float32(0.75) * np.clip(direct, 0, 1.7)


@functools.lru_cache(maxsize=64)
def _area(pixels: int, drawn: int) -> np.ndarray:
    """Returns area weights [pixels, drawn] that average drawn pixels to a sensor's."""
    edges = np.arange(pixels + 1) * (drawn / pixels)
    cells = np.arange(drawn)
    low, high = np.maximum(edges[:-1, None], cells), np.minimum(edges[1:, None], cells + 1)
    return (np.clip(high - low, 0, None) * (pixels / drawn)).astype(np.float32)


def pool(image: np.ndarray, pixels: int) -> np.ndarray:
    """Returns an image [n, n, C] averaged to [pixels, pixels, C]: one linear map per axis."""
    drawn, _, channels = image.shape
    weights = _area(pixels, drawn)
    tall = (weights @ image.reshape(drawn, -1)).reshape(pixels, drawn, channels)
    return np.matmul(weights, tall)


def render(scene: Scene, sensor: bands.Sensor, pixels: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the image of a sensor, [pixels, pixels, C] in its stored numbers and dtype.

    All bands of one image share a dtype: that of the first band.
    """
    domains = [band.domain for band in sensor.bands]
    views = {"optical": _optical, "thermal": _thermal, "microwave": _radar}
    value = np.empty((pixels, pixels, len(domains)), np.float32)
    for domain in dict.fromkeys(domains):
        at = [i for i, d in enumerate(domains) if d == domain]
        value[..., at] = views[domain](scene, sensor, pixels, rng)
    scale, offset, low, high = _storage(sensor)
    value -= offset
    value *= scale
    dtype = np.dtype(sensor.bands[0].dtype)
    if dtype.kind in "iu":
        np.rint(value, out=value)
        np.clip(value, low, high, out=value)
    return value.astype(dtype)


@functools.lru_cache(maxsize=64)
def _storage(sensor: bands.Sensor) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    dtype = np.dtype(sensor.bands[0].dtype)
    high = float(np.iinfo(dtype).max) if dtype.kind in "iu" else np.inf
    least = float(np.iinfo(dtype).min) if dtype.kind in "iu" else -np.inf
    low = [max(least, b.nodata + 1) if b.nodata is not None and b.nodata <= 0 else least for b in sensor.bands]
    scale = np.array([1 / b.scale for b in sensor.bands], np.float32)
    return scale, np.array([b.offset for b in sensor.bands], np.float32), np.array(low, np.float32), high


def reflectance(scene: Scene, sensor: bands.Sensor) -> np.ndarray:
    """Returns surface reflectance times relative light on the drawn raster, [n, n, optical bands]."""
    pure = materials.reflectances(sensor)
    back, front = scene.back @ pure, scene.front @ pure
    patch = scene.layout.patch
    image = np.take(front - back, patch, axis=0)
    image *= scene.green[..., None]
    image += np.take(back, patch, axis=0)
    if scene.snow is not None:
        image += scene.snow[..., None] * (pure[_AT["fresh snow"]] - image)
    image *= scene.light[..., None]
    return image


def _optical(scene, sensor, pixels, rng) -> np.ndarray:
    """Returns reflectance (or radiance, or tones) of the optical bands with air and noise."""
    image = pool(reflectance(scene, sensor), pixels)
    optical = [band for band in sensor.bands if band.domain == "optical"]
    micron = np.array([band.center for band in optical]) / 1000
    # Only uncorrected products hold bands in which water vapour hides the ground.
    uncorrected = materials.vapour(sensor).min() < 0.2
    aerosol = scene.haze * (micron / 0.55) ** -1.4
    rayleigh = 0.00864 * micron**-4.0
    if uncorrected:
        clear = np.exp(-0.25 * (rayleigh + 0.5 * aerosol) / scene.sun) * materials.vapour(sensor)
        path = (0.42 * rayleigh + 0.10 * aerosol) * np.minimum(materials.vapour(sensor), 1)
    else:
        # Surface products keep a part of the haze their correction misjudged.
        clear, path = np.exp(-0.15 * aerosol), 0.06 * (aerosol - 0.05)
    image *= clear.astype(np.float32)
    image += path.astype(np.float32)
    grain = rng.standard_normal(image.shape, np.float32)
    image += grain * (np.float32(0.0012) + np.float32(0.006) * image)
    np.maximum(image, np.float32(1e-4), out=image)
    for i, band in enumerate(optical):
        if band.unit == "digital number":
            image[..., i] = _tones(image[..., i], band, rng)
    return image


def _tones(image: np.ndarray, band: bands.Band, rng: np.random.Generator) -> np.ndarray:
    """Returns a picture's tones: reflectance exposed and gamma-compressed to the band's range."""
    top = np.iinfo(band.dtype).max if np.dtype(band.dtype) == np.uint8 else band.clip[1]
    return np.float32(top) * np.clip(image / np.float32(0.36), 0, 1) ** np.float32(1 / 1.9)


def _thermal(scene, sensor, pixels, rng) -> np.ndarray:
    """Returns brightness temperature, K."""
    layout = scene.layout
    heat = kinds.NUMBERS["heat"][layout.kind] - 3 * scene.season
    heat = np.float32(scene.sun) * heat[layout.patch] * scene.light
    lapse = np.float32(0.0065) * (layout.terrain - layout.terrain.mean())
    image = pool((np.float32(scene.air + 273.15) + heat - lapse)[..., None], pixels)
    count = sum(band.domain == "thermal" for band in sensor.bands)
    return image + 0.15 * rng.standard_normal((pixels, pixels, count), np.float32)


def _radar(scene, sensor, pixels, rng) -> np.ndarray:
    """Returns gamma nought, dB: scattering of the patches on the slopes, speckle, thermal noise."""
    layout, patch = scene.layout, scene.layout.patch
    look = np.radians(rng.choice((78.0, 282.0)) + rng.normal(0, 2))
    incidence = np.radians(rng.uniform(31, 45))
    power = 10 ** (scattering(scene, sensor, float(look)) / 10)
    image = np.take(power.astype(np.float32), patch, axis=0)
    facing = np.float32(np.sin(look)) * scene.slope[0] + np.float32(np.cos(look)) * scene.slope[1]
    tangent = np.float32(np.tan(incidence))
    facing = np.clip(facing, -2 * tangent, np.float32(0.7) * tangent)
    terrain = tangent * (1 + facing * tangent) / (tangent - facing)
    terrain = np.clip(terrain / tangent, 0.15, 5)
    terrain *= np.exp(np.minimum(kinds.NUMBERS["rough"][layout.kind], 1)[patch] * 0.35 * scene.texture)
    image *= terrain[..., None]
    image = pool(image, pixels) + np.float32(10**-2.9)
    return 10 * np.log10(speckle(image, LOOKS, rng))


def speckle(power: np.ndarray, looks: float, rng: np.random.Generator) -> np.ndarray:
    """Returns power times unit-mean gamma noise of a number of looks."""
    return power * (rng.standard_gamma(looks, power.shape, np.float32) / np.float32(looks))


def scattering(scene: Scene, sensor: bands.Sensor, look: float) -> np.ndarray:
    """Returns gamma nought of each patch per radar band, dB [P, radar bands]."""
    layout = scene.layout
    number = {name: values[layout.kind] for name, values in kinds.NUMBERS.items()}
    cover = kinds.COVER[layout.kind]
    water = cover == world.LAND_COVER.index("water")
    roof = number["height"] >= 8
    roof &= cover == world.LAND_COVER.index("built-up")
    # Walls that face the radar answer by double bounce.
    bounce = 7 * np.abs(np.cos(2 * (layout.street_angle + look))) ** 6 - 3
    soil = 2.4 * (scene.wet - 0.5) * (1 - scene.season) * (number["height"] < 3)
    shared = np.where(water, 0, layout.rough + soil)
    shared += np.where(roof, 1.6 * layout.rough + bounce, 0)
    columns = []
    for band in sensor.bands:
        if band.frequency is None:
            continue
        crossed = band.polarization in ("VH", "HV")
        name = "vh" if crossed else "vv"
        value = number[name] + number["d" + name] * scene.season + shared * (0.6 if crossed else 1)
        value = value + np.where(water, (4 if crossed else 12) * (scene.wind - 0.35), 0)
        if band.polarization == "HH":
            value = value + np.where(roof, 1.5, np.where(water, -2.0, -0.3))
        shorter = np.log10(band.frequency / 5.405)
        columns.append(value + shorter * np.where(number["height"] > 3, 1.0, 7.0))
    return np.stack(columns, axis=-1)
