"""The SMARTIES auto-encoder: spectrum projection, encoder, light decoder, reconstruction heads."""

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from smarties.models import attention, layout, mixup, positions, spectral, transformer
from smarties.models.mixup import take

_token = nn.initializers.normal(0.02)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    width: int
    depth: int
    heads: int


SIZES = {
    "tiny": Size(width=192, depth=12, heads=3),
    "small": Size(width=384, depth=12, heads=6),
    "base": Size(width=768, depth=12, heads=12),
    "large": Size(width=1024, depth=24, heads=16),
    "huge": Size(width=1280, depth=32, heads=16),
    "giant": Size(width=1536, depth=40, heads=24),
}


class Reconstruction(flax.struct.PyTreeNode):
    """Predicted pixels of one sensor at the masked positions.

    Attributes:
      side: 0 for the pair's first sensor, 1 for the second.
      pixels: [B, m, C, P*P].
      weight: [B, m]; how much each counts.
    """

    side: int = flax.struct.field(pytree_node=False)
    pixels: jax.Array
    weight: jax.Array


class Encoder(nn.Module):
    """Patches of any sensor -> tokens.

    Attributes:
      width, depth, heads: of the transformer.
      grid: side of the token grid the positions belong to.
      ranges: K.
      scale: see `spectral.SpectrumProjection`.
      kernel, remat, unroll, dtype: see `transformer.Transformer`.
    """

    width: int
    depth: int
    heads: int
    grid: int
    ranges: int
    scale: float = 12.0
    kernel: attention.Kernel = "xla"
    remat: transformer.Remat = "none"
    unroll: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        self.projection = spectral.SpectrumProjection(
            self.ranges, self.width, self.scale, self.dtype
        )
        self.cls_token = self.param("cls_token", _token, (1, 1, self.width))
        self.transformer = transformer.Transformer(
            self.depth, self.heads, self.kernel, self.remat, self.unroll, self.dtype
        )

    def project(self, patches: jax.Array, mixing: np.ndarray) -> jax.Array:
        """Returns tokens [B, n, D] of patches [B, n, C, P*P], without positions."""
        return self.projection(patches, mixing)

    def encode(
        self, tokens: jax.Array, drop_path: float = 0.0, depths: tuple[int, ...] = ()
    ) -> tuple[jax.Array, ...]:
        """Returns ([B, 1 + n, D] normed, the same before the norm) of placed tokens [B, n, D].

        Other arguments, and what else they return, are of `transformer.Transformer`.
        """
        cls = jnp.broadcast_to(self.cls_token.astype(self.dtype), (tokens.shape[0], 1, self.width))
        tokens = jnp.concatenate([cls, tokens.astype(self.dtype)], 1)
        return self.transformer(tokens, drop_path, depths)

    def place(self, tokens: jax.Array, grid: tuple[int, int]) -> jax.Array:
        """Returns tokens [B, h * w, D] of a grid (h, w) with their positions added."""
        where = positions.positions(grid, self.width, self.grid)
        return tokens + where[None].astype(self.dtype)

    def __call__(
        self, patches: jax.Array, mixing: np.ndarray, grid: tuple[int, int]
    ) -> tuple[jax.Array, ...]:
        """Returns `encode` of all patches [B, h * w, C, P*P] of a grid (h, w)."""
        return self.encode(self.place(self.project(patches, mixing), grid))


class Decoder(nn.Module):
    """Visible tokens -> a token per masked position.

    Attributes: as of `Encoder`, and of `transformer.Transformer`.
    """

    width: int = 512
    depth: int = 8
    heads: int = 16
    grid: int = 14
    kernel: attention.Kernel = "xla"
    remat: transformer.Remat = "none"
    unroll: int = 1
    dtype: jnp.dtype = jnp.float32
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, encoded: jax.Array, visible: jax.Array, masked: jax.Array) -> jax.Array:
        """Returns [B, m, d] for encoded [B, 1 + v, D] and the positions they belong to.

        Those that are masked need not be all others, nor others at all.

        Attention does not see order, so the tokens stay in the order of the draw: nothing is
        shuffled back.
        """
        table = jnp.asarray(positions.positions((self.grid, self.grid), self.width), self.dtype)
        mask = self.param("mask_token", _token, (1, 1, self.width)).astype(self.dtype)
        known = attention.dense(self.width, self.dtype, "embed")(encoded)
        known = known + jnp.pad(table[visible], ((0, 0), (1, 0), (0, 0)))
        x, _ = transformer.Transformer(
            self.depth, self.heads, self.kernel, self.remat, self.unroll, self.dtype,
            self.epsilon, name="transformer",
        )(jnp.concatenate([known, mask + table[masked]], 1))  # fmt: skip
        return x[:, known.shape[1] :]


class AutoEncoder(nn.Module):
    """Cross-sensor masked auto-encoder with token mixup. [SMARTIES, arXiv 2506.19585]

    Attributes:
      encoder, decoder: the two halves.
      pixels: P*P.
      mode: "mirrored" or "released", see `mixup.mix`.
    """

    encoder: Encoder
    decoder: Decoder
    pixels: int
    mode: mixup.Mixup = "mirrored"

    def setup(self):
        self.heads = spectral.ReconstructionHeads(
            self.encoder.ranges, self.pixels, self.decoder.dtype
        )

    def __call__(
        self,
        streams: tuple[tuple[jax.Array, jax.Array], ...],
        mixings: tuple[tuple[np.ndarray, np.ndarray], ...],
        draws: tuple[mixup.Draw, ...],
    ) -> tuple[tuple[Reconstruction, ...], ...]:
        """Returns the reconstructions of each stream of pairs.

        Args:
          streams: per stream the patches ([b, N, C1, P*P], [b, N, C2, P*P]) of the two sensors.
          mixings: per stream the mixing matrices ([C1, K], [C2, K]).
          draws: one per stream.
        """
        tokens = [
            self._mixed(pair, matrices, draw)
            for pair, matrices, draw in zip(streams, mixings, draws, strict=True)
        ]
        both = layout.join([mixed[side] for side in (0, 1) for mixed in tokens])
        visible = layout.join([draw.visible for draw in 2 * draws])
        masked = layout.join([draw.masked for draw in 2 * draws])
        table = positions.positions((self.encoder.grid, self.encoder.grid), self.encoder.width)
        encoded, _ = self.encoder.encode(both + jnp.asarray(table, both.dtype)[visible])
        decoded = self.decoder(encoded, visible, masked)
        parts = layout.part(decoded, [draw.visible for draw in 2 * draws])
        ones, twos = parts[: len(draws)], parts[len(draws) :]
        return tuple(
            tuple(
                Reconstruction(side=side, pixels=self.heads(out, matrices[side]), weight=weight)
                for side, out, weight in mixup.unmix(
                    one, two, take(draw.first, draw.masked), self.mode
                )
            )
            for matrices, one, two, draw in zip(mixings, ones, twos, draws, strict=True)
        )

    def _mixed(self, pair, matrices, draw: mixup.Draw) -> tuple[jax.Array, jax.Array]:
        """Only visible patches are projected: the masked ones cannot reach the encoder."""
        first, second = (
            self.encoder.project(take(patches, draw.visible), m)
            for patches, m in zip(pair, matrices, strict=True)
        )
        return mixup.mix(first, second, take(draw.first, draw.visible), self.mode)
