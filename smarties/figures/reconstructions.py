"""Pictures of what a pretrained model reconstructs, from `figures/reconstructions.npz`."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smarties.errors import UserError
from smarties.spectrum import registry
from smarties.spectrum.bands import Sensor

PANELS = ("original", "masked", "mixed", "reconstructed")
_PRIMARY = (("red", 665.0), ("green", 560.0), ("blue", 490.0))
_CO, _CROSS = ("VV", "HH"), ("VH", "HV")
_HIDDEN = 238  # grey of a masked token

Stretch = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Row:
    """One sensor's view of one scene: uint8 [H, W, 3] by panel, in the order of `PANELS`."""

    sensor: str
    panels: tuple[np.ndarray, ...]


@dataclasses.dataclass(frozen=True)
class Side:
    """One sensor of a stream.

    Attributes:
      sensor: with its selected bands only.
      patches: [n, N, c, P*P], standardised.
      predicted: [n, m, c, P*P], of the masked tokens, in the units of `patches`.
    """

    sensor: Sensor
    patches: np.ndarray
    predicted: np.ndarray


def to_rgb(image: np.ndarray, sensor: Sensor, stretch: Stretch | None = None) -> np.ndarray:
    """Returns a picture [H, W, 3] uint8 of a standardised image [H, W, c].

    Red, green and blue by common name or nearest wavelength; of radar the co-polarised and the
    cross-polarised band and their difference; of a single band a grey picture.

    Args:
      sensor: of exactly the c bands, selected.
      stretch: from `stretch_of` the original; without it `Band.clip` is black and white.
    """
    value = _channels(image, sensor)
    if stretch is not None:
        low, span = stretch
        value = (value - low) / span
    return np.round(255 * np.clip(value, 0, 1)).astype(np.uint8)


def stretch_of(image: np.ndarray, sensor: Sensor) -> Stretch:
    """Returns (low [3], span [3]) that bring a scene's 1st to 99th percentile to black to white.

    Optical channels share the widest span, so that a grey roof stays grey; radar ones do not.
    """
    value = _channels(image, sensor)
    low, high = np.percentile(value, (1, 99), axis=(0, 1))
    span = np.maximum(high - low, 0.02)
    return low, span if _is_radar(sensor) else np.full(3, span.max())


def _is_radar(sensor: Sensor) -> bool:
    return all(band.domain == "microwave" for band in sensor.bands)


