"""The auto-encoder of a configuration's `model` section."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from smarties.errors import UserError
from smarties.models import autoencoder, mixup


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
    if image_size % patch:
        raise UserError(f"model.image_size {image_size} is not a multiple of model.patch {patch}")
    for name, half in (("encoder", encoder), ("decoder", decoder)):
        if half["width"] % half["heads"] or half["width"] % 4:
            raise UserError(
                f"model.{name}.width {half['width']} must be a multiple of 4"
                f" and of heads {half['heads']}"
            )
    shared: dict[str, Any] = dict(
        grid=image_size // patch, kernel=kernel, remat=remat, unroll=unroll, dtype=jnp.dtype(dtype)
    )
    return autoencoder.AutoEncoder(
        encoder=autoencoder.Encoder(ranges=ranges, scale=scale, **encoder, **shared),
        decoder=autoencoder.Decoder(**decoder, **shared),
        pixels=patch * patch,
        mode=mode,
    )
