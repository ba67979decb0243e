"""CSMAE pretraining: each sensor of a pair reconstructs itself and the other.

[arXiv 2401.07782, doi 10.1109/TGRS.2024.3517150; where the authors' code and the method differ, an
option chooses]
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp

from smarties.data import views
from smarties.errors import UserError, unknown
from smarties.losses import latent, reconstruction
from smarties.models import build, flops, masking
from smarties.models import csmae as models
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Sensor
from smarties.tasks import csmae_inputs, embedding, objective, probing, streams
from smarties.typing import Array, Key, Tree

Scored = Literal["source_masked", "target_masked", "source_visible"]
SCORED: tuple[Scored, ...] = ("source_masked", "target_masked", "source_visible")
Pair = tuple[jax.Array, jax.Array]
Outputs = tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]  # of `models.Csmae`
Masking = masking.Masking


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """The `task` section of a CSMAE configuration.

    Attributes:
      masking: of the two sensors of a pair, see `masking.pair`.
      mask_ratio: share of sensor one's tokens that are masked.
      scored: where a sensor is scored on what the other says of it: at the positions masked in the
        source (as the authors' configurations, "disjoint" there), masked in the target (as their
        figure shows; "identical" there), or visible in the source ("identical" there, with
        identical masks).
      placement: with "target_masked", whether the decoder is given the source's tokens where they
        belong ("paper"), or at the positions visible in the target ("released").
      unimodal, crossmodal: what is reconstructed: each sensor from itself, from the other.
      mim, temperature: whether features are to agree by `latent.mutual_information`.
      mde: the same by `latent.discrepancy`.
      standardise_targets: per patch, over all its bands (norm_pix_loss).
      inputs: bands and statistics of the sensors, "registered" or those of the release,
        "bigearthnet-v1".
      rule, spectrum: of the mixing matrices of embedding "spectrum".
      crop_area: smallest and largest share of the image a random crop takes.
      flips: random flips of rows and columns.
    """

    name: str = "csmae"
    masking: Masking = "random"
    mask_ratio: float = 0.5
    scored: Scored = "source_masked"
    placement: Literal["paper", "released"] = "paper"
    unimodal: bool = True
    crossmodal: bool = True
    mim: bool = True
    temperature: float = 0.5
    mde: bool = False
    standardise_targets: bool = False
    inputs: csmae_inputs.Inputs = "registered"
    rule: mixing.Rule = "linear"
    spectrum: str = "smarties-v1"
    crop_area: tuple[float, float] = (1.0, 1.0)
    flips: bool = True

    def __post_init__(self):
        for key, known in (
            ("masking", masking.MASKINGS),
            ("scored", SCORED),
            ("placement", ("paper", "released")),
            ("inputs", csmae_inputs.INPUTS),
            ("rule", mixing.RULES),
        ):
            if getattr(self, key) not in known:
                raise unknown(f"task.{key}", getattr(self, key), known)
        if not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise UserError(f"task.crop_area is {self.crop_area}: 0 < smallest <= largest <= 1")
        if not self.temperature > 0:
            raise UserError(f"task.temperature is {self.temperature}: above 0")
        if not (self.unimodal or self.crossmodal or self.mim or self.mde):
            raise UserError(
                "task: unimodal, crossmodal, mim and mde are all off: nothing is learnt"
            )
        if self.placement == "released" and self.crossmodal and self._fails_there():
            raise UserError(
                f"task.placement released: the authors' code fails for masking {self.masking} with "
                f"scored {self.scored}; use placement paper"
            )

    def _fails_there(self) -> bool:
        return self.masking == "disjoint" or self.scored == "source_visible"

    def jobs(self) -> tuple[models.Job, ...]:
        """Returns what of a pair is reconstructed from what."""
        own = [models.Job(side, side, side, (side, "masked")) for side in (0, 1)]
        return (*(own * self.unimodal), *([self._across(0), self._across(1)] * self.crossmodal))

    def _across(self, source: int) -> models.Job:
        target = 1 - source
        if self.scored == "target_masked":
            slots = target if self.placement == "released" else source
            return models.Job(source, target, slots, (target, "masked"))
        part = "masked" if self.scored == "source_masked" else "visible"
        return models.Job(source, target, source, (source, part))


class Csmae(streams.Pairs):
    """A `training.task.Task`: learns features that agree between the two sensors of pairs."""

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
        self.recipe = recipe
        super().__init__(recipe=recipe, model=model, data=data, batch_size=batch_size, seed=seed)
        self.upright = ("transpose",) if recipe.flips else streams.TURNS
        masking.check(recipe.masking, self.tokens, recipe.mask_ratio)
        known = {s.name: s for pair in self.pairs.values() for s in pair}
        self.stacks = {name: csmae_inputs.order(recipe.inputs, s) for name, s in known.items()}
        self.model = build.csmae_from(
            bands=[(name, len(bands)) for name, bands in self.stacks.items()],
            ranges=len(self.spectrum),
            **model,
        )
        self.jobs = recipe.jobs()
        self._probe = probing.Probe(self, **evaluation) if evaluation else None
        for name in self._probe.sensors if self._probe else ():
            if name not in self.stacks:
                raise UserError(f"evaluate: {name} is not one of {', '.join(self.stacks)}")

    def sensor(self, name: str) -> Sensor:
        return csmae_inputs.sensor(self.recipe.inputs, registry.sensor(name))

    def init(self, key: Key) -> Tree:
        """Returns the parameters as a nested dict: encoder, decoder, heads."""
        return models.init(self.model, key)

    def masks(self, key: Key, count: int) -> tuple[masking.Mask, masking.Mask]:
        """Returns what the encoder sees of each sensor of so many pairs."""
        first, second = jax.random.uniform(key, (2, count, self.tokens))
        return masking.pair(self.recipe.masking, first, second, self.recipe.mask_ratio)

    def patches_of(
        self, part: Mapping[str, Array], sensor: Sensor, window: views.Window
    ) -> tuple[jax.Array, jax.Array]:
        patches, valid = super().patches_of(part, sensor, window)
        names = sensor.select().names
        order = jnp.array([names.index(band) for band in self.stacks[sensor.name]])
        return patches[:, :, order], valid

    def matrices(self, sensors: Sequence[Sensor]) -> tuple:
        """Returns the mixing matrix of each sensor's bands; None with linear embeddings."""
        if not self.model.encoder.ranges:
            return tuple(None for _ in sensors)
        return tuple(self._mixing(s.select(self.stacks[s.name])) for s in sensors)

    def loss(self, params: Tree, batch: Tree, key: Key) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the mean over pairs that have a valid pixel, and each of its terms."""
        window_key, mask_key = jax.random.split(key)
        patches, valid = self.view(batch, window_key)
        values, metrics = [], {}
        for i, (sensors, pair, seen) in enumerate(
            zip(self.pairs.values(), patches, valid, strict=True)
        ):
            masks = self.masks(jax.random.fold_in(mask_key, i), len(pair[0]))
            names = sensors[0].name, sensors[1].name
            outputs = self.model.apply(
                {"params": params}, names, pair, self.matrices(sensors), masks, self.jobs
            )
            found = terms(self.recipe, self.jobs, cast(Outputs, outputs), pair, seen, masks)
            values.append(sum(found.values()))
            for name, value in found.items():
                metrics.setdefault(_said(name, names), []).append(value.mean())
        total, others = streams.mean_over_seen(values, valid)
        return total, {**{k: jnp.stack(v).mean() for k, v in metrics.items()}, **others}

    def metadata(self) -> dict[str, Any]:
        """Returns every sensor in full, and the bands of each one's stack in their order."""
        return {**super().metadata(), "stacks": {k: list(v) for k, v in self.stacks.items()}}

    def stages(self) -> tuple[flops.Stage, ...]:
        """Returns the operations of one forward pass, by stage."""
        encoder, decoder = self.model.encoder, self.model.decoder
        one = masking.visible_tokens(self.tokens, self.recipe.mask_ratio)
        visible = one, self.tokens - one if self.recipe.masking == "disjoint" else one
        found = []
        for name, pair in self.pairs.items():
            count = self.streams[name].examples_per_batch
            found += flops.csmae(
                count,
                bands=(len(self.stacks[pair[0].name]), len(self.stacks[pair[1].name])),
                visible=visible,
                tokens=self.tokens,
                pixels=self.patch**2,
                encoder=(encoder.width, encoder.specific + encoder.shared),
                decoder=(decoder.width, decoder.depth),
                jobs=self.jobs,
                decoded=[
                    job
                    for _, job in models.decodings(decoder, (pair[0].name, pair[1].name), self.jobs)
                ],
            )
        return tuple(found)

    def flops(self) -> float:
        """Returns the operations of one training step."""
        return flops.BACKWARD * sum(stage.flops for stage in self.stages())

    def encoded(
        self, params: Tree, image: jax.Array, sensor: Sensor, pooling: embedding.Pooling
    ) -> tuple[jax.Array, jax.Array]:
        """Returns features [B, D] of standardised images [B, S, S, c], twice; all tokens are seen.

        They are what kNN and what retrieval go by.
        """
        chosen = sensor.select()
        order = tuple(chosen.names.index(band) for band in self.stacks[sensor.name])
        encoder = self.model.encoder.clone(sensor=sensor.name, order=order)
        normed, raw = embedding.encode(
            encoder, params["encoder"], image, sensor=chosen.select(self.stacks[sensor.name]),
            spectrum=self.recipe.spectrum, rule=self.recipe.rule, patch=self.patch,
        )  # fmt: skip
        pooled = embedding.pool(params, normed, raw, pooling)
        return pooled, pooled

    def reconstructed(
        self, params: Tree, patches, valid, sensors: Sequence[Sensor], key: Key
    ) -> tuple[dict[str, tuple[jax.Array, ...]], Tree]:
        """Returns {"A" or "A->B": (predicted, target [B, m, c, P*P], weight [B, m, 1, P*P])}, {}.

        See `pretraining.Pretraining.reconstructed`; there are no pictures.
        """
        masks, names = self.masks(key, len(patches[0])), (sensors[0].name, sensors[1].name)
        outputs = self.model.apply(
            {"params": params}, names, patches, self.matrices(sensors), masks, self.jobs
        )
        _, pixels = cast(Outputs, outputs)
        found = {}
        for job, predicted in zip(self.jobs, pixels, strict=True):
            own = job.source == job.target
            name = names[job.source] if own else f"{names[job.source]}->{names[job.target]}"
            found[name] = _compared(self.recipe, job, predicted, patches, valid, masks)
        return found, {}

    def evaluate(self, params: Tree, step: int, directory: Path | None) -> dict[str, float]:
        """Returns numbers on held-out scenes, each beside its baselines; see `probing.Probe`."""
        return self._probe(params, step, directory) if self._probe else {}


