"""Losses that bring together the features of one place by two sensors, per pair [B]."""

import jax
import jax.numpy as jnp


def unit(x: jax.Array) -> jax.Array:
    """Returns features [B, D] at unit length, float32; zero stays zero."""
    x = x.astype(jnp.float32)
    return x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-8)


def discrepancy(first: jax.Array, second: jax.Array) -> jax.Array:
    """Returns -log(1 + exp(cos)) [B] of features [B, D]; least, -1.3133, where they are parallel.

    [CSMAE, arXiv 2401.07782, inter-modal discrepancy elimination (MDE)]
    """
    return -jax.nn.softplus((unit(first) * unit(second)).sum(-1))


def mutual_information(first: jax.Array, second: jax.Array, temperature: float = 0.5) -> jax.Array:
    """Returns NT-Xent [B] of features [B, D]: the mean of both directions.

    The other sensor's image of the place is the positive; all other images of either sensor are
    negatives. Features that are all alike give log(2B - 1).
    [CSMAE, arXiv 2401.07782, mutual information maximisation (MIM); Chen et al. 2020,
    arXiv:2002.05709, equation 1]
    """
    one, two = unit(first), unit(second)
    across, *within = ((a @ b.T) / temperature for a, b in ((one, two), (one, one), (two, two)))
    itself = jnp.eye(len(one), dtype=bool)
    losses = []
    for others, own in zip((across, across.T), within, strict=True):
        every = jnp.concatenate([others, jnp.where(itself, -jnp.inf, own)], 1)
        losses.append(jax.nn.logsumexp(every, 1) - jnp.diagonal(others))
    return (losses[0] + losses[1]) / 2
