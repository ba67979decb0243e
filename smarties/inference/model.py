"""A trained encoder at work: images of any sensor to vectors and token maps."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from smarties.data import checks, views
from smarties.errors import UserError, unknown
from smarties.models import build
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Sensor
from smarties.tasks import embedding
from smarties.typing import Tree

Bands = str | Sequence[str] | None
Output = Literal["cls", "mean", "tokens", "final_tokens"]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A trained encoder.

    Attributes:
      config: what the model is: name, step, rule, spectrum, model (sizes) and sensors (trained on).
      params: nested dict with "encoder", and "decoder" and "heads" where they were kept.
    """

    config: Mapping[str, Any]
    params: Tree

    def embed(
        self,
        images: np.ndarray,
        *,
        sensor: str | Path | Sensor,
        bands: Bands = None,
        pooling: embedding.Pooling | None = None,
        valid: np.ndarray | None = None,
        normalized: bool = False,
        size: int | None = None,
        batch_size: int = 32,
    ) -> np.ndarray:
        """Returns features [B, D] float32 of images [B, H, W, C].

        Args:
          images: in the numbers the sensor's files store. Channels are all bands of its files in
            file order, or its selected bands, or exactly `bands` in that order. H and W are
            multiples of the patch and need be neither equal nor those of training.
          sensor: a registered name, one the model was trained on, a YAML file, or a `Sensor`.
          bands: names ("B04,B03,B02" or a sequence); by default the sensor's selected bands.
          pooling: "cls", the CLS token after the final norm; or "mean", the norm of the mean token;
            by default `self.pooling`.
          valid: [B, H, W] bool, pixels to look at. Non-finite and nodata pixels never count.
          normalized: images are clipped and standardised already; units and nodata go unchecked.
          size: resample to size x size pixels first; other aspects are stretched.
          batch_size: images at a time; fewer run at the next power of two, so few programs compile.

        Raises:
          UserError: other bands, sizes or units than these, or an image without a valid pixel.
        """
        pooling = pooling or self.pooling
        if pooling not in embedding.POOLINGS:
            raise unknown("pooling", pooling, embedding.POOLINGS)
        return self._run(images, sensor, bands, valid, normalized, size, batch_size, pooling)

    def tokens(
        self,
        images: np.ndarray,
        *,
        sensor: str | Path | Sensor,
        bands: Bands = None,
        final_norm: bool = False,
        valid: np.ndarray | None = None,
        normalized: bool = False,
        size: int | None = None,
        batch_size: int = 32,
    ) -> np.ndarray:
        """Returns patch tokens [B, H/P, W/P, D] float32, before the final norm unless `final_norm`.

        Other arguments and errors as of `embed`.
        """
        output = "final_tokens" if final_norm else "tokens"
        return self._run(images, sensor, bands, valid, normalized, size, batch_size, output)

    @property
    def patch(self) -> int:
        return self.config["model"]["patch"]

    @property
    def pooling(self) -> embedding.Pooling:
        """The pooling that `embed` takes by default."""
        return "cls"

    def encoder_of(self, sensor: Sensor) -> embedding.Encoder:
        """Returns the encoder of images with exactly the bands of a sensor, in their order."""
        del sensor
        return self.encoder

    def untrained(self, seed: int) -> Tree:
        """Returns random parameters of the encoder, as before training."""
        patches = jnp.zeros((1, 4, 1, self.patch**2))
        matrix = np.eye(self.encoder.ranges, dtype=np.float32)[:1]
        return jax.jit(lambda key: self.encoder.init(key, patches, matrix, (2, 2))["params"])(
            jax.random.key(seed)
        )

    @functools.cached_property
    def encoder(self) -> embedding.Encoder:
        return build.described(self.config).encoder

    def program(self, sensor: Sensor, output: Output) -> Callable[..., jax.Array]:
        """Returns (params, images [B, H, W, c], valid [B, H, W]) -> features, to be traced.

        Args:
          sensor: with exactly the c bands of the images, which are stored numbers.
          output: a pooling, or "tokens" or "final_tokens".
        """
        return functools.partial(
            _features, self.encoder_of(sensor).clone(unroll=self.encoder.depth), sensor=sensor,
            spectrum=self.config["spectrum"], rule=self.config["rule"], patch=self.patch,
            normalized=False, size=None, output=output,
        )  # fmt: skip

    def sensor(self, name: str | Path | Sensor) -> Sensor:
        """Returns a sensor: as trained on, else from the registry or a YAML file."""
        own = self.config.get("sensors", {})
        if isinstance(name, str) and name in own:
            return registry.sensor_from_dict(own[name], where=f"the model's {name}")
        return registry.sensor(name)

    def _run(
        self, images, sensor, bands, valid, normalized, size, batch_size, output
    ) -> np.ndarray:
        images = _checked(images, size, self.patch)
        images, chosen = _chosen(images, self.sensor(sensor), bands)
        if valid is not None and np.shape(valid) != images.shape[:3]:
            raise UserError(
                f"valid is {_by(np.shape(valid))}, but images need {_by(images.shape[:3])}"
            )
        if batch_size < 1:
            raise UserError(f"batch_size is {batch_size}: at least 1 image at a time")
        chunk = min(batch_size, 1 << (len(images) - 1).bit_length())
        done, ahead, encoder = [], None, self.encoder_of(chosen)
        for start in range(0, len(images), chunk):
            part = images[start : start + chunk]
            seen = None if valid is None else np.asarray(valid[start : start + chunk], bool)
            seen = _valid(part, seen, chosen, normalized, start)
            room = ((0, chunk - len(part)), (0, 0), (0, 0))
            features = _features(
                encoder, self.params, np.pad(part, (*room, (0, 0))), np.pad(seen, room),
                sensor=chosen, spectrum=self.config["spectrum"], rule=self.config["rule"],
                patch=self.patch, normalized=normalized, size=size, output=output,
            )  # fmt: skip
            if ahead is not None:  # the device works on the next chunk meanwhile
                done.append(np.asarray(ahead))
            ahead = features
        return np.concatenate([*done, np.asarray(ahead)])[: len(images)]


