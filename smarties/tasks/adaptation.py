"""What classification and segmentation share: a pretrained encoder, a head, and labelled data."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import labelled, pipeline, views
from smarties.errors import UserError, unknown
from smarties.models import build, flops, lora
from smarties.spectrum import registry
from smarties.spectrum.bands import Sensor
from smarties.tasks import fusion
from smarties.tasks import recipe as recipes
from smarties.typing import Key, Tree

_NO_DECODER = {"width": 4, "depth": 1, "heads": 1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Labelled examples of a task.

    Attributes:
      train: a stream, whose source has all the sensors.
      sets: held-out streams by name.
      sensors: as their files are, by name.
      bands: names of the used ones, by sensor.
      reading: arguments of `pipeline.pair_batches`.
      missing: sensors, each of which evaluation also leaves out.
      batch: images at a time in evaluation.
    """

    train: labelled.Labelled
    sets: Mapping[str, labelled.Labelled]
    sensors: Mapping[str, Sensor]
    bands: Mapping[str, tuple[str, ...]]
    reading: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    missing: tuple[str, ...] = ()
    batch: int = 32


class Adaptation:
    """The part of a `training.task.Task` that classification and segmentation share.

    Args:
      recipe: the section `task`.
      model: the section `model`, complete.
      data: labelled examples.
      seed: of the run.
      encoder: pretrained parameters of the encoder as NumPy arrays; None starts from random.
    """

    unit = "images"

    def __init__(
        self,
        *,
        recipe: recipes.Recipe,
        model: Mapping[str, Any],
        data: Data,
        seed: int = 0,
        encoder: Tree | None = None,
    ):
        self.recipe, self.data, self.seed = recipe, data, seed
        self.model, self._encoder = dict(model), encoder
        self.classes = data.train.classes
        ranges = len(registry.spectrum(recipe.spectrum))
        whole = build.autoencoder_from(ranges=ranges, **{**model, "decoder": _NO_DECODER})
        self.encoder, self.depth = whole.encoder, whole.encoder.depth
        if recipe.mode == "partial" and not 0 < recipe.train_blocks <= self.depth:
            raise UserError(
                f"task.train_blocks is {recipe.train_blocks}: mode partial trains 1 to "
                f"{self.depth} of the {self.depth} blocks"
            )
        self.inputs = fusion.Fused(
            encoder=whole.encoder, sensors=data.sensors, bands=data.bands,
            spectrum=recipe.spectrum, rule=recipe.rule, patch=model["patch"],
            size=recipe.size or model["image_size"], fusion=recipe.fusion,
        )  # fmt: skip

    def init(self, key: Key) -> Tree:
        """Returns the parameters: encoder, head, and where the mode has them lora and stats."""
        keys = jax.random.split(key, 3)
        patches = jnp.zeros((1, self.inputs.grid[0] ** 2, 1, self.inputs.patch**2))
        row = np.eye(self.encoder.ranges, dtype=np.float32)[:1]
        encoder = self.encoder.init(keys[0], patches, row, self.inputs.grid)["params"]
        params = {"encoder": encoder, **self.init_head(keys[1])}
        if self.recipe.mode == "lora":
            params["lora"] = lora.init(keys[2], encoder, self.recipe.lora_rank)
        return params

    def init_head(self, key: Key) -> Tree:
        """Returns {"head": parameters, ...}."""
        raise NotImplementedError

    def pretrained(self) -> Tree:
        """Returns the parameters of the encoder that the run starts from, or none."""
        return {} if self._encoder is None else {"encoder": self._encoder}

    def rate_factor(self, path: str) -> float | tuple[float, ...]:
        """Returns the factor on the learning rate of a parameter; see `training.task.Task`.

        Layers are numbered as usual: projections and tokens 0, block i (from 1) i, the rest above.
        """
        mode, decay = self.recipe.mode, self.recipe.layer_decay
        if path.startswith(("head/", "lora/")) or path == "head":
            return 1.0
        if mode in ("linear_probe", "lora"):
            return 0.0
        last = self.depth + 1
        if re.match(r"encoder/transformer/blocks/", path):
            frozen = self.depth - self.recipe.train_blocks if mode == "partial" else 0
            return tuple(float(i > frozen) * decay ** (last - i) for i in range(1, self.depth + 1))
        if path.startswith("encoder/transformer/norm/"):
            return 1.0
        return 0.0 if mode == "partial" else decay**last

    def adapted(self, params: Tree) -> Tree:
        """Returns the parameters of the encoder at work, adapters merged."""
        if "lora" not in params:
            return params["encoder"]
        return lora.merged(params["encoder"], params["lora"], self.recipe.lora_scale)

    def window(self, key: Key, batch: int) -> views.Window:
        """Returns the crops, flips and turns of a batch in training."""
        window = views.random_window(key, batch, self.recipe.crop_area)
        upright = views.whole_window(batch)
        turns = {k: getattr(upright, k) for k in ("flip_rows", "flip_columns", "transpose")}
        return window if self.recipe.flips else dataclasses.replace(window, **turns)

    def batches(self, split: str, rank: int, world: int, start_step: int) -> Iterable[Tree]:
        """Returns this process's training batches; see `pipeline.pair_batches`."""
        if split != "train":
            raise unknown("split", split, ("train",))
        return pipeline.pair_batches(
            {"train": self.data.train}, seed=self.seed, rank=rank, world=world,
            start_step=start_step, **self.data.reading,
        )  # fmt: skip

    def batch_spec(self) -> Tree:
        """Returns the global batch as `jax.ShapeDtypeStruct`s."""
        return pipeline.batch_spec({"train": self.data.train})

    def data_identity(self) -> dict[str, Any]:
        """Returns the seed, the training examples, and the sensors in full."""
        return {"seed": self.seed, "train": self.data.train.identity(), **self.metadata()}

    def examples_per_epoch(self) -> int:
        return len(self.data.train)

    def metadata(self) -> dict[str, Any]:
        """Returns what a checkpoint says of itself: sensors, bands, classes in order, model."""
        example = self.batch_spec()["train"]["images"]
        return {
            "sensors": {n: registry.sensor_to_dict(s) for n, s in self.data.sensors.items()},
            "adaptation": {
                "recipe": {k: v for k, v in _plain(self.recipe).items() if k != "weights"},
                "model": _plain(self.model),
                "classes": list(self.classes),
                "bands": {name: list(bands) for name, bands in self.data.bands.items()},
                "side": {name: example[name].shape[1] for name in self.data.sensors},
            },
        }

    def flops(self) -> float:
        """Returns the operations of one training step, but for those of the head."""
        images = self.data.train.examples_per_batch * self.inputs.streams
        bands = sum(map(len, self.data.bands.values())) // self.inputs.streams
        stages = flops.encoder(
            images, self.inputs.grid[0] ** 2, bands, self.inputs.patch**2, self.encoder.width,
            self.depth,
        )  # fmt: skip
        passes = 1 if self.recipe.mode == "linear_probe" else flops.BACKWARD
        return passes * sum(stage.flops for stage in stages)

    def without(self) -> dict[str, tuple[str, ...]]:
        """Returns {"": all sensors, "without NAME/": the others ...}, what evaluation looks at."""
        names = tuple(self.data.sensors)
        return {"": names} | {
            f"without {name}/": tuple(n for n in names if n != name) for name in self.data.missing
        }


def _plain(tree: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(tree):
        tree = dataclasses.asdict(tree)  # type: ignore
    return {
        key: _plain(v) if isinstance(v, Mapping) else list(v) if isinstance(v, tuple) else v
        for key, v in tree.items()
    }


def seen(part: Mapping[str, Any]) -> jax.Array:
    """Returns 1.0 for examples [B] with a valid pixel of any sensor."""
    any_valid = [valid.any((1, 2)) for valid in part["valid"].values()]
    return jnp.stack(any_valid).any(0).astype(jnp.float32)
