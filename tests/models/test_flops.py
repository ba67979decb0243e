"""Operations counted by hand, beside those XLA counts in the compiled program."""

import jax
import jax.numpy as jnp
import pytest

from smarties.models import flops, transformer

IMAGES, TOKENS, WIDTH, HEADS = 2, 24, 128, 4


def by_xla(function, *shapes):
    return jax.jit(function).lower(*shapes).compile().cost_analysis()["flops"]


def test_a_block_is_the_sum_of_its_products():
    rows = IMAGES * TOKENS
    by_hand = sum(
        (
            2 * rows * WIDTH * 3 * WIDTH,  # queries, keys and values
            2 * rows * TOKENS * WIDTH,  # their scores
            2 * rows * TOKENS * WIDTH,  # the weighted values
            2 * rows * WIDTH * WIDTH,  # their projection
            2 * rows * WIDTH * 4 * WIDTH,
            2 * rows * 4 * WIDTH * WIDTH,
        )
    )
    assert flops.transformer(IMAGES, TOKENS, WIDTH, 1) == by_hand


@pytest.mark.parametrize("passes", [1, flops.BACKWARD])
def test_xla_counts_the_same_in_both_passes(passes):
    """Norms, activations and softmax are the few per cent above the products."""
    block = transformer.Block(HEADS, "xla", jnp.float32)
    x = jax.ShapeDtypeStruct((IMAGES, TOKENS, WIDTH), jnp.float32)
    params = jax.eval_shape(block.init, jax.random.key(0), x)
    forward = lambda params, x: jnp.square(block.apply(params, x)).sum()  # noqa: E731
    run = forward if passes == 1 else jax.value_and_grad(forward, argnums=(0, 1))
    products = passes * flops.transformer(IMAGES, TOKENS, WIDTH, 1)
    assert products < by_xla(run, params, x) < 1.1 * products
