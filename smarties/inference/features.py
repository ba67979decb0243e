"""Features of labelled examples by any encoder: jitted, in full batches of one shape."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import pipeline, sources, subsets, views
from smarties.errors import UserError
from smarties.inference import model
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Sensor
from smarties.tasks import embedding
from smarties.typing import Array, Tree

Features = dict[str, np.ndarray]  # [n, D] by variant, e.g. by pooling


@dataclasses.dataclass(frozen=True)
class View:
    """What of an example is looked at.

    Attributes:
      whole: the sensor with all the bands of its images.
      bands: names, in any order; () for the sensor's selected ones.
      resolution: share of the pixels per side that is left, before sampling up again.
    """

    whole: Sensor
    bands: tuple[str, ...] = ()
    resolution: float = 1.0

    def __post_init__(self):
        self.whole.index(self.bands or None)
        if not 0 < self.resolution <= 1:
            raise UserError(f"resolution {self.resolution}: a share of the pixels, above 0, to 1")

    @property
    def sensor(self) -> Sensor:
        return self.whole.select(self.bands or None)


# (image [B, H, W, C], valid [B, H, W], view) -> {variant: [B, D]}
Encoder = Callable[[Array, Array, View], Mapping[str, jax.Array]]


def view(source: sources.Source, sensor: str, bands: str = "", resolution: float = 1.0) -> View:
    """Returns the view of a source's sensor.

    Args:
      sensor: name; its bands are those the source was prepared with.
      bands: names with commas; "" for the selected ones.
      resolution: see `View`.

    Raises:
      UserError: the source has no such sensor, or the sensor no such bands.
    """
    whole = getattr(source, "definitions", {}).get(sensor) or registry.sensor(sensor)
    sources.check_sensor(source, whole)
    return View(whole, tuple(bands.split(",")) if bands else (), resolution)


def extract(encoder: Encoder, part: subsets.Part, seen: View, batch: int = 32) -> Features:
    """Returns the features [n, D] of a part's examples by an encoder, by variant."""
    done: dict[str, list[np.ndarray]] = {}
    ahead: tuple[Mapping[str, jax.Array], int] | None = None
    name = seen.whole.name
    for examples, count in pipeline.sequential(part.source, part.indices.tolist(), batch):
        now = encoder(examples["images"][name], examples["valid"][name], seen), count
        if ahead is not None:  # the device works on this batch meanwhile
            _keep(done, *ahead)
        ahead = now
    if ahead is not None:
        _keep(done, *ahead)
    return {variant: np.concatenate(rows) for variant, rows in done.items()}


def _keep(done: dict[str, list[np.ndarray]], found: Mapping[str, jax.Array], count: int) -> None:
    for variant, values in found.items():
        done.setdefault(variant, []).append(np.asarray(values)[:count])


def prepare(
    image: Array, valid: Array, seen: View, size: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Returns the standardised image [B, S, S, c] of a view and its valid pixels [B, S, S].

    Lower resolution is sampled down with antialiasing and up again, as of a coarser camera.

    Args:
      image, valid: in stored numbers, all bands of `seen.whole`; traced.
      seen: static.
      size: S; None for the number of rows.
    """
    rows, columns = image.shape[1:3]
    image = jnp.asarray(image)[..., np.array(seen.whole.index(seen.bands or None))]
    image, valid = views.standardise(image, jnp.asarray(valid), seen.sensor)
    window = views.whole_window(len(image))
    if seen.resolution < 1:
        low = max(1, round(seen.resolution * rows))
        image, valid = views.resample(image, valid, window, low)
    side = rows if size is None else size
    if image.shape[1:3] != (side, side) or rows != columns:
        image, valid = views.resample(image, valid, window, side)
    return image, valid


@dataclasses.dataclass(frozen=True, eq=False)
class Transformer:
    """A model as an encoder; variants are its poolings.

    Attributes:
      loaded: the model.
      poolings: "cls", "mean"; and "tokens" and "final_tokens", maps before and after the norm.
      size: pixels per side it looks at; None for those of its training.
    """

    loaded: model.Model
    poolings: tuple[model.Output, ...] = embedding.POOLINGS
    size: int | None = None

    def __call__(self, image: Array, valid: Array, seen: View) -> Mapping[str, jax.Array]:
        """Returns {pooling: [B, D], or of tokens [B, h, w, D]}.

        Sensors are standardised as in the model's training.
        """
        config = self.loaded.config
        own = config.get("sensors", {})
        if seen.whole.name in own:
            trained = self.loaded.sensor(seen.whole.name)
            if trained.names == seen.whole.names:
                seen = dataclasses.replace(seen, whole=trained)
        return _encode(
            self.loaded.encoder_of(seen.sensor), self.loaded.params, image, valid, seen=seen,
            spectrum=config["spectrum"], rule=config["rule"], patch=self.loaded.patch,
            size=self.size or config["model"]["image_size"], poolings=self.poolings,
        )  # fmt: skip


@functools.partial(
    jax.jit,
    static_argnames=("encoder", "seen", "spectrum", "rule", "patch", "size", "poolings"),
)
def _encode(
    encoder: embedding.Encoder,
    params: Tree,
    image: jax.Array,
    valid: jax.Array,
    *,
    seen: View,
    spectrum: str,
    rule: mixing.Rule,
    patch: int,
    size: int,
    poolings: tuple[model.Output, ...],
) -> dict[str, jax.Array]:
    image, _ = prepare(image, valid, seen, size)
    normed, raw = embedding.encode(
        encoder, params["encoder"], image,
        sensor=seen.sensor, spectrum=spectrum, rule=rule, patch=patch,
    )  # fmt: skip
    grid = (len(image), image.shape[1] // patch, image.shape[2] // patch, -1)
    found = {}
    for p in poolings:
        if p in ("tokens", "final_tokens"):
            found[p] = (raw if p == "tokens" else normed)[:, 1:].reshape(grid)
        else:
            found[p] = embedding.pool(params, normed, raw, p)
    return {p: values.astype(jnp.float32) for p, values in found.items()}


def untrained(loaded: model.Model, seed: int) -> model.Model:
    """Returns the model with random weights, as before its training."""
    return dataclasses.replace(loaded, params={"encoder": loaded.untrained(seed)})


def digest(loaded: model.Model) -> str:
    """Returns what a model is, as a hash of its sizes, rules and encoder's numbers."""
    kept = {k: loaded.config.get(k) for k in ("model", "rule", "spectrum", "sensors")}
    kept |= {k: loaded.config[k] for k in ("kind", "stacks") if k in loaded.config}
    made = hashlib.sha256(canonical(kept))
    flat = jax.tree_util.tree_flatten_with_path(jax.device_get(loaded.params["encoder"]))[0]
    for path, leaf in flat:
        made.update(jax.tree_util.keystr(path).encode() + np.asarray(leaf).tobytes())
    return made.hexdigest()[:16]


def canonical(content: Any) -> bytes:
    """Returns the one JSON of a tree of plain values."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), default=list).encode()
