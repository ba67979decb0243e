"""The CSMAE auto-encoder: each sensor of a pair passes alone, and may reconstruct the other.

A sensor has an embedding, a CLS token and, where `specific` is not 0, blocks of its own; `shared`
blocks and their norm serve all sensors. There is no attention between sensors.
[arXiv 2401.07782, doi 10.1109/TGRS.2024.3517150]
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from smarties.models import (
    attention,
    autoencoder,
    layout,
    masking,
    positions,
    spectral,
    transformer,
)
from smarties.typing import Key, Tree

Embedding = Literal["linear", "spectrum"]
Pooling = Literal["avg", "token"]
Decoding = Literal["common", "specific"]
EMBEDDINGS: tuple[Embedding, ...] = ("linear", "spectrum")
POOLINGS: tuple[Pooling, ...] = ("avg", "token")
DECODINGS: tuple[Decoding, ...] = ("common", "specific")

COMMON = "common"
_token = nn.initializers.normal(0.02)


class Job(NamedTuple):
    """One reconstruction of a pair's sensor 0 or 1.

    Attributes:
      source: whose visible tokens the decoder is given.
      target: whose pixels it predicts.
      slots: at whose visible positions the tokens are put: those of the source, where they belong.
      scored: (whose positions, "masked" or "visible") are predicted.
    """

    source: int
    target: int
    slots: int
    scored: tuple[int, Literal["masked", "visible"]]


class Stack(nn.Module):
    """What one sensor has of its own.

    Attributes:
      linear: whether patches are embedded here, or come as tokens.
      epsilon: and others, see `transformer.Transformer`; with `depth` 0 there is no norm either.
    """

    width: int
    depth: int
    heads: int
    linear: bool
    kernel: attention.Kernel = "xla"
    remat: transformer.Remat = "none"
    unroll: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, where: jax.Array) -> jax.Array:
        """Returns [B, 1 + n, D] of patches [B, n, C, P*P] or tokens [B, n, D].

        Args:
          x: as above.
          where: their positions, [1, n, D] or [B, n, D].
        """
        if self.linear:
            flat = x.reshape(*x.shape[:2], -1).astype(self.dtype)
            x = attention.dense(self.width, self.dtype, "embed")(flat)
        cls = self.param("cls_token", _token, (1, 1, self.width)).astype(self.dtype)
        x = x.astype(self.dtype) + where.astype(self.dtype)
        x = jnp.concatenate([jnp.broadcast_to(cls, (len(x), 1, self.width)), x], 1)
        if not self.depth:
            return x
        return transformer.Transformer(
            self.depth, self.heads, self.kernel, self.remat, self.unroll, self.dtype,
            name="transformer",
        )(x)[0]  # fmt: skip


class Encoder(nn.Module):
    """Patches of one of several sensors -> tokens.

    Attributes:
      sensors: names.
      width, heads: of the transformer.
      specific: blocks of each sensor.
      shared: blocks of all.
      grid: side of the token grid the positions belong to.
      pooling: "avg", a norm of the mean patch token; or "token", the CLS token.
      ranges: K, of embedding "spectrum", whose projection all sensors share; 0 for "linear", an
        embedding for each sensor's bands.
      scale: see `spectral.SpectrumProjection`.
      sensor: whose images `__call__` takes.
      order: of the channels there; () as they come.
      kernel, remat, unroll, dtype: see `transformer.Transformer`.
    """

    sensors: tuple[str, ...]
    width: int
    heads: int
    specific: int
    shared: int
    grid: int
    pooling: Pooling = "avg"
    ranges: int = 0
    scale: float = 12.0
    sensor: str = ""
    order: tuple[int, ...] = ()
    kernel: attention.Kernel = "xla"
    remat: transformer.Remat = "none"
    unroll: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        how = self.kernel, self.remat, self.unroll, self.dtype
        if self.ranges:
            self.projection = spectral.SpectrumProjection(
                self.ranges, self.width, self.scale, self.dtype
            )
        self.stack = {
            name: Stack(self.width, self.specific, self.heads, not self.ranges, *how)
            for name in self.sensors
        }
        self.common = transformer.Transformer(self.shared, self.heads, *how)
        if self.pooling == "avg":
            self.fc_norm = transformer.norm(self.dtype, None)

    @property
    def depth(self) -> int:
        """Of the deepest of its stacks."""
        return max(self.specific, self.shared)

    def own(
        self, sensor: str, patches: jax.Array, where: jax.Array, mixing: np.ndarray | None
    ) -> jax.Array:
        """Returns [B, 1 + n, D] of patches [B, n, C, P*P] after what is the sensor's own."""
        tokens = patches if mixing is None else self.projection(patches, mixing)
        return self.stack[sensor](tokens, where)

    def finish(self, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns ([B, 1 + n, D] after the shared blocks and their norm, the same before it)."""
        normed, raw = self.common(tokens)[:2]
        return normed, raw

    def pool(self, normed: jax.Array) -> jax.Array:
        """Returns features [B, D] of tokens [B, 1 + n, D]."""
        return self.fc_norm(normed[:, 1:].mean(1)) if self.pooling == "avg" else normed[:, 0]

    def __call__(
        self, patches: jax.Array, mixing: np.ndarray | None, grid: tuple[int, int]
    ) -> tuple[jax.Array, jax.Array]:
        """Returns `finish` of all patches [B, h * w, C, P*P] of a grid (h, w) of `sensor`."""
        if self.order:
            patches = patches[:, :, np.array(self.order)]
        where = jnp.asarray(positions.positions(grid, self.width, self.grid))[None]
        return self.finish(self.own(self.sensor, patches, where, mixing))


class Decoders(nn.Module):
    """One decoder for all sensors, or one for each target.

    Attributes:
      names: of the targets they serve, or `COMMON` alone.
      epsilon: of the norms, 1e-5 in the release.
      width and others: see `autoencoder.Decoder`.
    """

    names: tuple[str, ...]
    width: int
    depth: int
    heads: int
    grid: int
    kernel: attention.Kernel = "xla"
    remat: transformer.Remat = "none"
    unroll: int = 1
    dtype: jnp.dtype = jnp.float32
    epsilon: float = 1e-5

    def setup(self):
        sizes = self.width, self.depth, self.heads, self.grid
        how = self.kernel, self.remat, self.unroll, self.dtype, self.epsilon
        self.of = {name: autoencoder.Decoder(*sizes, *how) for name in self.names}

    def __call__(self, which: str, *arguments: jax.Array) -> jax.Array:
        return self.of[which](*arguments)


class Outputs(nn.Module):
    """Pixels [B, m, C, P*P] of decoder tokens [B, m, d]: a linear layer for each target.

    Attributes:
      bands: (sensor, C) for each target.
      pixels: P*P.
      ranges: K, of `spectral.ReconstructionHeads` in its place, which all targets share; or 0.
      dtype: of the computation.
    """

    bands: tuple[tuple[str, int], ...]
    pixels: int
    ranges: int = 0
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        if self.ranges:
            self.spectral = spectral.ReconstructionHeads(self.ranges, self.pixels, self.dtype)
        else:
            self.to = {
                name: nn.Dense(
                    count * self.pixels,
                    dtype=self.dtype,
                    kernel_init=nn.initializers.xavier_uniform(),
                )
                for name, count in self.bands
            }

    def __call__(self, target: str, tokens: jax.Array, mixing: np.ndarray | None) -> jax.Array:
        if mixing is not None:
            return self.spectral(tokens, mixing)
        return self.to[target](tokens).reshape(*tokens.shape[:2], -1, self.pixels)


class Csmae(nn.Module):
    """Encoder, decoders and outputs.

    Attributes:
      together: whether what both sensors pass through is called once, or for one after the other.
    """

    encoder: Encoder
    decoder: Decoders
    heads: Outputs
    together: bool = True

    def __call__(
        self,
        names: tuple[str, str],
        patches: tuple[jax.Array, jax.Array],
        mixings: tuple[np.ndarray | None, np.ndarray | None],
        masks: tuple[masking.Mask, masking.Mask],
        jobs: Sequence[Job],
    ) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
        """Returns (pooled features [B, D] of both sensors, pixels [B, m, C, P*P] of each job).

        Args:
          names: of the pair's sensors.
          patches: [B, N, C, P*P] of each.
          mixings: matrices [C, K] of each; None with linear embeddings.
          masks: what the encoder sees of each.
          jobs: what is reconstructed from what.
        """
        table = jnp.asarray(positions.positions((self.encoder.grid,) * 2, self.encoder.width))
        own = [
            self.encoder.own(name, autoencoder.take(part, mask.visible), table[mask.visible], mix)
            for name, part, mix, mask in zip(names, patches, mixings, masks, strict=True)
        ]
        call = _together if self.together else _apart
        encoded = call(lambda x: self.encoder.finish(x)[0], [(x,) for x in own])
        features = tuple(map(self.encoder.pool, encoded))
        decoded: dict[tuple[str, Job], jax.Array] = {}
        for name in self.decoder.names:
            mine = [key for key in decodings(self.decoder, names, jobs) if key[0] == name]
            inputs = [
                (encoded[job.source], masks[job.slots].visible, getattr(masks[side], part))
                for _, job in mine
                for side, part in (job.scored,)
            ]
            made = call(lambda *x, name=name: self.decoder(name, *x), inputs)
            decoded |= dict(zip(mine, made, strict=True))
        pixels = (
            self.heads(
                names[job.target], decoded[_key(self.decoder, names, job)], mixings[job.target]
            )
            for job in jobs
        )
        return features, tuple(pixels)


def decodings(
    decoder: Decoders, names: tuple[str, str], jobs: Sequence[Job]
) -> tuple[tuple[str, Job], ...]:
    """Returns the different (decoder, input) of jobs, often the same for both targets."""
    return tuple(dict.fromkeys(_key(decoder, names, job) for job in jobs))


def _key(decoder: Decoders, names: tuple[str, str], job: Job) -> tuple[str, Job]:
    target = names[job.target]
    return target if target in decoder.names else COMMON, job._replace(target=0)


def init(module: Csmae, key: Key) -> Tree:
    """Returns the parameters of all sensors, whatever is reconstructed: encoder, decoder, heads."""

    def everything(module: Csmae) -> None:
        tokens = module.encoder.grid**2
        everywhere = jnp.arange(tokens)[None]
        for name, count in module.heads.bands:
            matrix = np.eye(count, module.encoder.ranges) if module.encoder.ranges else None
            patches = jnp.zeros((1, tokens, count, module.heads.pixels))
            where = jnp.zeros((1, tokens, module.encoder.width))
            normed, _ = module.encoder.finish(module.encoder.own(name, patches, where, matrix))
            module.encoder.pool(normed)
            which = name if name in module.decoder.names else COMMON
            module.heads(name, module.decoder(which, normed, everywhere, everywhere), matrix)

    return module.init(key, method=everything)["params"]


def _together(
    function: Callable[..., jax.Array], inputs: Sequence[tuple[jax.Array, ...]]
) -> list[jax.Array]:
    """Returns the function of each tuple of inputs, in one call where their shapes are alike."""
    columns = list(zip(*inputs, strict=True))
    if not inputs or any(len({x.shape for x in column}) > 1 for column in columns):
        return _apart(function, inputs)
    return layout.part(function(*map(layout.join, columns)), columns[0])


def _apart(
    function: Callable[..., jax.Array], inputs: Sequence[tuple[jax.Array, ...]]
) -> list[jax.Array]:
    return [function(*row) for row in inputs]
