"""SMARTIES pretraining: cross-sensor masked auto-encoding of image pairs with token mixup.

[arXiv 2506.19585; mixup, target variance and the mixing rule each choose between the paper and the
public release]
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import pipeline, sources, views
from smarties.errors import UserError, unknown
from smarties.models import autoencoder, build, flops, masking, mixup
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Sensor
from smarties.tasks import objective, probing
from smarties.typing import Array, Key, Tree

Mixup = mixup.Mixup
Patches = tuple[tuple[jax.Array, jax.Array], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """The `task` section of a pretraining configuration.

    Attributes:
      mixup: "mirrored" (paper) or "released".
      mix_ratio: share of positions where the first stream keeps sensor one.
      mask_ratio: share of tokens removed.
      standardise_targets: per patch, over all its bands (norm_pix_loss).
      variance: of the targets, unbiased over the sensor's own values ("paper") or over 12 tiled
        bands ("released").
      rule: of the mixing matrices, "linear", "log" or "released".
      spectrum: name of the spectral ranges.
      crop_area: smallest and largest share of the image a random crop takes; (1, 1) with `flips`
        off shows it whole.
      flips: random flips and quarter turns.
    """

    name: str = "pretraining"
    mixup: Mixup = "mirrored"
    mix_ratio: float = 0.5
    mask_ratio: float = 0.75
    standardise_targets: bool = True
    variance: str = "paper"
    rule: mixing.Rule = "linear"
    spectrum: str = "smarties-v1"
    crop_area: tuple[float, float] = (0.25, 1.0)
    flips: bool = True

    def __post_init__(self):
        for value, known in (
            (self.mixup, ("mirrored", "released")),
            (self.variance, ("paper", "released")),
            (self.rule, mixing.RULES),
        ):
            if value not in known:
                raise unknown("option of task pretraining", value, known)
        if not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise UserError(f"task.crop_area is {self.crop_area}: 0 < smallest <= largest <= 1")
        for key in ("mix_ratio", "mask_ratio"):
            if not 0 < getattr(self, key) < 1:
                raise UserError(f"task.{key} is {getattr(self, key)}: it must lie between 0 and 1")


class Pretraining:
    """A `training.task.Task`: learns to reconstruct masked tokens of mixed pairs."""

    unit = "pairs"

    def __init__(
        self,
        *,
        recipe: Recipe,
        model: Mapping[str, Any],
        data: Mapping[str, Any],
        batch_size: int,
        seed: int = 0,
        evaluation: Mapping[str, Any] | None = None,
    ):
        self.recipe, self.seed = recipe, seed
        self.size, self.patch = model["image_size"], model["patch"]
        self.spectrum = registry.spectrum(recipe.spectrum)
        self.model: autoencoder.AutoEncoder = build.autoencoder_from(
            ranges=len(self.spectrum), mode=recipe.mixup, **model
        )
        self.streams = _streams(data["streams"], batch_size)
        self._reading = {k: v for k, v in data.items() if k != "streams"}
        self.pairs: dict[str, tuple[Sensor, Sensor]] = {
            name: (registry.sensor(s["first"]), registry.sensor(s["second"]))
            for name, s in sorted(data["streams"].items())
        }
        self.mixings = tuple(
            (self._mixing(one), self._mixing(two)) for one, two in self.pairs.values()
        )
        self.tokens = (self.size // self.patch) ** 2
        if not (
            masking.visible_tokens(self.tokens, recipe.mask_ratio)
            and int(self.tokens * recipe.mix_ratio)
        ):
            raise UserError(
                f"{self.tokens} tokens are too few for task.mask_ratio {recipe.mask_ratio} and "
                f"task.mix_ratio {recipe.mix_ratio}: nothing would be left to see"
            )
        self._probe = probing.Probe(self, **evaluation) if evaluation else None

    def _mixing(self, sensor: Sensor) -> np.ndarray:
        return mixing.mixing(self.spectrum, sensor.select(), self.recipe.rule)

    def init(self, key: Key) -> Tree:
        """Returns the parameters as a nested dict: encoder, decoder, heads."""
        patches = tuple(
            tuple(jnp.zeros((1, self.tokens, len(m), self.patch**2)) for m in pair)
            for pair in self.mixings
        )
        drawn = self.draws(key, [1] * len(patches))
        return self.model.init(key, patches, self.mixings, drawn)["params"]

    def draws(self, key: Key, pairs: Sequence[int]) -> tuple[mixup.Draw, ...]:
        """Returns what each stream of so many pairs mixes and masks."""
        ratios = self.recipe.mix_ratio, self.recipe.mask_ratio
        return tuple(
            mixup.draw(jax.random.fold_in(key, i), count, self.tokens, *ratios)
            for i, count in enumerate(pairs)
        )

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
        window = views.random_window(jax.random.fold_in(key, stream), batch, self.recipe.crop_area)
        upright = views.whole_window(batch)
        turns = {k: getattr(upright, k) for k in ("flip_rows", "flip_columns", "transpose")}
        return window if self.recipe.flips else dataclasses.replace(window, **turns)

    def patches_of(
        self, part: Mapping[str, Array], sensor: Sensor, window: views.Window
    ) -> tuple[jax.Array, jax.Array]:
        """Returns patches [B, N, c, P*P] and valid pixels [B, N, 1, P*P] of {"image", "valid"}."""
        image, valid = views.standardise(part["image"], part["valid"], sensor)
        image, valid = views.resample(image, valid, window, self.size)
        mask = valid[..., None].astype(jnp.float32)
        return views.patchify(image, self.patch), views.patchify(mask, self.patch)

    def loss(self, params: Tree, batch: Tree, key: Key) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the mean over pairs that have a valid pixel, and the share that have none."""
        window_key, draw_key = jax.random.split(key)
        patches, valid = self.view(batch, window_key)
        drawn = self.draws(draw_key, [len(first) for first, _ in patches])
        outputs = self.model.apply({"params": params}, patches, self.mixings, drawn)
        values = objective.per_sample(
            outputs,
            patches,
            valid,
            drawn,
            standardised=self.recipe.standardise_targets,
            count=self.count,
        )
        return mean_over_seen(values, valid)

    @property
    def count(self) -> int | None:
        """How many values the target variance is unbiased over; None for the sensor's own."""
        return 12 * self.patch**2 if self.recipe.variance == "released" else None

    def batches(self, split: str, rank: int, world: int, start_step: int) -> Iterable[Tree]:
        """Returns this process's training batches; see `pipeline.pair_batches`."""
        if split != "train":
            raise unknown("split of pretraining", split, ("train",))
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

    def stages(self) -> tuple[flops.Stage, ...]:
        """Returns the operations of one forward pass, by stage."""
        encoder, decoder = self.model.encoder, self.model.decoder
        visible = masking.visible_tokens(self.tokens, self.recipe.mask_ratio)
        return flops.autoencoder(
            pairs=[
                (stream.examples_per_batch, len(one), len(two))
                for stream, (one, two) in zip(
                    [self.streams[name] for name in self.pairs], self.mixings, strict=True
                )
            ],
            tokens=self.tokens,
            visible=visible,
            pixels=self.patch**2,
            encoder=(encoder.width, encoder.depth),
            decoder=(decoder.width, decoder.depth),
            mirrored=self.recipe.mixup == "mirrored",
        )

    def flops(self) -> float:
        """Returns the operations of one training step."""
        return flops.BACKWARD * sum(stage.flops for stage in self.stages())

    def evaluate(self, params: Tree, step: int, directory: Path | None) -> dict[str, float]:
        """Returns numbers on held-out scenes, each beside its baselines; see `probing.Probe`."""
        return self._probe(params, step, directory) if self._probe else {}


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
