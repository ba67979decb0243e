"""Low-rank adaptation of the attention projections (Hu et al. 2021, arXiv:2106.09685).

kernel' = kernel + scale * down @ up for every block, with down [D, r] random and up [r, *] zero at
first. The sum is formed before the encoder runs: the adapted model is an encoder like any other,
and `merged` is also how it is exported.
"""

import jax
import jax.numpy as jnp

from smarties.errors import UserError
from smarties.typing import Key, Tree

LAYERS = ("qkv", "proj")


def init(key: Key, encoder: Tree, rank: int) -> Tree:
    """Returns {layer: {"down": [depth, D, r], "up": [depth, r, *]}} of an encoder's parameters.

    Raises:
      UserError: a rank that is not below the width.
    """
    attention = encoder["transformer"]["blocks"]["attn"]
    adapters = {}
    for i, layer in enumerate(LAYERS):
        depth, width, out = attention[layer]["kernel"].shape
        if not 0 < rank < width:
            raise UserError(f"task.lora_rank is {rank}: 1 or more, and below the width {width}")
        noise = jax.random.normal(jax.random.fold_in(key, i), (depth, width, rank))
        up = jnp.zeros((depth, rank, out))
        adapters[layer] = {"down": noise * width**-0.5, "up": up}
    return adapters


def merged(encoder: Tree, adapters: Tree, scale: float) -> Tree:
    """Returns the encoder's parameters with the adapters in its kernels."""
    blocks = encoder["transformer"]["blocks"]
    attention = dict(blocks["attn"])
    for layer, adapter in adapters.items():
        change = jnp.einsum("ldr,lro->ldo", adapter["down"], adapter["up"])
        kernel = attention[layer]["kernel"] + scale * change
        attention[layer] = {**attention[layer], "kernel": kernel}
    transformer = {**encoder["transformer"], "blocks": {**blocks, "attn": attention}}
    return {**encoder, "transformer": transformer}
