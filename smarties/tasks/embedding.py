"""Features of any sensor's images: pure functions, shared by evaluation and inference."""

import functools
from typing import Literal, cast

import jax
import jax.numpy as jnp

from smarties.data import views
from smarties.models import autoencoder
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Sensor
from smarties.typing import Tree

Pooling = Literal["cls", "mean"]
POOLINGS: tuple[Pooling, ...] = ("cls", "mean")


@functools.partial(jax.jit, static_argnames=("encoder", "sensor", "spectrum", "rule", "patch"))
def encode(
    encoder: autoencoder.Encoder,
    params: Tree,
    image: jax.Array,
    *,
    sensor: Sensor,
    spectrum: str,
    rule: mixing.Rule,
    patch: int,
) -> tuple[jax.Array, jax.Array]:
    """Returns ([B, 1 + N, D] normed, the same before the norm) of standardised images [B, H, W, C].

    Args:
      encoder, params: the module and its parameters (the subtree "encoder").
      sensor: with exactly the C bands of the image.
      spectrum, rule: see `mixing.mixing`.
      patch: P.
    """
    matrix = mixing.mixing(registry.spectrum(spectrum), sensor, rule)
    grid = (image.shape[1] // patch, image.shape[2] // patch)
    tokens = encoder.apply({"params": params}, views.patchify(image, patch), matrix, grid)
    return cast(tuple[jax.Array, jax.Array], tokens)


def pool(params: Tree, normed: jax.Array, raw: jax.Array, pooling: Pooling) -> jax.Array:
    """Returns features [B, D] of tokens [B, 1 + N, D].

    "cls": the CLS token after the final norm.
    "mean": the final norm of the mean of the patch tokens.

    Args:
      params: of the whole model.
    """
    if pooling == "cls":
        return normed[:, 0]
    norm = params["encoder"]["transformer"]["norm"]
    mean = raw[:, 1:].mean(1).astype(jnp.float32)
    centred = mean - mean.mean(-1, keepdims=True)
    unit = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-6)
    return unit * norm["scale"][None] + norm["bias"][None]