def terms(
    recipe: Recipe,
    jobs: Sequence[models.Job],
    outputs: Outputs,
    patches: Pair,
    valid: Pair,
    masks: tuple[masking.Mask, masking.Mask],
) -> dict[Any, jax.Array]:
    """Returns the terms of the loss of each pair [B], by (source, target), "mim" and "mde".

    Args:
      recipe: says which there are.
      jobs: of the reconstructions.
      outputs: of `models.Csmae`.
      patches, valid: of both sensors, [B, N, C, P*P] and [B, N, 1, P*P].
      masks: of both sensors.
    """
    (one, two), pixels = outputs
    found: dict[Any, jax.Array] = {}
    for job, predicted in zip(jobs, pixels, strict=True):
        _, target, mask = _compared(recipe, job, predicted, patches, valid, masks)
        seen = (mask.sum((-2, -1)) > 0).sum(1)
        error = reconstruction.token_error(predicted, target, mask)
        found[job.source, job.target] = error.sum(1) / (seen + 1e-6)
    both = (valid[0].max((1, 2, 3)) * valid[1].max((1, 2, 3))).astype(jnp.float32)
    if recipe.mim:
        found["mim"] = both * latent.mutual_information(one, two, recipe.temperature)
    if recipe.mde:
        found["mde"] = both * latent.discrepancy(one, two)
    return found


def _compared(recipe: Recipe, job: models.Job, predicted, patches, valid, masks):
    """Returns (predicted, target [B, m, C, P*P], valid [B, m, 1, P*P]) of a job."""
    side, part = job.scored
    return objective.compare(
        predicted, patches[job.target], valid[job.target], getattr(masks[side], part),
        recipe.standardise_targets, None,
    )  # fmt: skip


def _said(term: Any, names: tuple[str, str]) -> str:
    return term if isinstance(term, str) else f"error/{names[term[0]]}->{names[term[1]]}"
