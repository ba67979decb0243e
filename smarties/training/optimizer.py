"""AdamW with weight decay on kernels only (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from smarties import errors
from smarties.training import trees
from smarties.typing import Tree

# Decided by name: parameters of scanned blocks have one dimension more than their layer's.
DECAY = {
    "kernels": r"(.*/)?kernel",
    "released": r"(.*/)?(kernel|cls_token|mask_token)",  # the public code exempts 1-D only
    "all": r".*",  # as CSMAE's does
}


def decay_mask(params: Tree, decay: str) -> Tree:
    """Returns a pytree of bool: True where weight decay applies."""
    if decay not in DECAY:
        raise errors.unknown("optimizer.decay", decay, DECAY)
    pattern = re.compile(DECAY[decay])
    decays = lambda keys, _: pattern.fullmatch(trees.path_of(keys)) is not None  # noqa: E731
    return jax.tree_util.tree_map_with_path(decays, params)


def make(
    config: Mapping[str, Any],
    rate: optax.Schedule,
    factor: Callable[[str], float | Sequence[float]] | None = None,
) -> optax.GradientTransformation:
    """Returns clipping by global norm (`clip_norm`, 0 = off) followed by AdamW.

    Takes and gives trees of trainable parameters, which hold no subtree "stats".

    Args:
      config: the section `optimizer`.
      rate: the learning rate.
      factor: of it by the path of a parameter, see `scaled`; None for 1.
    """
    if config["clip_norm"] < 0:
        raise errors.UserError(
            f"optimizer.clip_norm is {config['clip_norm']}: must be positive, or 0 for no clipping"
        )
    clip = (
        optax.clip_by_global_norm(config["clip_norm"]) if config["clip_norm"] else optax.identity()
    )
    steps = [
        clip,
        optax.scale_by_adam(b1=config["beta1"], b2=config["beta2"], eps=config["epsilon"]),
        optax.add_decayed_weights(
            config["weight_decay"], mask=lambda params: decay_mask(params, config["decay"])
        ),
        optax.scale_by_learning_rate(rate),
    ]
    if factor is not None:  # layers that stay as they are must not count in the norm either
        steps = [scaled(lambda path: np.sign(factor(path))), *steps, scaled(factor)]
    return optax.chain(*steps)


def scaled(factor: Callable[[str], Any]) -> optax.GradientTransformation:
    """Returns the multiplication of each update by the factor of its path.

    Several factors are those of stacked layers, along the first axis. Applied after Adam, whose
    steps do not depend on the size of gradients, a factor is one of the learning rate: so decay by
    layer acts. [layer-wise decay: Clark et al. 2020, arXiv:2003.10555, section 3.1]
    """

    def one(keys: tuple, update: jax.Array) -> jax.Array:
        factors = np.asarray(factor(trees.path_of(keys)), np.float32)
        if factors.ndim:
            factors = factors.reshape(-1, *(1,) * (update.ndim - 1))
        return update * factors

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(one, updates))
