"""AdamW with weight decay by name (Loshchilov and Hutter 2019, arXiv:1711.05101).

As "schedule_free" it is trained without a schedule: evaluated is the average of where it has been
(Defazio et al. 2024, arXiv:2405.15682).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from optax import contrib

from smarties import errors
from smarties.training import trees
from smarties.typing import Tree

KINDS = ("adamw", "schedule_free")

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
    free = is_schedule_free(config)
    if free:  # its average stands for momentum, and bends no schedule but the warm-up
        adam = optax.scale_by_rms(
            decay=config["beta2"], eps=config["epsilon"], eps_in_sqrt=False, bias_correction=True
        )
    else:
        adam = optax.scale_by_adam(b1=config["beta1"], b2=config["beta2"], eps=config["epsilon"])
    steps = [
        adam,
        optax.add_decayed_weights(
            config["weight_decay"], mask=lambda params: decay_mask(params, config["decay"])
        ),
        optax.scale_by_learning_rate(rate),
    ]
    before = [clip]
    if factor is not None:  # layers that stay as they are must not count in the norm either
        before, steps = [scaled(lambda path: np.sign(factor(path))), clip], [*steps, scaled(factor)]
    if free:
        steps = [contrib.schedule_free(optax.chain(*steps), rate, b1=config["beta1"])]
    return optax.chain(*before, *steps)


def is_schedule_free(config: Mapping[str, Any]) -> bool:
    """Returns whether the section `optimizer` says so; raises `UserError` where it cannot hold."""
    if config["kind"] not in KINDS:
        raise errors.unknown("optimizer.kind", config["kind"], KINDS)
    if config["kind"] != "schedule_free":
        return False
    if config["schedule"] != "constant" or config["ema"] or not config["beta1"]:
        raise errors.UserError(
            "optimizer.kind 'schedule_free' averages by itself: set optimizer.schedule to "
            "'constant', ema to 0 and beta1 above 0"
        )
    return True


def averaged(opt_state: Tree, params: Tree) -> Tree:
    """Returns the average that "schedule_free" evaluates, of the state of `make` and parameters."""
    return contrib.schedule_free_eval_params(opt_state[-1], params)


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
