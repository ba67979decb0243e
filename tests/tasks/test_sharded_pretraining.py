"""Pretraining on a mesh: the numbers of one device, and nothing sent but what must be."""

import functools

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, AxisType
from jax.sharding import PartitionSpec as P
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
def run(mesh, devices, **model):
    """Returns (state, metrics, plan, task) after two steps."""
    made = config(mesh, **model)
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
def test_half_precision_is_of_the_computation_alone():
    """Kernels travel in bfloat16; parameters, moments and sums of gradients stay float32."""
    model = dict(dtype="bfloat16", remat="dots")
    (_, want, *_), (state, found, planned, _) = (
        run(*mesh, **model) for mesh in (((1, 1, 1), 1), ((2, 2, 2), 8))
    )
    for tree in (planned.shapes, state):
        kinds = {x.dtype for x in jax.tree.leaves((tree.params, tree.opt_state))}
        assert kinds == {np.dtype("float32"), np.dtype("int32")}  # and Adam's count
    np.testing.assert_allclose(found["loss"], want["loss"], rtol=1e-3)
    np.testing.assert_allclose(found["gradient_norm"], want["gradient_norm"], rtol=0.02)


def test_widths_that_do_not_divide_stay_whole():
    sizes = dict(data=1, fsdp=3, tensor=5)
    kernel = (None, "fsdp", "tensor")
    assert layout.spec("blocks/fc1/kernel", (2, 32, 40), kernel, sizes) == P(None, None, "tensor")
    assert layout.spec("blocks/fc1/kernel", (2, 33, 32), kernel, sizes) == P(None, "fsdp", None)


def test_another_mesh_is_nobodys_business():
    """Of someone whose own script sets a mesh with axes we do not know."""
    x = jax.numpy.ones((4, 2))
    with jax.set_mesh(jax.make_mesh((2,), ("mine",), devices=jax.devices()[:2])):
        assert layout.shards("data") == 1 and layout.spread(x) is x
        assert layout.gather({"kernel": x})["kernel"] is x


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
