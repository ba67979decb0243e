"""Multi-head self-attention with its products laid out for the machine at hand."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from smarties.models import layout

Kernel = Literal["xla", "cudnn"]


class Attention(nn.Module):
    """Self-attention over tokens [B, N, D] -> [B, N, D], qkv with bias.

    Attributes:
      heads: number of heads; divides D.
      kernel: "xla", or "cudnn" for the fused GPU kernel (bf16 or fp16; it raises where it does not
        apply).
      dtype: of the computation.
      dropout: of the attention weights, see `dropped`; the fused kernel has none.
    """

    heads: int
    kernel: Kernel = "xla"
    dtype: jnp.dtype = jnp.float32
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        qkv = Heads(self.heads, self.dtype, name="qkv")(x)
        if self.dropout:
            attended = _attend(qkv, lambda weights: dropped(self, weights, self.dropout))
        else:
            attended = KERNELS[self.kernel](qkv)
        attended = attended.reshape(x.shape)
        return dense(width, self.dtype, "proj")(layout.spread(attended, None, "tensor"))


class Heads(nn.Module):
    """Queries, keys and values [B, N, 3, heads, d] of tokens [B, N, D]: `dense`, split by head."""

    heads: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = x.shape[-1]
        shape = (3, self.heads, width // self.heads)
        split = (None, "tensor", None)
        kernel = self.param("kernel", nn.initializers.xavier_uniform(), (width, 3 * width))
        bias = self.param("bias", nn.initializers.zeros, (3 * width,)).reshape(1, 1, *shape)
        kernel, bias = kernel.astype(self.dtype).reshape(width, *shape), bias.astype(self.dtype)
        return layout.spread(jnp.tensordot(x, kernel, 1) + bias, None, *split)


def dense(width: int, dtype: jnp.dtype, name: str) -> nn.Dense:
    """Returns a linear layer with the initialisation of MAE: Xavier-uniform, bias zero."""
    return nn.Dense(width, dtype=dtype, kernel_init=nn.initializers.xavier_uniform(), name=name)


def dropped(module: nn.Module, x: jax.Array, rate: float) -> jax.Array:
    """Returns x [B, ...] with a share `rate` of it 0 and the rest larger by 1 / (1 - rate).

    Only where `module` is given the random stream "dropout", that is, in training.
    [Srivastava et al. 2014, JMLR 15:1929]
    """
    if not rate or not module.has_rng("dropout"):
        return x
    kept = jax.random.bernoulli(module.make_rng("dropout"), 1 - rate, x.shape)
    return jnp.where(layout.spread(kept), x / (1 - rate), 0)


def _attend(qkv: jax.Array, drop: Callable[[jax.Array], jax.Array] = lambda x: x) -> jax.Array:
    """qkv [B, N, 3, heads, d] -> [B, N, heads, d]; `drop` is applied to the attention weights.

    The barriers keep XLA from undoing the [B, heads, N, d] layout, in which both products are plain
    matrix products.
    """
    q, k, v = lax.optimization_barrier(tuple(jnp.transpose(qkv, (2, 0, 3, 1, 4))))
    scores = jnp.einsum("bhnd,bhmd->bhnm", q * q.shape[-1] ** -0.5, k)
    weights = drop(jax.nn.softmax(scores.astype(jnp.float32))).astype(v.dtype)
    mixed = lax.optimization_barrier(jnp.einsum("bhnm,bhmd->bhnd", weights, v))
    return jnp.transpose(mixed, (0, 2, 1, 3))


def _attend_cudnn(qkv: jax.Array) -> jax.Array:
    """qkv as above. Without a mask the kernel takes odd token counts too: nothing is padded."""
    q, k, v = (qkv[:, :, i] for i in range(3))
    return jax.nn.dot_product_attention(q, k, v, implementation="cudnn")


KERNELS = {"xla": _attend, "cudnn": _attend_cudnn}
