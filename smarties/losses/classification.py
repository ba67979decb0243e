"""Losses of class scores, per sample [B]: several labels, one, or one for each pixel."""

import jax
import jax.numpy as jnp
import optax


def binary(logits: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the mean over classes of the binary cross-entropy [B] of logits [B, L].

    Args:
      logits: of the classes.
      target: [B, L], 0..1.
    """
    return optax.sigmoid_binary_cross_entropy(logits, target).mean(-1)


def soft(logits: jax.Array, target: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Returns the cross-entropy [B] of logits [B, L] with target distributions [B, L].

    [label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7]

    Args:
      logits: of the classes.
      target: rows sum to one.
      smoothing: share of the target that is spread evenly over all classes.
    """
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(target, smoothing))


def pixels(
    logits: jax.Array, labels: jax.Array, ignore: int, smoothing: float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Returns (mean cross-entropy [B] over the pixels that count, how many those are [B]).

    The loss of an image without any is 0.

    Args:
      logits: [B, H, W, L].
      labels: [B, H, W] integers, class indices or `ignore`.
      ignore: the label of pixels that do not count.
      smoothing: see `soft`.
    """
    counts = labels != ignore
    target = jax.nn.one_hot(jnp.where(counts, labels, 0), logits.shape[-1])
    value = soft(logits, target, smoothing) * counts
    number = counts.sum((1, 2))
    return value.sum((1, 2)) / jnp.maximum(number, 1), number
