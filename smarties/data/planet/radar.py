"""How radar sees a scene: scattering by surface, slope and wall, with speckle and thermal noise."""

import numpy as np

from smarties.data.planet import blending, kinds, scene, world
from smarties.spectrum import bands

LOOKS = 4.4  # equivalent number of looks of Sentinel-1 IW GRD
FLOOR = 10**-2.9  # noise-equivalent gamma nought


def view(
    seen: scene.Scene, sensor: bands.Sensor, pixels: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns gamma nought of the radar bands, dB [C, pixels, pixels]."""
    look = np.radians(rng.choice((78.0, 282.0)) + rng.normal(0, 2))
    tangent = np.float32(np.tan(np.radians(rng.uniform(31, 45))))
    power = (10 ** (scattering(seen, sensor, float(look)) / 10)).astype(np.float32)
    facing = np.float32(np.sin(look)) * seen.slope[0] + np.float32(np.cos(look)) * seen.slope[1]
    np.clip(facing, -2 * tangent, np.float32(0.7) * tangent, out=facing)
    slopes = np.clip((1 + facing * tangent) / (tangent - facing) * tangent, 0.15, 5)
    rough = np.minimum(kinds.NUMBERS["rough"][seen.layout.kind], 1) * np.float32(0.35)
    slopes *= np.exp(rough[seen.layout.patch] * seen.texture)
    image = blending.blend(seen.layout.patch, pixels, [(power, slopes)])
    return 10 * np.log10(speckle(image + np.float32(FLOOR), LOOKS, rng))


def speckle(power: np.ndarray, looks: float, rng: np.random.Generator) -> np.ndarray:
    """Returns power times unit-mean gamma noise of a number of looks."""
    return power * (rng.standard_gamma(looks, power.shape, np.float32) / np.float32(looks))


def scattering(seen: scene.Scene, sensor: bands.Sensor, look: float) -> np.ndarray:
    """Returns gamma nought of each patch per radar band, dB [P, radar bands]."""
    layout = seen.layout
    number = {name: values[layout.kind] for name, values in kinds.NUMBERS.items()}
    cover = kinds.COVER[layout.kind]
    water = cover == world.LAND_COVER.index("water")
    roof = number["height"] >= 8
    roof &= cover == world.LAND_COVER.index("built-up")
    # Walls that face the radar answer by double bounce.
    bounce = 7 * np.abs(np.cos(2 * (layout.street_angle + look))) ** 6 - 3
    soil = 2.4 * (seen.wet - 0.5) * (1 - seen.season) * (number["height"] < 3)
    shared = np.where(water, 0, layout.rough + soil)
    shared += np.where(roof, 1.6 * layout.rough + bounce, 0)
    columns = []
    for band in sensor.bands:
        if band.frequency is None:
            continue
        crossed = band.polarization in ("VH", "HV")
        name = "vh" if crossed else "vv"
        value = number[name] + number["d" + name] * seen.season + shared * (0.6 if crossed else 1)
        value = value + np.where(water, (4 if crossed else 12) * (seen.wind - 0.35), 0)
        if band.polarization == "HH":
            value = value + np.where(roof, 1.5, np.where(water, -2.0, -0.3))
        shorter = np.log10(band.frequency / 5.405)
        columns.append(value + shorter * np.where(number["height"] > 3, 1.0, 7.0))
    return np.stack(columns, axis=-1)
