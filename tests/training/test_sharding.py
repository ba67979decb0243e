"""Where arrays lie, and that it changes nothing but that."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from smarties import errors
from smarties.models import layout
from smarties.training import plan, settings, sharding, state, trees


@functools.cache
def _run(sizes, devices=8, steps=4):
    """Returns (state, metrics) after a few steps on a mesh (data, fsdp, tensor)."""
    task = toy.Perceptron(noise=0.1)
    mesh = dict(zip(layout.AXES, sizes, strict=True))
    config = settings.resolve(toy.config(mesh=mesh, optimizer__ema=0.5))
    planned = plan.make(task, config, jax.devices()[:devices])
    with jax.set_mesh(planned.mesh):
        run, step = planned.init(), planned.compile()
        for batch, _ in zip(task.batches("train", 0, 1, 0), range(steps), strict=False):
            run, metrics = step(run, planned.put(batch))
    return run, metrics


@pytest.mark.parametrize("sizes", [(8, 1, 1), (2, 2, 2)])
def test_sharded_equals_single_device(sizes):
    (alone, numbers), (run, metrics) = _run((1, 1, 1), devices=1), _run(sizes)
    want, found = trees.leaves(numbers), trees.leaves(metrics)
    for name in want:
        np.testing.assert_allclose(found[name], want[name], rtol=5e-5, atol=1e-7, err_msg=name)
    want, found = trees.leaves(alone.params), trees.leaves(run.params)
    for path in want:
        np.testing.assert_allclose(found[path], want[path], rtol=1e-3, atol=2e-6, err_msg=path)


def test_moments_and_average_lie_as_their_parameters_do():
    run, _ = _run((2, 2, 2))
    trained = trees.leaves(state.split(run.params)[0])
    adam = run.opt_state[1]
    for moments in (adam.mu, adam.nu, state.split(run.ema)[0]):
        for path, leaf in trees.leaves(moments).items():
            assert leaf.sharding == trained[path].sharding, path
    kernel = trained["blocks/fc/kernel"]
    assert kernel.sharding.spec == P(None, "fsdp")  # never the layers' axis
    assert kernel.addressable_shards[0].data.shape == (2, 8, 16)
    assert trained["cls_token"].sharding.spec == P(None, "fsdp")
    assert trained["leave/bias"].sharding.is_fully_replicated  # one number splits over nothing


def test_fsdp_takes_the_largest_axis_that_divides():
    mesh = sharding.make_mesh({"data": 1, "fsdp": 8, "tensor": 1})
    shapes = {
        "a": {"kernel": jax.ShapeDtypeStruct((8, 30), jnp.float32)},
        "b": {"kernel": jax.ShapeDtypeStruct((3, 5), jnp.float32)},
        "blocks": {"kernel": jax.ShapeDtypeStruct((64, 8, 16), jnp.float32)},
    }
    places = sharding.place(shapes, mesh)
    assert places["a"]["kernel"].spec == P("fsdp")
    assert places["b"]["kernel"].spec == P()
    assert places["blocks"]["kernel"].spec == P(None, None, "fsdp")


@pytest.mark.parametrize(
    "rules", [((r".*kernel", "fsdp"),), ((r".*", "fsdp"), (r".*bias", "fsdp"))]
)
def test_a_parameter_matched_never_or_twice_is_refused(rules):
    mesh = sharding.make_mesh({"data": -1, "fsdp": 1, "tensor": 1})
    with pytest.raises(errors.UserError, match="layer/bias.*exactly one"):
        sharding.place(toy.Linear().init(None), mesh, rules)


@pytest.mark.parametrize("sizes", [(3, 1, 1), (-1, -1, 1), (2, 2, 1), (-1, 3, 1), (0, 1, 8)])
def test_a_mesh_that_does_not_fit_is_refused(sizes):
    with pytest.raises(errors.UserError, match="mesh"):
        sharding.make_mesh(dict(zip(layout.AXES, sizes, strict=True)))


def test_a_batch_that_does_not_split_is_refused():
    mesh = sharding.make_mesh({"data": 8, "fsdp": 1, "tensor": 1})
    sharding.check_batch(toy.Linear(batch=16).batch_spec(), mesh, 1)
    with pytest.raises(errors.UserError, match="few/x.*8 devices.*2 micro-batches"):
        sharding.check_batch(toy.Linear(batch=16).batch_spec(), mesh, 2)


def test_only_named_leaves_go_to_the_device_and_wrong_ones_are_refused():
    mesh = sharding.make_mesh({"data": 8, "fsdp": 1, "tensor": 1})
    place, task = NamedSharding(mesh, sharding.BATCH), toy.Linear()
    batch = next(iter(task.batches("train", 0, 1, 0)))
    there = sharding.put(batch, task.batch_spec(), place)
    assert set(there["few"]) == {"x", "y"}
    np.testing.assert_array_equal(there["many"]["x"], batch["many"]["x"])
    batch["few"]["y"] = batch["few"]["y"].astype(np.float64)
    with pytest.raises(errors.UserError, match="few/y.*float64.*float32"):
        sharding.put(batch, task.batch_spec(), place)
