"""The plain baseline computes the very same loss and gradients, in both modes of mixup."""

import jax
import numpy as np
import pytest

from smarties.inference import benchmark, plain
from smarties.tasks import pretraining

MODEL = dict(
    image_size=64,
    patch=16,
    encoder=dict(width=64, depth=2, heads=4),
    decoder=dict(width=32, depth=1, heads=4),
)


@pytest.fixture(scope="module")
def start():
    task = benchmark.task_of(pretraining.Pretraining, MODEL, 4)
    params = jax.jit(task.init)(jax.random.key(0))
    jitter = lambda x: x + 0.02 * jax.random.normal(jax.random.key(x.size), x.shape)  # noqa: E731
    return jax.tree.map(jitter, params), benchmark.batch_of(task)


def value(kind, start, **recipe):
    params, batch = start
    task = benchmark.task_of(kind, MODEL, 4, **recipe)
    loss = lambda p, b: task.loss(p, b, jax.random.key(7))[0]  # noqa: E731
    return jax.jit(jax.value_and_grad(loss))(params, batch)


@pytest.mark.parametrize(("mixup", "variance"), [("mirrored", "paper"), ("released", "released")])
def test_same_loss_and_gradients(start, mixup, variance):
    ours, gradient = value(pretraining.Pretraining, start, mixup=mixup, variance=variance)
    theirs, other = value(plain.Plain, start, mixup=mixup, variance=variance)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max() + 1e-9)


def test_every_sensor_is_tiled_to_twelve_bands():
    rows = np.eye(17, dtype=np.float32)[[15, 16]]
    assert list(plain._ranges(rows)) == [15, 16] * 6
    assert plain.tile(np.zeros((1, 4, 3, 9))).shape == (1, 4, 12, 9)
