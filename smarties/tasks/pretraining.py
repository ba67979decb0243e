"""SMARTIES pretraining: cross-sensor masked auto-encoding of image pairs with token mixup.

[arXiv 2506.19585; mixup, target variance and the mixing rule each choose between the paper and the
public release]
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp

from smarties.errors import UserError, unknown
from smarties.models import autoencoder, build, flops, masking, mixup
from smarties.spectrum import mixing
from smarties.spectrum.bands import Sensor
from smarties.tasks import embedding, objective, probing, streams
from smarties.typing import Key, Tree

Mixup = mixup.Mixup
Patches = streams.Patches


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


class Pretraining(streams.Pairs):
    """A `training.task.Task`: learns to reconstruct masked tokens of mixed pairs."""

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
        super().__init__(recipe=recipe, model=model, data=data, batch_size=batch_size, seed=seed)
        self.recipe = recipe
        self.upright = () if recipe.flips else streams.TURNS
        self.model: autoencoder.AutoEncoder = build.autoencoder_from(
            ranges=len(self.spectrum), mode=recipe.mixup, **model
        )
        if not (
            masking.visible_tokens(self.tokens, recipe.mask_ratio)
            and int(self.tokens * recipe.mix_ratio)
        ):
            raise UserError(
                f"{self.tokens} tokens are too few for task.mask_ratio {recipe.mask_ratio} and "
                f"task.mix_ratio {recipe.mix_ratio}: nothing would be left to see"
            )
        self._probe = probing.Probe(self, **evaluation) if evaluation else None

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
        return streams.mean_over_seen(values, valid)

    @property
    def count(self) -> int | None:
        """How many values the target variance is unbiased over; None for the sensor's own."""
        return 12 * self.patch**2 if self.recipe.variance == "released" else None

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

    def encoded(
        self, params: Tree, image: jax.Array, sensor: Sensor, pooling: embedding.Pooling
    ) -> tuple[jax.Array, jax.Array]:
        """Returns (features [B, D], token maps [B, N*D]) of standardised images [B, S, S, c].

        Of each image's map its own mean token is taken away.
        """
        normed, raw = embedding.encode(
            self.model.encoder, params["encoder"], image, sensor=sensor.select(),
            spectrum=self.recipe.spectrum, rule=self.recipe.rule, patch=self.patch,
        )  # fmt: skip
        tokens = raw[:, 1:]
        varying = (tokens - tokens.mean(1, keepdims=True)).reshape(len(image), -1)
        return embedding.pool(params, normed, raw, pooling), varying

    def reconstructed(
        self, params: Tree, patches, valid, sensors: Sequence[Sensor], key: Key
    ) -> tuple[dict[str, tuple[jax.Array, ...]], Tree]:
        """Returns {sensor: (predicted, target [B, m, c, P*P], weight [B, m, 1, P*P])}, pictures.

        Args:
          params: as of `init`.
          patches, valid: of a pair, [B, N, c, P*P] and [B, N, 1, P*P].
          sensors: of the pair.
          key: of the masks.
        """
        (drawn,) = self.draws(key, [len(patches[0])])
        matrices = tuple(self._mixing(s) for s in sensors)
        made = self.model.apply({"params": params}, (patches,), (matrices,), (drawn,))
        (outputs,) = cast(tuple, made)
        found = {}
        for part in (outputs[0], outputs[-1]):  # sensor one, and sensor two of the second stream
            predicted, target, mask = objective.compare(
                part.pixels, patches[part.side], valid[part.side], drawn.masked,
                self.recipe.standardise_targets, self.count,
            )  # fmt: skip
            weight = mask * part.weight[:, :, None, None]
            found[sensors[part.side].name] = predicted, target, weight
        pictures = {
            "keep": drawn.first, "masked": drawn.masked, "patches": patches,
            "predicted": tuple(predicted for predicted, *_ in found.values()),
        }  # fmt: skip
        return found, pictures

    def evaluate(self, params: Tree, step: int, directory: Path | None) -> dict[str, float]:
        """Returns numbers on held-out scenes, each beside its baselines; see `probing.Probe`."""
        return self._probe(params, step, directory) if self._probe else {}
