"""A trained head at work: images of the sensors it was trained on to probabilities of classes."""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from smarties import loading
from smarties.data import labelled
from smarties.errors import UserError
from smarties.spectrum import registry
from smarties.spectrum.bands import Sensor
from smarties.tasks import adaptation, downstream, segmentation
from smarties.tasks import recipe as recipes
from smarties.typing import Array, Tree


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """An adapted model.

    Attributes:
      task: what it was trained for.
      params: of it.
      side: of the images it was trained on, pixels by sensor.
      step: of the checkpoint.
    """

    task: adaptation.Adaptation
    params: Tree
    side: Mapping[str, int]
    step: int

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the probabilities."""
        return self.task.classes

    @property
    def sensors(self) -> Mapping[str, Sensor]:
        """The sensors it takes, by name, with all bands of their files."""
        return self.task.data.sensors

    @property
    def maps(self) -> bool:
        """Whether it predicts the class of each pixel, else those of each image."""
        return isinstance(self.task, segmentation.Segmentation)

    def predict(
        self, images: Array | Mapping[str, Array], valid: Array | Mapping[str, Array] | None = None
    ) -> np.ndarray:
        """Returns probabilities [B, L], or of maps [B, L, H, W] on the first sensor's grid.

        Images of maps may have any side: they are seen at the scale of training.

        Args:
          images: square, [B, H, H, C] in stored numbers with all bands of the sensor's files; by
            sensor where there are several, of which some may be missing.
          valid: bool [B, H, H] likewise; None for all pixels.

        Raises:
          UserError: unknown sensors, other numbers of bands, or images that are not square.
        """
        found = images if isinstance(images, Mapping) else {next(iter(self.sensors)): images}
        for name, image in found.items():
            self._check(name, image)
        if valid is None:
            masks: Any = {name: np.ones(image.shape[:3], bool) for name, image in found.items()}
        else:
            masks = valid if isinstance(valid, Mapping) else dict.fromkeys(found, valid)
        if not self.maps:
            return np.asarray(self.task.probabilities(self.params, found, masks))  # type: ignore
        name = next(name for name in self.sensors if name in found)
        pixels = found[name].shape[1]
        task = self._at(pixels * self.task.inputs.size / self.side[name])
        return np.asarray(task.probabilities(self.params, found, masks, pixels))  # type: ignore

    def on(self, sensor: str) -> "OnScenes":
        """Returns the head as `maps.predict` takes it, for scenes of one of its sensors.

        Raises:
          UserError: it knows images but no maps, or another sensor.
        """
        if not self.maps:
            raise UserError("these weights classify images, and a map needs a segmentation's")
        if sensor not in self.sensors:
            raise UserError(f"the model was trained on {', '.join(self.sensors)}, not on {sensor}")
        inputs, side = self.task.inputs, self.side[sensor]
        patch = max(1, round(inputs.patch * side / inputs.size))
        return OnScenes(self, sensor, self.classes, side, patch, self.params)

    def _check(self, name: str, image: Array) -> None:
        if name not in self.sensors:
            raise UserError(f"the model was trained on {', '.join(self.sensors)}, not on {name}")
        count = len(self.sensors[name].bands)
        if image.ndim != 4 or image.shape[1] != image.shape[2] or image.shape[3] != count:
            raise UserError(
                f"images of {name} are {image.shape}: give [B, H, H, {count}], all bands of its "
                f"files, {', '.join(self.sensors[name].names)}"
            )

    def _at(self, side: float) -> adaptation.Adaptation:
        """Returns the task that sees images at about so many pixels; the same one for the same."""
        patch, known = self.task.inputs.patch, self.__dict__.setdefault("_sizes", {})
        size = max(1, round(side / patch)) * patch
        if size not in known:
            known[size] = copy.copy(self.task)
            known[size].inputs = dataclasses.replace(self.task.inputs, size=size)
        return known[size]


@dataclasses.dataclass(eq=False)
class OnScenes:
    """A `maps.Head`: windows of any sides, of scenes of one sensor.

    Attributes:
      predictor: of the head.
      sensor: its name.
      classes: their names.
      size, patch: side of the images it was trained on, and of a token, in the sensor's pixels.
      params: of the predictor.
    """

    predictor: Predictor
    sensor: str
    classes: tuple[str, ...]
    size: int
    patch: int
    params: Tree

    def predict(self, images: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Returns probabilities [B, L, H, W] of images [B, H, W, C], masks [B, H, W]."""
        height, width = images.shape[1:3]
        side = max(height, width)
        room = ((0, 0), (0, side - height), (0, side - width))
        square, seen = np.pad(images, (*room, (0, 0))), np.pad(valid, room)
        found = self.predictor.predict({self.sensor: square}, {self.sensor: seen})
        return found[:, :, :height, :width]


def load(
    path: str | Path,
    *,
    step: int | None = None,
    average: bool | None = None,
    download: bool = False,
) -> Predictor:
    """Returns the adapted model of a run directory, or of what `smarties export` made of one.

    Args:
      path: of classification or segmentation.
      step: of a run, which checkpoint; the last by default.
      average: of a run, whether the moving average is taken; by default where it kept one.
      download: see `loading.load`.

    Raises:
      UserError: no such task, or no checkpoint.
    """
    params, config = loading.read(path, step, average, download=download)
    if "adaptation" not in config:
        raise UserError(f"{path} has no head: predict with a run of classification, or of maps")
    params = jax.tree.map(jax.numpy.asarray, params)
    side = config["adaptation"]["side"]
    return Predictor(task=_task(config), params=params, side=side, step=config["step"])


def _task(meta: Mapping[str, Any]) -> adaptation.Adaptation:
    """Returns the task a checkpoint describes, on blank examples."""
    about = meta["adaptation"]
    recipe = recipes.Recipe(**_tuples(about["recipe"]))
    sensors = {
        name: registry.sensor_from_dict(entry, where=f"the run's {name}")
        for name, entry in meta["sensors"].items()
    }
    sensors = {name: sensors[name] for name in about["bands"]}
    classes = tuple(about["classes"])
    blank = labelled.StandIn(
        list(sensors.values()), about["model"]["image_size"], recipe.labels, len(classes)
    )
    train = labelled.Labelled(
        source=blank, indices=(0,), sensors=tuple(sensors), kind=recipe.labels, classes=classes
    )
    bands = {name: tuple(bands) for name, bands in about["bands"].items()}
    data = adaptation.Data(train=train, sets={}, sensors=sensors, bands=bands)
    model = {**about["model"], "kernel": "xla"}
    return downstream.TASKS[recipe.name](recipe=recipe, model=model, data=data)


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