@functools.partial(
    jax.jit,
    static_argnames=(
        *("encoder", "sensor", "spectrum", "rule", "patch"), *("normalized", "size", "output"),
    ),
)  # fmt: skip
def _features(
    encoder: embedding.Encoder,
    params: Tree,
    image: jax.Array,
    valid: jax.Array,
    *,
    sensor: Sensor,
    spectrum: str,
    rule: mixing.Rule,
    patch: int,
    normalized: bool,
    size: int | None,
    output: Output,
) -> jax.Array:
    if normalized:
        image = jnp.where(valid[..., None], image.astype(jnp.float32), 0.0)
    else:
        image, valid = views.standardise(image, valid, sensor)
    if size is not None:
        image, _ = views.resample(image, valid, views.whole_window(len(image)), size)
    normed, raw = embedding.encode(
        encoder, params["encoder"], image, sensor=sensor, spectrum=spectrum, rule=rule, patch=patch
    )
    if output in embedding.POOLINGS:
        return embedding.pool(params, normed, raw, output).astype(jnp.float32)
    tokens = (normed if output == "final_tokens" else raw)[:, 1:].astype(jnp.float32)
    b, h, w, _ = image.shape
    return tokens.reshape(b, h // patch, w // patch, -1)


def _checked(images: np.ndarray, size: int | None, patch: int) -> np.ndarray:
    """Returns images [B, H, W, C] of a type the device has."""
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise UserError(
            f"images are {_by(images.shape)}: give [B, H, W, C] with at least one image"
        )
    if images.dtype.kind not in "uif":
        raise UserError(f"images are of type {images.dtype}: give integers or floats")
    if size is not None and (size < patch or size % patch):
        raise UserError(f"size {size} is not a multiple of the patch of {patch} pixels")
    height, width = images.shape[1:3]
    if min(height, width) < 1 or (size is None and (height < patch or width < patch)):
        raise UserError(
            f"images of {height} x {width} pixels are smaller than a patch of {patch}: give size="
        )
    if size is None and (height % patch or width % patch):
        near = max(patch, round(min(height, width) / patch) * patch)
        raise UserError(
            f"images of {height} x {width} pixels are no whole number of patches of {patch}: crop "
            f"them, or give size={near} to resample"
        )
    return images if images.dtype.itemsize <= 4 else images.astype(np.float32)


def _chosen(images: np.ndarray, sensor: Sensor, bands: Bands) -> tuple[np.ndarray, Sensor]:
    """Returns the channels of the asked bands, and the sensor with exactly these."""
    chosen = sensor.select(bands)
    count = images.shape[-1]
    if count == len(chosen.bands) and (bands is not None or count != len(sensor.bands)):
        return images, chosen
    if count == len(sensor.bands):
        index = sensor.index(bands)
        whole = index == tuple(range(count))
        return images if whole else images[..., list(index)], chosen
    asked = "the bands asked for" if bands is not None else "its selected bands"
    alike = len(chosen.bands) == len(sensor.bands)
    also = "" if alike else f", or {len(chosen.bands)}, {asked}: {', '.join(chosen.names)}"
    raise UserError(
        f"images have {count} bands, but {sensor.name} has {len(sensor.bands)}: "
        f"{', '.join(sensor.names)}{also}; name other subsets with bands="
    )


def _valid(
    images: np.ndarray, valid: np.ndarray | None, sensor: Sensor, normalized: bool, first: int
) -> np.ndarray:
    """Returns which pixels [B, H, W] count; `first` numbers the first image, for errors."""
    seen = np.ones(images.shape[:3], bool)
    if images.dtype.kind == "f":
        seen = np.asarray(np.isfinite(images).all(-1))
    if valid is not None:
        seen &= valid
    if not normalized:
        for i, band in enumerate(sensor.bands):
            if band.nodata is not None:
                seen &= images[..., i] != band.nodata
    for i, (image, mask) in enumerate(zip(images, seen, strict=True)):
        if not mask.any():
            raise UserError(
                f"image {first + i} has no valid pixel: all are non-finite, nodata of "
                f"{sensor.name}, or marked so; leave it out"
            )
        if not normalized:
            checks.check_image(image, mask, sensor, f"image {first + i}")
    return seen


def _by(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
