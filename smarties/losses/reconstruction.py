"""Reconstruction error of masked tokens over their own bands."""

import jax
import jax.numpy as jnp


def standardise(target: jax.Array, valid: jax.Array, count: int | None = None) -> jax.Array:
    """Returns target [B, m, C, P*P] minus its mean over its std, over all bands of a patch jointly.

    The variance is unbiased over `count` values: C*P*P by default. The release tiles every sensor
    to 12 bands first, which changes nothing but that number: 12*P*P. Invalid pixels,
    valid [B, m, 1, P*P] = 0, do not count.
    [norm_pix_loss of MAE; eps 1e-6]
    """
    bands, pixels = target.shape[-2:]
    count = count or bands * pixels
    axes = (-2, -1)
    total = jnp.maximum(valid.sum(axes, keepdims=True) * bands, 1.0)
    mean = (target * valid).sum(axes, keepdims=True) / total
    square = (jnp.square(target - mean) * valid).sum(axes, keepdims=True) / total
    return (target - mean) * jax.lax.rsqrt(square * (count / (count - 1)) + 1e-6)


def token_error(prediction: jax.Array, target: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns the mean squared error [B, m] of each token; 0 where no pixel is valid.

    The mean is over the valid pixels of the token's own bands.
    """
    bands = target.shape[-2]
    square = jnp.square(prediction.astype(jnp.float32) - target) * valid
    return square.sum((-2, -1)) / jnp.maximum(valid.sum((-2, -1)) * bands, 1.0)
