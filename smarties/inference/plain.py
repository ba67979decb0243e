"""Pretraining as the public release computes it, in plain JAX: the baseline of `smarties bench`.

Every sensor is tiled to 12 bands and every token of it projected before the mask is drawn; the two
mixed streams pass through the transformer one after the other; decoder tokens are put back in image
order; the heads predict 12 bands of all tokens, and the loss is masked last. Parameters, draws and
loss are those of `tasks.pretraining.Pretraining`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smarties.losses import reconstruction
from smarties.models import mixup, positions
from smarties.tasks import pretraining, streams
from smarties.typing import Key, Tree

BANDS = 12


class Plain(pretraining.Pretraining):
    """The same task, its loss doing more work for the same number; rows of M must be one-hot."""

    def loss(self, params: Tree, batch: Tree, key: Key) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns what `Pretraining.loss` does."""
        window_key, draw_key = jax.random.split(key)
        patches, valid = self.view(batch, window_key)
        recipe, draws = self.recipe, self.draws(draw_key, [len(first) for first, _ in patches])
        draw = jax.tree.map(lambda *parts: jnp.concatenate(parts), *draws)
        mixed = mixup.mix(*self._project(params, patches), draw.first, recipe.mixup)
        targets = self._mix_pixels(self._targets(patches, valid), draw.first)
        masks = self._mix_pixels(
            tuple(jnp.concatenate(side) for side in zip(*valid, strict=True)), draw.first
        )
        masked = 1.0 - _among(draw.visible, self.tokens)
        error, weight = jnp.zeros(()), jnp.zeros(())
        for number, tokens in enumerate(mixed):
            decoded = self._decode(
                params["decoder"], self._encode(params["encoder"], tokens, draw), draw
            )
            pixels = self._predict(params["heads"], decoded, draw.first, number, patches)
            error += (
                reconstruction.token_error(pixels, targets[number], masks[number]) * masked
            ).sum(1)
            weight += ((masks[number].sum((-2, -1)) > 0) * masked).sum(1)
        return streams.mean_over_seen([error / (weight + 1e-6)], valid)

    def _project(self, params: Tree, patches: pretraining.Patches) -> tuple[jax.Array, jax.Array]:
        """Returns tokens [B, N, D] of the two sensors: each band by its own gathered projection."""
        kernel, bias = (params["encoder"]["projection"][name] for name in ("kernel", "bias"))
        encoder = self.model.encoder

        def tokens(x, mixing):
            index = _ranges(mixing)
            bands = jnp.einsum(
                "bncp,cpd->bncd",
                tile(x).astype(encoder.dtype),
                kernel[index].astype(encoder.dtype),
            )
            return (bands + bias[index].astype(encoder.dtype)[None, None]).mean(2) * encoder.scale

        first, second = (
            jnp.concatenate(
                [tokens(p[side], m[side]) for p, m in zip(patches, self.mixings, strict=True)]
            )
            for side in (0, 1)
        )
        return first, second

    def _targets(self, patches: pretraining.Patches, valid) -> tuple[jax.Array, ...]:
        """Returns the targets [B, N, 12, P*P] of the two sensors."""

        def target(x, mask):
            count = self.count or x.shape[2] * x.shape[3]
            wide = tile(x)
            standardised = self.recipe.standardise_targets
            return reconstruction.standardise(wide, mask, count) if standardised else wide

        return tuple(
            jnp.concatenate([target(p[i], v[i]) for p, v in zip(patches, valid, strict=True)])
            for i in (0, 1)
        )

    def _mix_pixels(self, sides: tuple[jax.Array, ...], keep: jax.Array) -> tuple[jax.Array, ...]:
        first, second = sides
        where = keep[:, :, None, None]
        other = jnp.where(where, second, first) if self.recipe.mixup == "mirrored" else second
        return jnp.where(where, first, second), other

    def _encode(self, params: Tree, tokens: jax.Array, draw: mixup.Draw) -> jax.Array:
        """Returns [B, 1 + v, D] of the visible ones of all tokens [B, N, D]."""
        encoder = self.model.encoder
        table = positions.positions((encoder.grid, encoder.grid), encoder.width)
        x = mixup.take(tokens + jnp.asarray(table, tokens.dtype)[None], draw.visible)
        cls = jnp.broadcast_to(params["cls_token"].astype(x.dtype), (len(x), 1, encoder.width))
        x = jnp.concatenate([cls, x], 1)
        return transformer(params["transformer"], x, encoder.heads, encoder.unroll)

    def _decode(self, params: Tree, encoded: jax.Array, draw: mixup.Draw) -> jax.Array:
        """Returns [B, N, d] in image order."""
        decoder = self.model.decoder
        x = dense(params["embed"], encoded)
        shape = (*draw.masked.shape, decoder.width)
        mask = jnp.broadcast_to(params["mask_token"].astype(x.dtype), shape)
        order = jnp.concatenate([draw.visible, draw.masked], 1)
        patches = mixup.take(jnp.concatenate([x[:, 1:], mask], 1), jnp.argsort(order, axis=1))
        table = positions.positions((decoder.grid, decoder.grid), decoder.width)
        x = jnp.concatenate([x[:, :1], patches + jnp.asarray(table, x.dtype)[None]], 1)
        return transformer(params["transformer"], x, decoder.heads, decoder.unroll)[:, 1:]

    def _predict(
        self, heads: Tree, decoded: jax.Array, keep: jax.Array, number: int, patches
    ) -> jax.Array:
        """Returns 12 bands [B, N, 12, P*P] of all tokens of stream `number`, each of its sensor.

        Tokens are gathered by sensor, which needs no more products than there are tokens, and
        scattered back.
        """
        kept = int(self.tokens * self.recipe.mix_ratio)
        order = jnp.argsort(~keep, axis=1)
        back = jnp.argsort(order, axis=1)
        out, seen = [], 0
        for pair, mixings in zip(patches, self.mixings, strict=True):
            rows = slice(seen, seen + len(pair[0]))
            seen = rows.stop
            if number and self.recipe.mixup == "released":
                out.append(head(heads, decoded[rows], mixings[1]))
                continue
            sorted_ = mixup.take(decoded[rows], order[rows])
            sensors = mixings[::-1] if number else mixings
            parts = (sorted_[:, :kept], sorted_[:, kept:])
            predicted = [head(heads, x, m) for x, m in zip(parts, sensors, strict=True)]
            out.append(mixup.take(jnp.concatenate(predicted, 1), back[rows]))
        return jnp.concatenate(out)


