"""Images of one or several sensors to tokens of one encoder: stacked, side by side, or mixed."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import views
from smarties.errors import UserError, unknown
from smarties.models import autoencoder, layout, mixup
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Sensor
from smarties.typing import Key, Tree

Fusion = Literal["concat", "stack", "mixup_concat"]
FUSIONS: tuple[Fusion, ...] = ("concat", "stack", "mixup_concat")
Images = Mapping[str, Any]  # of arrays


@dataclasses.dataclass(frozen=True)
class Fused:
    """How images of several sensors reach an encoder.

    Attributes:
      encoder: the module.
      sensors: as their files are, by name, in the order of the streams.
      bands: names of the bands that are used, in this order, by sensor.
      spectrum, rule: see `mixing.mixing`.
      patch, size: sides of a patch and of the images the encoder sees, pixels.
      fusion: "concat", a stream of tokens for each sensor; "stack", one stream of all bands;
        "mixup_concat", two sensors in two mirrored mixtures. [SMARTIES, arXiv 2506.19585]
    """

    encoder: autoencoder.Encoder
    sensors: Mapping[str, Sensor]
    bands: Mapping[str, tuple[str, ...]]
    spectrum: str
    rule: mixing.Rule
    patch: int
    size: int
    fusion: Fusion = "concat"

    def __post_init__(self):
        if self.fusion not in FUSIONS:
            raise unknown("task.fusion", self.fusion, FUSIONS)
        if self.fusion == "mixup_concat" and len(self.sensors) != 2:
            raise UserError(
                f"task.fusion mixup_concat mixes two sensors, data.sensors are "
                f"{', '.join(self.sensors)}: name two, or take concat or stack"
            )
        if self.size < self.patch or self.size % self.patch:
            raise UserError(f"task.size {self.size} is no multiple of the patch of {self.patch}")

    @property
    def streams(self) -> int:
        """How many streams of tokens there are."""
        return 1 if self.fusion == "stack" else len(self.sensors)

    @property
    def grid(self) -> tuple[int, int]:
        return (self.size // self.patch, self.size // self.patch)

    def view(self, images: Images, valid: Images, window: views.Window) -> dict[str, jax.Array]:
        """Returns the used bands [B, S, S, c] of each sensor that is there, standardised."""
        seen = {}
        for name, sensor in self.sensors.items():
            if name in images:
                chosen = sensor.select(self.bands[name])
                image = images[name][..., np.array(sensor.index(self.bands[name]))]
                image, ok = views.standardise(image, valid[name], chosen)
                seen[name], _ = views.resample(image, ok, window, self.size)
        return seen

    def encode(
        self,
        params: Tree,
        images: Images,
        *,
        key: Key | None = None,
        drop_path: float = 0.0,
        depths: tuple[int, ...] = (),
    ) -> list[tuple[jax.Array, ...]]:
        """Returns for each stream what `Encoder.encode` gives.

        A sensor that is missing from `images` leaves its place to one that is there: a stack has
        fewer bands, another stream is repeated, a mixture is of one sensor only.

        Args:
          params: of the encoder.
          images: as of `view`.
          key: in training, of the mixture and of drop path; without, all is the same for ever.
          drop_path, depths: see `transformer.Transformer`.
        """
        present = [name for name in self.sensors if name in images]
        if not present:
            raise UserError(f"no image of any of {', '.join(self.sensors)}: give one or more")
        mix_key, drop_key = jax.random.split(jax.random.key(0) if key is None else key)
        patches = {name: views.patchify(images[name], self.patch) for name in present}
        tables = {name: self._mixing(name) for name in present}
        if self.fusion == "stack":
            whole = jnp.concatenate([patches[name] for name in present], 2)
            tokens = [self._project(params, whole, np.concatenate([*tables.values()]))]
        else:
            tokens = [self._project(params, patches[name], tables[name]) for name in present]
        if self.fusion == "mixup_concat" and len(tokens) == 2:
            rows = 1 if key is None else len(tokens[0])
            noise = jax.random.uniform(mix_key, (rows, tokens[0].shape[1]))
            keep = jnp.argsort(jnp.argsort(noise, 1), 1) < tokens[0].shape[1] // 2
            keep = jnp.broadcast_to(keep, tokens[0].shape[:2])
            tokens = list(mixup.mix(tokens[0], tokens[1], keep, "mirrored"))
        outputs = self.encoder.apply(
            {"params": params}, layout.join(tokens), drop_path, depths,
            method="encode", rngs={"drop_path": drop_key},
        )  # fmt: skip
        parts = zip(*(layout.part(x, tokens) for x in outputs), strict=True)  # type: ignore
        streams = list(parts)
        if len(streams) == self.streams:
            return streams
        found = dict(zip(present, streams, strict=True))
        return [found.get(name, streams[0]) for name in self.sensors]

    def _mixing(self, name: str) -> np.ndarray:
        chosen = self.sensors[name].select(self.bands[name])
        return mixing.mixing(registry.spectrum(self.spectrum), chosen, self.rule)

    def _project(self, params: Tree, patches: jax.Array, table: np.ndarray) -> jax.Array:
        tokens = self.encoder.apply({"params": params}, patches, table, method="project")
        return self.encoder.apply({"params": params}, tokens, self.grid, method="place")  # type: ignore
