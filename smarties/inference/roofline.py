"""Where the time of a training step must go: its matrix products and attentions, timed alone.

What the step takes beyond them is bound by memory: norms, activations, residuals, the optimiser.
"""

import time
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp

from smarties.models import attention, masking
from smarties.tasks import pretraining

NAMES = ("matrix products", "attention")


def parts(task: pretraining.Pretraining) -> dict[str, Callable[[], float]]:
    """Returns {name: () -> seconds of one step spent so}, forward and backward, all blocks."""
    timed: dict[str, list[tuple[int, Callable[[], float]]]] = {name: [] for name in NAMES}
    for depth, make in _networks(task):
        for name, run in make.items():
            timed[name].append((depth, run))
    return {
        name: lambda runs=runs: sum(depth * run() for depth, run in runs)
        for name, runs in timed.items()
    }


def _networks(
    task: pretraining.Pretraining,
) -> Iterator[tuple[int, dict[str, Callable[[], float]]]]:
    images = 2 * sum(stream.examples_per_batch for stream in task.streams.values())
    visible = masking.visible_tokens(task.tokens, task.recipe.mask_ratio)
    encoder, decoder = task.model.encoder, task.model.decoder
    for net, tokens in ((encoder, visible + 1), (decoder, task.tokens + 1)):
        qkv = (images, tokens, 3, net.heads, net.width // net.heads)
        yield (
            net.depth,
            {
                "matrix products": _timed(
                    _dense, net.dtype, *_products(images * tokens, net.width)
                ),
                "attention": _timed(attention.KERNELS[net.kernel], net.dtype, qkv),
            },
        )


def _products(rows: int, width: int) -> tuple[tuple[int, ...], ...]:
    """Returns the shapes of a block's input, hidden activation and four kernels."""
    wide = 4 * width
    kernels = ((width, 3 * width), (width, width), (width, wide), (wide, width))
    return (rows, width), (rows, wide), *kernels


def _dense(x, hidden, qkv, proj, fc1, fc2):
    return x @ qkv, x @ proj, x @ fc1, hidden @ fc2


def _timed(function: Callable, dtype: jnp.dtype, *shapes: tuple[int, ...]) -> Callable[[], float]:
    """Returns () -> seconds of a function and its gradient on arrays of such shapes."""

    @jax.jit
    def both(arguments):
        outputs, back = jax.vjp(function, *arguments)
        return back(outputs)

    keys = jax.random.split(jax.random.key(0), len(shapes))
    arguments = [0.02 * jax.random.normal(k, s, dtype) for k, s in zip(keys, shapes, strict=True)]
    jax.block_until_ready(both(arguments))

    def run() -> float:
        start = time.perf_counter()
        jax.block_until_ready(both(arguments))
        return time.perf_counter() - start

    return run
