"""How cameras see a scene: reflected sunlight through the air, and emitted heat."""

import numpy as np

from smarties.data.planet import blending, kinds, materials, scene
from smarties.spectrum import bands

_SNOW = materials.MATERIALS.index("fresh snow")


def reflectance(seen: scene.Scene, sensor: bands.Sensor, pixels: int) -> np.ndarray:
    """Returns surface reflectance times relative light, [optical bands, pixels, pixels]."""
    pure = materials.reflectances(sensor)
    light = seen.light if seen.snow is None else seen.light * (1 - seen.snow)
    front = light * seen.green
    terms = [(seen.back @ pure, light - front), (seen.front @ pure, front)]
    image = blending.blend(seen.layout.patch, pixels, terms)
    if seen.snow is not None:
        image += pure[_SNOW][:, None, None] * blending.pool(seen.light * seen.snow, pixels)
    return image


def view(
    seen: scene.Scene, sensor: bands.Sensor, pixels: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns reflectance, or tones of pictures, of the optical bands [C, pixels, pixels]."""
    image = reflectance(seen, sensor, pixels)
    clear, path = _air(seen, sensor)
    image *= clear[:, None, None]
    image += path[:, None, None]
    # Uniform noise is enough of a camera's, at a third of the price of normal.
    grain = rng.random(image.shape, np.float32)
    grain -= np.float32(0.5)
    image += grain * (np.float32(0.004) + np.float32(0.02) * image)
    np.maximum(image, np.float32(1e-4), out=image)
    optical = [band for band in sensor.bands if band.domain == "optical"]
    if optical[0].unit == "digital number":
        top = np.array([_top(band) for band in optical], np.float32)
        tones = np.clip((image - np.float32(0.012)) / np.float32(0.28), 0, 1) ** np.float32(1 / 1.6)
        return tones * top[:, None, None]
    return image


def _top(band: bands.Band) -> float:
    return 255.0 if np.dtype(band.dtype) == np.uint8 else band.clip[1]


def _air(seen: scene.Scene, sensor: bands.Sensor) -> tuple[np.ndarray, np.ndarray]:
    """Returns transmission and path reflectance per optical band: Rayleigh, aerosol and vapour."""
    vapour = materials.vapour(sensor)
    center = [band.center or 0.0 for band in sensor.bands if band.domain == "optical"]
    micron = np.array(center) / 1000
    aerosol = seen.haze * (micron / 0.55) ** -1.4
    # Only uncorrected products hold bands in which water vapour hides the ground.
    if vapour.min() < 0.2:
        rayleigh = 0.00864 * micron**-4.0
        clear = np.exp(-0.25 * (rayleigh + 0.5 * aerosol) / seen.sun) * vapour
        path = (0.42 * rayleigh + 0.10 * aerosol) * vapour
    else:
        # Surface products keep a part of the haze their correction misjudged.
        clear, path = np.exp(-0.15 * aerosol), 0.06 * (aerosol - 0.05)
    return clear.astype(np.float32), path.astype(np.float32)


def heat(
    seen: scene.Scene, sensor: bands.Sensor, pixels: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns brightness temperature of the thermal bands, K [C, pixels, pixels]."""
    ground = seen.layout
    warm = np.float32(seen.sun) * (kinds.NUMBERS["heat"][ground.kind] - 3 * seen.season)
    image = blending.blend(ground.patch, pixels, [(warm[:, None], seen.light)])
    lapse = np.float32(0.0065) * (ground.terrain - ground.terrain.mean())
    image = image - blending.pool(lapse, pixels) + np.float32(seen.air + 273.15)
    count = sum(band.domain == "thermal" for band in sensor.bands)
    return image + np.float32(0.15) * rng.standard_normal((count, pixels, pixels), np.float32)
