"""The auto-encoders of a configuration's `model` section."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from smarties.errors import UserError, unknown
from smarties.models import autoencoder, csmae, mixup
from smarties.spectrum import registry

CSMAE = "csmae"  # the "kind" of a model's metadata; those of SMARTIES have none
_NO_DECODER = {"width": 4, "depth": 1, "heads": 1}  # stands in where only the encoder was kept


def described(config: Mapping[str, Any]) -> Any:
    """Returns the `AutoEncoder` or `Csmae` of a model's metadata; with any decoder if it has none.

    Args:
      config: "model", "spectrum", and of CSMAE "kind", and "stacks", the bands of each sensor.
    """
    sizes = {"decoder": _NO_DECODER, **config["model"]}
    ranges = len(registry.spectrum(config["spectrum"]))
    if config.get("kind") == CSMAE:
        bands = [(name, len(bands)) for name, bands in config["stacks"].items()]
        return csmae_from(bands=bands, ranges=ranges, **sizes)
    return autoencoder_from(ranges=ranges, **sizes)


def autoencoder_from(
    *,
    ranges: int,
    image_size: int,
    patch: int,
    encoder: Mapping[str, Any],
    decoder: Mapping[str, Any],
    scale: float = 12.0,
    kernel: str = "xla",
    remat: str = "none",
    unroll: int = 1,
    dtype: str = "float32",
    mode: mixup.Mixup = "mirrored",
) -> autoencoder.AutoEncoder:
    """Returns the auto-encoder for square images of `image_size` and patches of `patch` pixels.

    Args:
      ranges: K.
      encoder, decoder: width, depth and heads of each.
      mode: token mixup, see `mixup.mix`.
      scale, kernel, remat, unroll, dtype: see `autoencoder.Encoder`.

    Raises:
      UserError: sizes that do not divide.
    """
    _check_sizes(image_size, patch, encoder, decoder)
    shared: dict[str, Any] = dict(
        grid=image_size // patch, kernel=kernel, remat=remat, unroll=unroll, dtype=jnp.dtype(dtype)
    )
    return autoencoder.AutoEncoder(
        encoder=autoencoder.Encoder(ranges=ranges, scale=scale, **encoder, **shared),
        decoder=autoencoder.Decoder(**decoder, **shared),
        pixels=patch * patch,
        mode=mode,
    )


def csmae_from(
    *,
    bands: Sequence[tuple[str, int]],
    ranges: int,
    image_size: int,
    patch: int,
    encoder: Mapping[str, Any],
    decoder: Mapping[str, Any],
    decoding: csmae.Decoding = "common",
    pooling: csmae.Pooling = "avg",
    embedding: csmae.Embedding = "linear",
    scale: float = 12.0,
    kernel: str = "xla",
    remat: str = "none",
    unroll: int = 1,
    dtype: str = "float32",
) -> csmae.Csmae:
    """Returns CSMAE for square images of `image_size` and patches of `patch` pixels.

    Args:
      bands: (sensor, C) for each sensor.
      ranges: K, of embedding "spectrum".
      encoder: width, heads, and the blocks `specific` to each sensor and `shared` by all.
      decoder: width, depth, heads, and the `epsilon` of its norms.
      decoding: one decoder for all sensors, "common", or one for each target, "specific".
      pooling: of features, "avg" or "token".
      embedding: "linear" in the bands of each sensor, or through the "spectrum".
      scale, kernel, remat, unroll, dtype: see `autoencoder.Encoder`.

    Raises:
      UserError: an unknown option, or sizes that do not divide.
    """
    for key, value, known in (
        ("decoding", decoding, csmae.DECODINGS),
        ("pooling", pooling, csmae.POOLINGS),
        ("embedding", embedding, csmae.EMBEDDINGS),
    ):
        if value not in known:
            raise unknown(f"model.{key}", value, known)
    _check_sizes(image_size, patch, encoder, decoder)
    if encoder["specific"] < 0 or encoder["shared"] < 0:
        raise UserError("model.encoder.specific and shared are numbers of blocks: 0 or more")
    how: dict[str, Any] = dict(
        grid=image_size // patch, kernel=kernel, remat=remat, unroll=unroll, dtype=jnp.dtype(dtype)
    )
    names = tuple(name for name, _ in bands)
    spectral = ranges if embedding == "spectrum" else 0
    return csmae.Csmae(
        encoder=csmae.Encoder(
            names, ranges=spectral, scale=scale, pooling=pooling, **encoder, **how
        ),
        decoder=csmae.Decoders(
            (csmae.COMMON,) if decoding == "common" else names, **decoder, **how
        ),
        heads=csmae.Outputs(tuple(bands), patch * patch, spectral, jnp.dtype(dtype)),
    )


def _check_sizes(
    image_size: int, patch: int, encoder: Mapping[str, Any], decoder: Mapping[str, Any]
) -> None:
    if image_size % patch:
        raise UserError(f"model.image_size {image_size} is not a multiple of model.patch {patch}")
    for name, half in (("encoder", encoder), ("decoder", decoder)):
        if half["width"] % half["heads"] or half["width"] % 4:
            raise UserError(
                f"model.{name}.width {half['width']} must be a multiple of 4"
                f" and of heads {half['heads']}"
            )
