"""Checkpoints: restored onto other meshes, refused when they do not fit, named when broken."""

import functools
import json
import math
import shutil

import jax
import numpy as np
import pytest
import toy

from smarties import errors
from smarties.models import layout
from smarties.training import checkpoint, loop, plan, settings, trees


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of the linear task with checkpoints 4, 5 and 8."""
    workdir = tmp_path_factory.mktemp("trained")
    loop.train(toy.Linear(), _config(), workdir)
    return workdir


def _config(**changes):
    return toy.config(steps=8, checkpoint__every=4, **changes)


@functools.cache
def _shapes(**sizes):
    return plan.make(toy.Linear(), settings.resolve(_config(mesh=sizes))).shapes


@pytest.fixture
def copy(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def test_restored_onto_another_mesh(trained):
    shapes = _shapes(data=2, fsdp=4, tensor=1)
    with checkpoint.open(trained / "checkpoints", None) as manager:
        run = checkpoint.restore_state(manager, 8, shapes, toy.Linear().data_identity())
    kernel = run.params["layer"]["kernel"]
    assert kernel.sharding == shapes.params["layer"]["kernel"].sharding
    assert kernel.addressable_shards[0].data.shape == (2, 1)
    params, meta = checkpoint.restore_params(
        trained / "checkpoints", _shapes(data=8, fsdp=1, tensor=1).params
    )
    np.testing.assert_array_equal(params["layer"]["kernel"], kernel)
    assert np.any(kernel) and int(run.step) == 8
    assert meta["config"]["steps"] == 8 and meta["data"] == toy.Linear().data_identity()


@pytest.mark.parametrize("mesh", [(2, 4, 1), (4, 1, 1), (1, 1, 1)])
def test_a_run_of_eight_devices_goes_on_on_others_as_if_it_had_not(
    trained, copy, mesh, monkeypatch
):
    devices = jax.devices()[: math.prod(mesh)]
    shapes = _shapes(data=8, fsdp=1, tensor=1).params
    monkeypatch.setattr(jax, "devices", lambda: devices)
    shutil.rmtree(copy / "checkpoints" / "8")
    shutil.rmtree(copy / "checkpoints" / "5", ignore_errors=True)
    loop.train(toy.Linear(), _config(mesh=dict(zip(layout.AXES, mesh, strict=True))), copy)
    whole, moved = (
        checkpoint.restore_params(workdir / "checkpoints", shapes)[0]["layer"]
        for workdir in (trained, copy)
    )
    np.testing.assert_allclose(moved["kernel"], whole["kernel"], rtol=1e-5, atol=1e-7)
    lines = [(workdir / "metrics.jsonl").read_text().splitlines() for workdir in (trained, copy)]
    losses = [[json.loads(x)["value"] for x in some if "train/loss" in x] for some in lines]
    assert len(losses[0]) == 4
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_resume_with_changed_data_is_refused(copy):
    before = sorted(path for path in copy.rglob("*"))
    with pytest.raises(errors.UserError, match="seed was 0 and is now 1"):
        loop.train(toy.Linear(seed=1), _config(), copy)
    with pytest.raises(errors.UserError, match="streams.few.rows was 8 and is now 16"):
        loop.train(toy.Linear(batch=32), _config(), copy)
    assert sorted(path for path in copy.rglob("*")) == before


def test_another_shape_is_refused_by_name(copy):
    class Wider(toy.Linear):
        def data_identity(self):
            return toy.Linear().data_identity()

    with pytest.raises(errors.UserError, match=r"params/layer/kernel.*\(8, 1\).*\(16, 1\)"):
        loop.train(Wider(width=16), _config(), copy)
    wide = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((3, *x.shape), x.dtype, sharding=x.sharding),
        _shapes(data=8, fsdp=1, tensor=1).params,
    )
    with pytest.raises(errors.UserError, match=r"expects \(3, "):
        checkpoint.restore_params(copy / "checkpoints", wide)
    with pytest.raises(errors.UserError, match="no 'ema/layer/bias'"):
        shapes = _shapes(data=8, fsdp=1, tensor=1).params
        checkpoint.restore_params(copy / "checkpoints", shapes, average=True)


# Orbax leaves reads in flight when one of them fails, and their event loop is gone by then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["cut", "garbage", "metadata", "meta"])
def test_a_broken_checkpoint_is_named_with_a_way_on(copy, how):
    step = copy / "checkpoints" / "8"
    if how == "metadata":
        (step / "state" / "_METADATA").write_text("{")
    elif how == "meta":
        shutil.rmtree(step / "meta")
    else:
        for path in (step / "state").rglob("*"):
            if path.is_file() and "d" in path.parts:
                path.write_bytes(path.read_bytes()[:10] if how == "cut" else b"\xff" * 500)
    with pytest.raises(errors.UserError, match=r"checkpoints/8 .*step 4 is older: move 8 away"):
        loop.train(toy.Linear(), _config(), copy)


def test_an_unfinished_save_is_ignored(copy):
    shutil.move(copy / "checkpoints" / "8", copy / "checkpoints" / "8.orbax-checkpoint-tmp")
    with checkpoint.open(copy / "checkpoints", None) as manager:
        assert checkpoint.latest(manager) == 4


def test_a_step_is_not_saved_over(copy):
    with checkpoint.open(copy / "checkpoints", None) as manager:
        identity = toy.Linear().data_identity()
        run = checkpoint.restore_state(manager, 8, _shapes(data=8, fsdp=1, tensor=1), identity)
        with pytest.raises(errors.UserError, match="exists already"):
            checkpoint.save(manager, 8, run, {})


def test_no_checkpoint_is_said(tmp_path):
    shapes = _shapes(data=8, fsdp=1, tensor=1).params
    for where in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(errors.UserError, match="no checkpoint"):
            checkpoint.restore_params(where, shapes)


def test_the_state_comes_back_leaf_by_leaf(trained):
    shapes = _shapes(data=8, fsdp=1, tensor=1)
    with checkpoint.open(trained / "checkpoints", None) as manager:
        run = checkpoint.restore_state(manager, 4, shapes, toy.Linear().data_identity())
    assert trees.leaves(run).keys() == trees.leaves(shapes).keys()
    assert int(run.opt_state[1].count) == 4