def _channels(image: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Returns red, green and blue [H, W, 3] in the units of `Band.clip`, 0..1."""
    mean, std = (np.array([getattr(b, k) for b in sensor.bands]) for k in ("mean", "std"))
    unit = np.asarray(image, np.float64) * std + mean
    if not _is_radar(sensor):
        return unit[..., [_nearest(sensor, *primary) for primary in _PRIMARY]]
    polarised = [band.polarization for band in sensor.bands]
    co = next((i for i, p in enumerate(polarised) if p in _CO), 0)
    cross = next((i for i, p in enumerate(polarised) if p in _CROSS), co)
    if cross == co:
        return unit[..., [co, co, co]]
    difference = (unit[..., co] - unit[..., cross] + 1) / 2
    return np.stack([unit[..., co], unit[..., cross], difference], -1)


def _nearest(sensor: Sensor, name: str, wavelength: float) -> int:
    """Returns the position of the band of that common name, else of the nearest to `wavelength`."""
    return min(
        (i for i, band in enumerate(sensor.bands) if band.domain != "microwave"),
        key=lambda i: (
            sensor.bands[i].common_name != name,
            abs((sensor.bands[i].center or 0.0) - wavelength),
        ),
    )


def restore(predicted: np.ndarray, true: np.ndarray, count: int | None = None) -> np.ndarray:
    """Returns predictions [n, m, c, P*P] given in units of their patch, in the units of `true`.

    The inverse of `losses.reconstruction.standardise`: mean and std of the true patch over all its
    bands, the variance unbiased over `count` values; pixels that are 0 in all bands are invalid.
    """
    seen = (true != 0).any(-2, keepdims=True)
    total = np.maximum(seen.sum((-2, -1), keepdims=True) * true.shape[-2], 1)
    mean = (true * seen).sum((-2, -1), keepdims=True) / total
    variance = (np.square(true - mean) * seen).sum((-2, -1), keepdims=True) / total
    values = count or true.shape[-2] * true.shape[-1]
    return predicted * np.sqrt(variance * (values / (values - 1)) + 1e-6) + mean


def read(path: Path, task: Mapping[str, Any]) -> dict[str, list[list[Row]]]:
    """Returns {stream: scenes, each with the rows of its two sensors}.

    Args:
      path: of `reconstructions.npz`.
      task: the section of the configuration; says which units the predictions are in.

    Raises:
      UserError: an unknown sensor, or arrays that do not fit together.
    """
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files if "/" in name}
    streams = dict.fromkeys(name.split("/")[0] for name in arrays)
    return {stream: list(_scenes(stream, arrays, task)) for stream in streams}


def _scenes(
    stream: str, arrays: Mapping[str, np.ndarray], task: Mapping[str, Any]
) -> Iterator[list[Row]]:
    sides = [_side(f"{stream}/{i}/", arrays, task, arrays[f"{stream}/masked"]) for i in (0, 1)]
    swapped = task.get("mixup", "mirrored") == "mirrored"
    for n in range(len(sides[0].patches)):
        keep, masked = arrays[f"{stream}/keep"][n], arrays[f"{stream}/masked"][n]
        made = [_pictures(s.sensor, s.patches[n], s.predicted[n], masked) for s in sides]
        pictures, reconstructed = zip(*made, strict=True)
        first, second = pictures
        mixed = (np.where(keep[:, None, None], first, second),
                 np.where(keep[:, None, None], second, first) if swapped else second)  # fmt: skip
        rows = []
        for side, one, mix, made in zip(sides, pictures, mixed, reconstructed, strict=True):
            hidden = one.copy()
            hidden[masked] = _HIDDEN
            panels = tuple(_assembled(tokens) for tokens in (one, hidden, mix, made))
            rows.append(Row(side.sensor.name, panels))
        yield rows


def _side(
    prefix: str, arrays: Mapping[str, np.ndarray], task: Mapping[str, Any], masked: np.ndarray
) -> Side:
    name = next(k for k in arrays if k.startswith(prefix))[len(prefix) :].rpartition("/")[0]
    sensor = registry.sensor(name).select()
    patches, predicted = (arrays[f"{prefix}{name}/{k}"] for k in ("patches", "predicted"))
    bands = {
        "sensor": len(sensor.bands),
        "patches": patches.shape[2],
        "predicted": predicted.shape[2],
    }
    if len(set(bands.values())) > 1:
        found = ", ".join(f"{k} {v}" for k, v in bands.items())
        raise UserError(f"pictures of {name} disagree about its bands ({found}): evaluate again")
    if task.get("standardise_targets", True):
        true = np.take_along_axis(patches, masked[:, :, None, None], 1)
        released = task.get("variance", "paper") == "released"
        predicted = restore(predicted, true, 12 * patches.shape[-1] if released else None)
    return Side(sensor, patches, predicted)


def _pictures(
    sensor: Sensor, patches: np.ndarray, predicted: np.ndarray, masked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns tokens [N, P*P, 3] uint8 of the original and of the reconstruction of one scene."""
    made = patches.copy()
    made[masked] = predicted
    true, made = patches.swapaxes(1, 2), made.swapaxes(1, 2)  # [N, P*P, c], an image to `to_rgb`
    stretch = stretch_of(true, sensor)
    return to_rgb(true, sensor, stretch), to_rgb(made, sensor, stretch)


def _assembled(tokens: np.ndarray) -> np.ndarray:
    """Returns the picture [H, W, 3] of tokens [N, P*P, 3] on a square grid, both row-major."""
    side, p = (int(round(n**0.5)) for n in tokens.shape[:2])
    return tokens.reshape(side, side, p, p, 3).swapaxes(1, 2).reshape(side * p, side * p, 3)
