"""Projection and reconstruction of any sensor through its mixing matrix M [C, K].

    tokens  = scale * mean_c (patches[c] @ (M W)[c] + (M b)[c])
    pixels  = token @ (M H)[c] + (M h)[c]

W and H hold one projection and one head per spectral range.
[SMARTIES, arXiv 2506.19585, spectrum-aware projection]
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

_xavier = nn.initializers.variance_scaling(
    1.0, "fan_avg", "uniform", in_axis=-2, out_axis=-1, batch_axis=0
)


class SpectrumProjection(nn.Module):
    """Tokens [B, N, D] of patches [B, N, C, P*P] (pixels row-major in a patch).

    Attributes:
      ranges: K, the learned projections.
      width: D.
      scale: factor on the mean over bands; 12 in the release, its largest band count.
      dtype: of the computation.
    """

    ranges: int
    width: int
    scale: float = 12.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, patches: jax.Array, mixing: np.ndarray) -> jax.Array:
        *batch, bands, pixels = patches.shape
        kernel = self.param("kernel", _xavier, (self.ranges, pixels, self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.ranges, self.width))
        share = mixing * (self.scale / bands)
        mixed = jnp.einsum("ck,kpd->cpd", share, kernel).reshape(bands * pixels, self.width)
        flat = patches.reshape(*batch, bands * pixels).astype(self.dtype)
        offset = (share.sum(0, keepdims=True) @ bias).reshape(*(1,) * len(batch), self.width)
        return flat @ mixed.astype(self.dtype) + offset.astype(self.dtype)


class ReconstructionHeads(nn.Module):
    """Pixels [B, N, C, P*P] of decoder tokens [B, N, D], for the bands of one sensor only.

    Attributes:
      ranges: K, the learned heads.
      pixels: P*P.
      dtype: of the computation.
    """

    ranges: int
    pixels: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array, mixing: np.ndarray) -> jax.Array:
        *batch, width = tokens.shape
        kernel = self.param("kernel", _xavier, (self.ranges, width, self.pixels))
        bias = self.param("bias", nn.initializers.zeros, (self.ranges, self.pixels))
        mixed = jnp.einsum("ck,kdp->dcp", mixing, kernel).reshape(width, -1)
        offset = (mixing @ bias).reshape(*(1,) * len(batch), -1)
        flat = tokens.astype(self.dtype) @ mixed.astype(self.dtype) + offset.astype(self.dtype)
        return flat.reshape(*batch, len(mixing), self.pixels)
