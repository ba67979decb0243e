"""Heads of dense prediction: token maps [B, h, w, F] to class scores [B, H, W, L].

Group normalisation stands in for batch normalisation: parameters stay the only state.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

Kind = Literal["linear", "conv", "upernet"]
KINDS: tuple[Kind, ...] = ("linear", "conv", "upernet")


def resize(x: jax.Array, side: int) -> jax.Array:
    """Returns x [B, h, w, F] at `side` x `side`, bilinear."""
    return jax.image.resize(x, (len(x), side, side, x.shape[-1]), "bilinear", antialias=False)


class Linear(nn.Module):
    """Scores of each token by itself, a 1 x 1 convolution, then enlarged; parameters as of `Dense`.

    [SMARTIES release, DFC2020]
    """

    classes: int
    std: float = 0.01

    @nn.compact
    def __call__(self, maps: tuple[jax.Array, ...], side: int) -> jax.Array:
        """Returns scores [B, side, side, L] of the last of the maps."""
        x = maps[-1]
        kernel = self.param(
            "kernel", nn.initializers.truncated_normal(self.std), (x.shape[-1], self.classes)
        )
        bias = self.param("bias", nn.initializers.zeros, (self.classes,))
        return resize(x @ kernel + bias.reshape(1, 1, 1, -1), side)


class Conv(nn.Module):
    """Two transposed convolutions, each twice the side, then scores of each place."""

    classes: int
    width: int = 256

    @nn.compact
    def __call__(self, maps: tuple[jax.Array, ...], side: int) -> jax.Array:
        """Returns scores [B, side, side, L] of the last of the maps."""
        x = maps[-1]
        for i in range(2):
            x = nn.ConvTranspose(self.width, (2, 2), (2, 2), name=f"up{i}")(x)
            x = jax.nn.gelu(_norm(self.width, f"norm{i}")(x))
        return resize(nn.Dense(self.classes, name="scores")(x), side)


class UPerNet(nn.Module):
    """Pyramid pooling of the deepest map, and a feature pyramid over four depths of a plain ViT.

    Maps of a ViT have one size: the first is enlarged four times, the second twice, the last made
    half as large, as is usual. [Xiao et al. 2018, arXiv:1807.10221; pooling: Zhao et al. 2017,
    arXiv:1612.01105]
    """

    classes: int
    width: int = 256
    bins: tuple[int, ...] = (1, 2, 3, 6)

    @nn.compact
    def __call__(self, maps: tuple[jax.Array, ...], side: int) -> jax.Array:
        """Returns scores [B, side, side, L] of maps of four depths, the shallowest first."""
        grid = maps[0].shape[1]
        sides = (4 * grid, 2 * grid, grid, max(1, grid // 2))
        levels = [resize(x, n) for x, n in zip(maps, sides, strict=True)]
        pooled = [
            resize(self._layer(resize_mean(levels[-1], n), f"pool{n}"), sides[-1])
            for n in self.bins
        ]
        top = self._layer(jnp.concatenate([levels[-1], *pooled], -1), "pooled", kernel=3)
        found = [top]
        for i in (2, 1, 0):
            lateral = self._layer(levels[i], f"lateral{i}")
            found.insert(0, lateral + resize(found[0], sides[i]))
        smooth = [self._layer(x, f"smooth{i}", kernel=3) for i, x in enumerate(found)]
        joined = jnp.concatenate([resize(x, sides[0]) for x in smooth], -1)
        x = self._layer(joined, "fused", kernel=3)
        return resize(nn.Dense(self.classes, name="scores")(x), side)

    def _layer(self, x: jax.Array, name: str, kernel: int = 1) -> jax.Array:
        x = nn.Conv(self.width, (kernel, kernel), use_bias=False, name=name)(x)
        return jax.nn.relu(_norm(self.width, f"{name}_norm")(x))


def resize_mean(x: jax.Array, bins: int) -> jax.Array:
    """Returns the means of x [B, h, w, F] over bins x bins cells that cover it, as [B, n, n, F].

    Cells begin at floor(i h / n) and end at ceil((i + 1) h / n), as of adaptive pooling.
    """
    rows, columns = (_cells(size, bins) for size in x.shape[1:3])
    return jnp.einsum("nh,mw,bhwf->bnmf", rows, columns, x)


def _cells(size: int, bins: int) -> jax.Array:
    at = jnp.arange(size)[None]
    first = jnp.arange(bins)[:, None] * size // bins
    last = -(-(jnp.arange(bins)[:, None] + 1) * size // bins)
    inside = ((at >= first) & (at < last)).astype(jnp.float32)
    return inside / inside.sum(1, keepdims=True)


def _norm(width: int, name: str) -> nn.GroupNorm:
    return nn.GroupNorm(num_groups=min(32, width // 4), name=name)


HEADS = {"linear": Linear, "conv": Conv, "upernet": UPerNet}
