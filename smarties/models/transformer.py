"""A pre-norm transformer: the only file with lifted transforms (scan, rematerialisation)."""

from typing import Literal, cast

import jax
import jax.numpy as jnp
from flax import linen as nn

from smarties.models import attention, layout
from smarties.typing import Tree

Remat = Literal["none", "dots", "block"]
# What moves values without computing any; parameters that came by it are not kept, but come again.
_MOVES = {"sharding_constraint", "reshape", "transpose", "convert_element_type"}
_POLICIES = {
    "none": lambda primitive, *_, **__: primitive.name not in _MOVES,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "block": None,
}


ACTIVATIONS = {"gelu": lambda x: jax.nn.gelu(x, approximate=False), "relu": jax.nn.relu}


class Block(nn.Module):
    """One pre-norm block: attention and a network of one hidden layer, each a residual.

    For `hidden`, `activation` and `dropout` see `Transformer`.
    """

    heads: int
    kernel: attention.Kernel
    dtype: jnp.dtype
    epsilon: float = 1e-6
    hidden: int = 0
    activation: Literal["gelu", "relu"] = "gelu"
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, drop: jax.Array | None = None) -> jax.Array:
        """Returns tokens [B, N, D]; each residual of a sample is left out with probability `drop`.

        Those that stay are larger by 1 / (1 - drop): their expectation is that of all.
        [stochastic depth, Huang et al. 2016, arXiv:1603.09382]
        """
        width = x.shape[-1]
        attend = attention.Attention(self.heads, self.kernel, self.dtype, self.dropout, name="attn")
        x = x + self._kept(attend(norm(self.dtype, "norm1", self.epsilon)(x)), drop)
        y = attention.dense(self.hidden or 4 * width, self.dtype, "fc1")(
            norm(self.dtype, "norm2", self.epsilon)(x)
        )
        y = layout.spread(ACTIVATIONS[self.activation](y), None, "tensor")
        y = attention.dropped(self, y, self.dropout)
        return x + self._kept(attention.dense(width, self.dtype, "fc2")(y), drop)

    def _kept(self, residual: jax.Array, drop: jax.Array | None) -> jax.Array:
        residual = attention.dropped(self, residual, self.dropout)
        if drop is None:
            return residual
        kept = jax.random.bernoulli(self.make_rng("drop_path"), 1 - drop, (len(residual), 1, 1))
        return residual * (layout.spread(kept) / (1 - drop)).astype(residual.dtype)


class Transformer(nn.Module):
    """`depth` blocks, which may be none, and a final LayerNorm over tokens [B, N, D].

    Attributes:
      depth, heads: as named.
      kernel: attention kernel, see `attention.Attention`.
      remat: what the backward pass computes again: "none", "dots" (all but matrix products),
        "block" (everything). Parameters split over `fsdp` are gathered again in any case.
      unroll: blocks per iteration of the scan; more compiles longer and, on CPU, runs faster. With
        `remat` or `fsdp` it is one: XLA merges what unrolled blocks compute again with what they
        computed.
      dtype: of the computation; parameters stay float32.
      epsilon: of the norms.
      hidden, activation: of the network of a block; 0 for four times the width.
      dropout: in training, of attention weights, hidden units and residuals; a forward pass that is
        given the random stream "dropout" is one of training.
      final: whether the first tokens returned are normalised; else they are as the last block
        leaves them.
    """

    depth: int
    heads: int
    kernel: attention.Kernel = "xla"
    remat: Remat = "none"
    unroll: int = 1
    dtype: jnp.dtype = jnp.float32
    epsilon: float = 1e-6
    hidden: int = 0
    activation: Literal["gelu", "relu"] = "gelu"
    dropout: float = 0.0
    final: bool = True

    @nn.compact
    def __call__(
        self, x: jax.Array, drop_path: float = 0.0, depths: tuple[int, ...] = ()
    ) -> tuple[jax.Array, ...]:
        """Returns (tokens after the final norm, tokens before it, tokens after so many blocks ...).

        Args:
          x: tokens [B, N, D].
          drop_path: probability that a residual of the last block is left out, in training; it
            grows from 0 linearly with depth. Above 0 it needs the random stream "drop_path".
          depths: after how many blocks tokens are returned too.
        """
        if not self.depth:
            return self._last(x), x
        block = nn.map_variables(Block, "params", self._gathered, init=self.is_initializing())
        again = self.remat != "none" or layout.shards("fsdp") > 1
        if again:
            block = nn.remat(block, policy=_POLICIES[self.remat], prevent_cse=False)
        blocks = nn.scan(
            lambda module, carry, drop: _step(module, carry, drop, bool(depths)),
            variable_axes={"params": 0},
            split_rngs={"params": True, "drop_path": True, "dropout": True},
            length=self.depth,
            unroll=1 if again else min(self.unroll, self.depth),
        )
        rates = jnp.linspace(0.0, drop_path, self.depth) if drop_path else None
        each = block(
            self.heads, self.kernel, self.dtype, self.epsilon,
            self.hidden, self.activation, self.dropout, name="blocks",
        )  # fmt: skip
        x, every = blocks(each, x, rates)
        return (
            self._last(x),
            x,
            *(cast(jax.Array, every)[depth - 1] for depth in depths),
        )

    def _last(self, x: jax.Array) -> jax.Array:
        return norm(self.dtype, "norm", self.epsilon)(x) if self.final else x

    def _gathered(self, variables: Tree) -> Tree:
        if self.is_initializing():  # what comes back is kept
            return variables
        return {
            name: layout.gather(params, block=True, dtype=self.dtype)
            for name, params in variables.items()
        }


def _step(module, x: jax.Array, drop: jax.Array | None, kept: bool):
    x = layout.spread(module(x, drop))
    return x, x if kept else None


def norm(dtype: jnp.dtype, name: str | None, epsilon: float = 1e-6) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=epsilon, dtype=dtype, name=name)
