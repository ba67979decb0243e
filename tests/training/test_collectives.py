"""Collectives of a program: their groups in every way XLA writes them, and how often they run."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from smarties.models import layout
from smarties.training import collectives

_PROGRAM = """
%body.1 (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %inner = (s32[], f32[4]{0}) while(%p), condition=%c, body=%body.2, backend_config={"known_trip_count":{"n":"5"}}
  %all-gather.1 = f32[8,16]{1,0} all-gather(%x), replica_groups=[4,2]<=[8], dimensions={0}, metadata={op_name="step/while"}
}

%body.2 (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %all-reduce.2 = (f32[4]{0}, bf16[2,3]{1,0}) all-reduce(%y, %z), replica_groups={{0,4},{1,5},{2,6},{3,7}}, to_apply=%add
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %loop = (s32[], f32[4]{0}) while(%a), condition=%c, body=%body.1, backend_config={"known_trip_count":{"n":"3"}}
  %all-to-all.3 = (f32[1,5]{1,0}, f32[1,5]{1,0}) all-to-all(%u, %v), replica_groups=[4,2]<=[2,2,2]T(0,2,1)
  %reduce-scatter.4 = f32[6]{0} reduce-scatter(%w), replica_groups=[1,8]<=[8], to_apply=%add
}
"""  # noqa: E501


def mesh(*sizes):
    return jax.make_mesh(sizes, layout.AXES, axis_types=(AxisType.Auto,) * 3)


def test_bodies_of_loops_count_as_often_as_they_run():
    found = collectives.read(_PROGRAM, mesh(2, 2, 2))
    told = [(one.kind, one.axes, one.shape, one.itemsize, one.times) for one in found]
    assert told == [
        ("all-reduce", ("data",), (4,), 4, 15),
        ("all-reduce", ("data",), (2, 3), 2, 15),
        ("all-gather", ("tensor",), (8, 16), 4, 3),
        ("all-to-all", ("fsdp",), (2, 1, 5), 4, 1),
        ("reduce-scatter", layout.AXES, (6,), 4, 1),
    ]


def test_what_a_ring_sends():
    reduced, _, gathered, _, scattered = collectives.read(_PROGRAM, mesh(2, 2, 2))
    assert reduced.sent == 2 * (1 / 2) * 16 * 15
    assert gathered.sent == (1 / 2) * 8 * 16 * 4 * 3
    assert scattered.sent == (7 / 8) * 6 * 8 * 4
    assert (reduced.far, gathered.far, scattered.far) == (4, 1, 7)


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("mesh['a'=2,'b'=4] {'b'}", ("fsdp",)),
        ("mesh['a'=2,'b'=4] {'a'}", ("data",)),
        ("mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a'}", ("fsdp",)),
        ("mesh['a'=8] {'a'}", ("data", "fsdp")),
        ("[4,2]<=[2,4]T(1,0)", ("data",)),
        ("{{0,1,2,3},{4,5,6,7}}", ("fsdp",)),
        ("{}", ("data", "fsdp")),
        ("{{0,1},{2,3},{4,5},{6,7}}", ()),  # no axis of the mesh
    ],
)
def test_groups_are_axes_of_the_mesh(text, axes):
    line = f"  %x = f32[8]{{0}} all-reduce(%y), replica_groups={text}, use_global_device_ids=true"
    (one,) = collectives.read(f"ENTRY %main (a: f32[8]) -> f32[8] {{\n{line}\n}}", mesh(2, 4, 1))
    assert one.axes == axes


def test_a_real_program_is_read():
    planes = mesh(2, 4, 1)
    place = jax.NamedSharding(planes, jax.P("data", "fsdp"))

    def loop(x):
        step = lambda _, x: x + x.sum(0, keepdims=True).sum(1, keepdims=True)  # noqa: E731
        return jax.lax.fori_loop(0, 7, step, x)

    shape = jax.ShapeDtypeStruct((8, 16), np.float32, sharding=place)
    text = jax.jit(loop, out_shardings=place).lower(shape).compile().as_text()
    found = collectives.read(text, planes)
    assert {one.times for one in found} == {7} and {one.kind for one in found} == {"all-reduce"}
    assert {axis for one in found for axis in one.axes} == {"data", "fsdp"}
