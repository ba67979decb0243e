"""Features of any sensor's images: pure functions, shared by evaluation and inference."""

import functools
from typing import Literal, cast

import jax
import jax.numpy as jnp

from smarties.data import views
from smarties.models import autoencoder, csmae
from smarties.spectrum import mixing, registry
from smarties.spectrum.bands import Sensor
from smarties.typing import Tree

Encoder = autoencoder.Encoder | csmae.Encoder
Pooling = Literal["cls", "mean"]
POOLINGS: tuple[Pooling, ...] = ("cls", "mean")


@functools.partial(jax.jit, static_argnames=("encoder", "sensor", "spectrum", "rule", "patch"))
def encode(
    encoder: Encoder,
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
    matrix = None  # of CSMAE's linear embeddings
    if encoder.ranges:
        matrix = mixing.mixing(registry.spectrum(spectrum), sensor, rule)
    grid = (image.shape[1] // patch, image.shape[2] // patch)
    tokens = encoder.apply({"params": params}, views.patchify(image, patch), matrix, grid)
    return cast(tuple[jax.Array, jax.Array], tokens)


def pool(params: Tree, normed: jax.Array, raw: jax.Array, pooling: Pooling) -> jax.Array:
    """Returns features [B, D] of tokens [B, 1 + N, D].

    "cls": the CLS token after the final norm.
    "mean": the final norm of the mean of the patch tokens; of CSMAE the mean of the patch tokens
    after the final norm, and the norm it has for this, where it was trained so.

    Args:
      params: of the whole model.
    """
    if pooling == "cls":
        return normed[:, 0]
    encoder = params["encoder"]
    if "common" not in encoder:
        return _norm(raw[:, 1:].mean(1), encoder["transformer"]["norm"])
    mean = normed[:, 1:].mean(1)
    return _norm(mean, encoder["fc_norm"]) if "fc_norm" in encoder else mean


def _norm(x: jax.Array, norm: Tree) -> jax.Array:
    x = x.astype(jnp.float32)
    centred = x - x.mean(-1, keepdims=True)
    unit = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-6)
    return unit * norm["scale"][None] + norm["bias"][None]
