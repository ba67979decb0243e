"""Pretraining on a mesh: the numbers of one device, and nothing sent but what must be."""

import functools

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType
from ml_collections import config_dict

from smarties import tasks
from smarties.models import layout
from smarties.training import dry_run, forecast, plan, settings, sharding, trees

PAIRS = {"vhr": ("rgb", "sentinel2-l1c"), "radar": ("sentinel2-l2a", "sentinel1-grd")}


def config(mesh, **model):
    streams = {
        name: dict(
            first=pair[0],
            second=pair[1],
            share=0.5,
            source=dict(kind="planet", sensors=pair, count=16, size=32, gaps=0.5),
        )
        for name, pair in PAIRS.items()
    }
    return settings.resolve(
        config_dict.ConfigDict(
            dict(
                name="tiny",
                steps=2,
                batch_size=16,
                task=dict(name="pretraining"),
                model=dict(
                    image_size=32,
                    patch=8,
                    encoder=dict(width=32, depth=2, heads=4),
                    decoder=dict(width=16, depth=2, heads=2),
                    **model,
                ),
                data=dict(streams=streams, threads=0),
                optimizer=dict(
                    learning_rate=1e-3, epsilon=1e-3
                ),  # some gradients are 0 but for rounding
                mesh=dict(zip(layout.AXES, mesh, strict=True)),
            )
        )
    )


@functools.cache
def run(mesh, devices):
    """Returns (state, metrics, compiled step, plan) after two steps."""
    made = config(mesh)
    task = tasks.make(made)
    planned = plan.make(task, made, jax.devices()[:devices])
    compiled = planned.compile()
    with jax.set_mesh(planned.mesh):
        state = planned.init()
        for batch, _ in zip(task.batches("train", 0, 1, 0), range(2), strict=False):
            state, metrics = compiled(state, planned.put(batch))
    return state, metrics, planned, task


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [(8, 1, 1), (2, 4, 1), (2, 2, 2)])
def test_a_mesh_gives_the_numbers_of_one_device(mesh):
    (alone, numbers, *_), (state, metrics, *_) = run((1, 1, 1), 1), run(mesh, 8)
    for name in ("loss", "gradient_norm", "empty_share"):
        np.testing.assert_allclose(metrics[name], numbers[name], rtol=1e-5, err_msg=name)
    want, found = trees.leaves(alone.params), trees.leaves(state.params)
    for path in want:
        np.testing.assert_allclose(found[path], want[path], rtol=1e-3, atol=1e-5, err_msg=path)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [(8, 1, 1), (2, 4, 1), (2, 2, 2)])
def test_examples_stay_where_they_are_and_parameters_come_to_them(mesh):
    *_, planned, task = run(mesh, 8)
    made = forecast.make(planned, task, "float32")
    wanted = {forecast.GRADIENTS, forecast.NUMBERS}
    wanted |= {forecast.PARAMETERS} if mesh[1] > 1 else set()
    wanted |= {forecast.ACTIVATIONS} if mesh[2] > 1 else set()
    assert set(made.sent) == wanted
    sizes = {path: leaf.size for path, leaf in trees.leaves(planned.shapes.params).items()}
    blocks = sum(size for path, size in sizes.items() if "blocks/" in path)
    if mesh[2] == 1:  # every gradient is summed once, layer by layer
        summed = made.sent[forecast.GRADIENTS]
        assert sum(one.size * one.times for one in summed if one.times > 1) == blocks
    if mesh == (2, 4, 1):  # a layer arrives for the forward and, most of it, the backward pass
        arrived = sum(one.size * one.times for one in made.sent[forecast.PARAMETERS])
        assert 1.9 * blocks < arrived - (sum(sizes.values()) - blocks) <= 2 * blocks


@pytest.mark.parametrize("size", ["base", "large", "huge"])
@pytest.mark.parametrize("devices", [8, 64, 256])
def test_parameters_and_moments_shrink_with_the_devices(size, devices):
    from smarties.models import autoencoder

    made = config((1, 1, 1))
    with made.unlocked():
        made.model.update(image_size=224, patch=16)
        made.model.encoder.update(vars(autoencoder.SIZES[size]))
        made.model.decoder.update(width=512, depth=8, heads=16)
    shapes = jax.eval_shape(tasks.make(made, data=False).init, jax.random.key(0))
    mesh = AbstractMesh((1, devices, 1), layout.AXES, axis_types=(AxisType.Auto,) * 3)
    placed = jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        shapes,
        sharding.place(shapes, mesh),
    )
    whole = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(shapes))
    assert dry_run.bytes_per_device(placed) <= 1.1 * whole / devices