def tile(patches: jax.Array) -> jax.Array:
    """Returns [B, N, 12, P*P]: the bands of a sensor repeated."""
    return jnp.tile(patches, (1, 1, BANDS // patches.shape[2], 1))


def head(params: Tree, tokens: jax.Array, mixing: np.ndarray) -> jax.Array:
    """Returns 12 bands [B, n, 12, P*P] of decoder tokens [B, n, d], each by its gathered head."""
    index = _ranges(mixing)
    kernel, bias = (params[name][index].astype(tokens.dtype) for name in ("kernel", "bias"))
    return jnp.einsum("bnd,cdp->bncp", tokens, kernel) + bias[None, None]


def transformer(params: Tree, x: jax.Array, heads: int, unroll: int) -> jax.Array:
    """Returns tokens [B, N, D] after the blocks and the final norm."""

    def block(x, p):
        x = x + attention(p["attn"], norm(p["norm1"], x), heads)
        y = jax.nn.gelu(dense(p["fc1"], norm(p["norm2"], x)), approximate=False)
        return x + dense(p["fc2"], y), None

    depth = len(params["blocks"]["norm1"]["scale"])
    x, _ = lax.scan(block, x, params["blocks"], unroll=min(unroll, depth))
    return norm(params["norm"], x)


def attention(params: Tree, x: jax.Array, heads: int) -> jax.Array:
    """Returns self-attention over tokens [B, N, D], products over [B, N, heads, d] as is."""
    qkv = dense(params["qkv"], x).reshape(*x.shape[:2], 3, heads, -1)
    q, k, v = (qkv[:, :, i] for i in range(3))
    scores = jnp.einsum("bnhd,bmhd->bhnm", q, k) * q.shape[-1] ** -0.5
    weights = jax.nn.softmax(scores.astype(jnp.float32)).astype(v.dtype)
    return dense(params["proj"], jnp.einsum("bhnm,bmhd->bnhd", weights, v).reshape(x.shape))


def dense(params: Tree, x: jax.Array) -> jax.Array:
    """Returns x @ kernel + bias."""
    return x @ params["kernel"].astype(x.dtype) + params["bias"].astype(x.dtype)[None, None]


def norm(params: Tree, x: jax.Array) -> jax.Array:
    """Returns the LayerNorm of x, in float32 inside."""
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(-1, keepdims=True)
    unit = centred * lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-6)
    return (unit * params["scale"][None, None] + params["bias"][None, None]).astype(x.dtype)


def _ranges(mixing: np.ndarray) -> np.ndarray:
    """Returns the range of each of the 12 tiled bands."""
    return np.tile(mixing.argmax(1), BANDS // len(mixing))


def _among(at: jax.Array, tokens: int) -> jax.Array:
    """Returns [B, N] float: 1 at the positions `at` [B, n]."""
    rows = jnp.indices(at.shape)
    return jnp.zeros((len(at), tokens)).at[rows[0], at].set(1.0)
