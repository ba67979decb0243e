"""MaskSDM: species from the predictors of a place of which any may be hidden or missing.

[arXiv 2503.13057, doi 10.1111/2041-210x.70200; periodic embeddings: Gorishniy et al. 2022, arXiv
2203.05556; transformer over tables: Gorishniy et al. 2021, arXiv 2106.11959]
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from smarties.models import attention, layout, transformer


class MaskSDM(nn.Module):
    """One token for each predictor, a transformer, their mean, and a score for each species.

    Nothing tells tokens apart but what is in them: hidden and missing predictors are all the same
    learned token, which takes part like any other.

    Attributes:
      levels: for each scalar predictor, how many levels it has; 0 for a number.
      vectors: the widths of predictors that are vectors, such as the embedding of a location or an
        image; each is one token.
      species: how many.
      width, depth, heads, hidden, dropout: of the transformer, see `transformer.Transformer`.
      frequencies, sigma: of a number's embedding: how many, and the spread they start from.
      kernel, remat, unroll, dtype: see `transformer.Transformer`.
    """

    levels: tuple[int, ...]
    vectors: tuple[int, ...]
    species: int
    width: int = 192
    depth: int = 7
    heads: int = 8
    hidden: int = 256
    dropout: float = 0.1
    frequencies: int = 48
    sigma: float = 0.01
    kernel: attention.Kernel = "xla"
    remat: transformer.Remat = "none"
    unroll: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        values: jax.Array,
        vectors: Sequence[jax.Array] = (),
        keep: jax.Array | None = None,
    ) -> jax.Array:
        """Returns scores [B, S], before the sigmoid.

        Given the random stream "dropout" it is a pass of training.

        Args:
          values: [B, F], standardised numbers and indices of levels; NaN where missing. An index
            that is no level counts as missing.
          vectors: [B, E] each; one with a NaN is missing.
          keep: [B, F + vectors], False where a predictor is hidden; None hides none.
        """
        tokens, there = self._tokens(values, vectors, keep)
        mask = self.param("mask_token", _uniform(self.width), (1, 1, self.width))
        x = jnp.where(there[:, :, None], tokens, mask).astype(self.dtype)
        x, *_ = transformer.Transformer(
            self.depth, self.heads, self.kernel, self.remat, self.unroll, self.dtype, 1e-5,
            self.hidden, "relu", self.dropout, final=False, name="encoder",
        )(layout.spread(x))  # fmt: skip
        pooled = transformer.norm(self.dtype, "norm", 1e-5)(x.mean(1))
        return _linear(self.species, self.width, "head")(jax.nn.relu(pooled)).astype(jnp.float32)

    def _tokens(
        self, values: jax.Array, vectors: Sequence[jax.Array], keep: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """Returns (tokens [B, T, D], which of them are neither hidden nor missing [B, T])."""
        numbers = [i for i, count in enumerate(self.levels) if not count]
        kinds = [i for i, count in enumerate(self.levels) if count]
        whole = (len(values), len(self.levels) + len(self.vectors))
        shown = jnp.ones(whole, bool) if keep is None else keep
        counts = jnp.array([count or math.inf for count in self.levels])[None]
        low = jnp.array([0 if count else -math.inf for count in self.levels])[None]
        there = shown[:, : len(self.levels)] & (values >= low) & (values < counts)
        # Hidden values go before anything is computed of them: 0 * NaN in a gradient is NaN.
        values = jnp.where(there, values, 0)
        tokens, known = [], []
        if numbers:
            tokens.append(
                Periodic(self.width, self.frequencies, self.sigma, name="periodic")(
                    values[:, numbers]
                )
            )
            known.append(there[:, numbers])
        if kinds:
            counts = tuple(self.levels[i] for i in kinds)
            tokens.append(Levels(self.width, counts, name="levels")(values[:, kinds]))
            known.append(there[:, kinds])
        for i, (width, vector) in enumerate(zip(self.vectors, vectors, strict=True)):
            given = shown[:, len(self.levels) + i] & jnp.isfinite(vector).all(1)
            vector = jnp.where(given[:, None], vector, 0)
            tokens.append(_linear(self.width, width, f"vector{i}")(vector)[:, None])
            known.append(given[:, None])
        return jnp.concatenate(tokens, 1), jnp.concatenate(known, 1)


class Periodic(nn.Module):
    """Tokens [B, F, D] of numbers [B, F]: ReLU of a linear layer on their cosines and sines.

    Each number has frequencies and a layer of its own.
    """

    width: int
    frequencies: int
    sigma: float

    @nn.compact
    def __call__(self, values: jax.Array) -> jax.Array:
        count, waves = values.shape[1], 2 * self.frequencies
        # Cut off at three spreads; JAX's initialiser would cut at two and then rescale.
        drawn = lambda key, shape: self.sigma * jax.random.truncated_normal(key, -3, 3, shape)  # noqa: E731
        frequency = self.param("frequency", drawn, (count, self.frequencies))
        kernel = self.param("kernel", _uniform(waves), (count, waves, self.width))
        bias = self.param("bias", _uniform(waves), (count, self.width))
        angle = 2 * jnp.pi * frequency[None] * values[:, :, None]
        wave = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1)
        return jax.nn.relu(jnp.einsum("bfp,fpd->bfd", wave, kernel) + bias[None])


class Levels(nn.Module):
    """Tokens [B, F, D] of the levels [B, F] of categorical predictors: a vector for each level."""

    width: int
    counts: tuple[int, ...]

    @nn.compact
    def __call__(self, indices: jax.Array) -> jax.Array:
        table = self.param("embedding", _uniform(self.width), (sum(self.counts), self.width))
        first = jnp.cumsum(jnp.array((0, *self.counts[:-1])))
        return table[indices.astype(jnp.int32) + first[None]]


def _uniform(fan_in: int) -> nn.initializers.Initializer:
    bound = 1 / math.sqrt(fan_in)
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(
        key, shape, dtype, -bound, bound
    )


def _linear(width: int, fan_in: int, name: str) -> nn.Dense:
    return nn.Dense(width, kernel_init=_uniform(fan_in), bias_init=_uniform(fan_in), name=name)
