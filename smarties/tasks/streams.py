"""What tasks on pairs of sensors have in common: streams, sensors, views, and the mean loss."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import pipeline, sources, views
from smarties.errors import UserError, unknown
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Sensor
from smarties.typing import Array, Key, Tree

Patches = tuple[tuple[jax.Array, jax.Array], ...]
TURNS = ("flip_rows", "flip_columns", "transpose")  # of `views.Window`


class Recipe(Protocol):
    """What of a recipe streams need."""

    @property
    def rule(self) -> mixing.Rule: ...

    @property
    def spectrum(self) -> str: ...

    @property
    def crop_area(self) -> tuple[float, float]: ...


class Pairs:
    """The parts of a `training.task.Task` on streams of pairs that do not depend on what is learnt.

    Attributes:
      upright: which of `TURNS` are left out.
    """

    unit = "pairs"
    upright: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        recipe: Recipe,
        model: Mapping[str, Any],
        data: Mapping[str, Any],
        batch_size: int,
        seed: int = 0,
    ):
        self.options, self.seed = recipe, seed
        self.size, self.patch = model["image_size"], model["patch"]
        self.spectrum = registry.spectrum(recipe.spectrum)
        self.streams = _streams(data["streams"], batch_size)
        self._reading = {k: v for k, v in data.items() if k != "streams"}
        self.pairs: dict[str, tuple[Sensor, Sensor]] = {
            name: (self.sensor(s["first"]), self.sensor(s["second"]))
            for name, s in sorted(data["streams"].items())
        }
        self.mixings = tuple(
            (self._mixing(one), self._mixing(two)) for one, two in self.pairs.values()
        )
        self.tokens = (self.size // self.patch) ** 2

    def sensor(self, name: str) -> Sensor:
        """Returns a sensor as the task sees it."""
        return registry.sensor(name)

    def _mixing(self, sensor: Sensor) -> np.ndarray:
        return mixing.mixing(self.spectrum, sensor.select(), self.options.rule)

    def view(self, batch: Tree, key: Key | None) -> tuple[Patches, Patches]:
        """Returns (patches, valid) per stream and sensor; without a key, whole and upright."""
        patches, valid = [], []
        for i, (name, sensors) in enumerate(self.pairs.items()):
            pair = batch[name]
            window = self._window(key, i, len(pair["first"]["image"]))
            both = [
                self.patches_of(pair[side], sensor, window)
                for side, sensor in zip(("first", "second"), sensors, strict=True)
            ]
            patches.append(tuple(p for p, _ in both))
            valid.append(tuple(v for _, v in both))
        return tuple(patches), tuple(valid)

    def _window(self, key: Key | None, stream: int, batch: int) -> views.Window:
        if key is None:
            return views.whole_window(batch)
        window = views.random_window(jax.random.fold_in(key, stream), batch, self.options.crop_area)
        upright = views.whole_window(batch)
        kept = {key: getattr(upright, key) for key in self.upright}
        return dataclasses.replace(window, **kept)

    def patches_of(
        self, part: Mapping[str, Array], sensor: Sensor, window: views.Window
    ) -> tuple[jax.Array, jax.Array]:
        """Returns patches [B, N, c, P*P] and valid pixels [B, N, 1, P*P] of {"image", "valid"}."""
        image, valid = views.standardise(part["image"], part["valid"], sensor)
        image, valid = views.resample(image, valid, window, self.size)
        mask = valid[..., None].astype(jnp.float32)
        return views.patchify(image, self.patch), views.patchify(mask, self.patch)

    def batches(self, split: str, rank: int, world: int, start_step: int) -> Iterable[Tree]:
        """Returns this process's training batches; see `pipeline.pair_batches`."""
        if split != "train":
            raise unknown("split of a task on pairs", split, ("train",))
        return pipeline.pair_batches(
            self.streams,
            seed=self.seed,
            rank=rank,
            world=world,
            start_step=start_step,
            **self._reading,
        )

    def batch_spec(self) -> Tree:
        """Returns the global batch as `jax.ShapeDtypeStruct`s."""
        return pipeline.batch_spec(self.streams)

    def data_identity(self) -> dict[str, Any]:
        """Returns the seed, what fixes each stream's pairs, and the sensors in full."""
        streams = {name: stream.identity() for name, stream in self.streams.items()}
        return {"seed": self.seed, "streams": streams, **self.metadata()}

    def examples_per_epoch(self) -> int:
        """Returns how many pairs the sources hold together."""
        return sum(len(stream) for stream in self.streams.values())

    def metadata(self) -> dict[str, Any]:
        """Returns every sensor in full, so that a checkpoint says what its inputs were."""
        sensors = {s.name: s for pair in self.pairs.values() for s in pair}
        return {"sensors": {name: registry.sensor_to_dict(s) for name, s in sensors.items()}}


def stand_in(data: dict[str, Any], size: int) -> None:
    """Changes a `data` section: simulated images of `size` pixels in place of every source."""
    for entry in data["streams"].values():
        sensors = tuple(entry[side] for side in ("first", "second") if side in entry)
        entry["source"] = dict(kind="planet", sensors=sensors, size=size)


def mean_over_seen(
    values: Sequence[jax.Array], valid: Patches
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the mean of per-stream losses [b] over pairs with a valid pixel, and metrics."""
    seen = sum((one.max((1, 2, 3)) + two.max((1, 2, 3)) > 0).sum() for one, two in valid)
    pairs = sum(len(one) for one, _ in valid)
    mean = sum(value.sum() for value in values) / jnp.maximum(seen, 1)
    return mean, {"empty_share": jnp.asarray(1 - seen / pairs)}


def _streams(entries: Mapping[str, Any], batch_size: int) -> dict[str, pipeline.Stream]:
    counts = pipeline.shares(batch_size, {name: s["share"] for name, s in entries.items()})
    streams = {}
    for name, entry in sorted(entries.items()):
        known = ("first", "second", "share", "source", "permute")
        for key in entry:
            if key not in known:
                raise unknown(f"key of data.streams.{name}", key, known)
        for key in known[:4]:
            if key not in entry:
                raise UserError(f"data.streams.{name} needs the key {key!r}")
        source = sources.source(**entry["source"])
        for side in ("first", "second"):
            sources.check_sensor(source, registry.sensor(entry[side]))
        streams[name] = pipeline.Stream(
            source=source,
            first=registry.sensor(entry["first"]).name,
            second=registry.sensor(entry["second"]).name,
            examples_per_batch=counts[name],
            permute=entry.get("permute", False),
        )
    return streams
