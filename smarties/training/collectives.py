"""What a compiled step sends between devices: read from its HLO text.

Bodies of loops count as often as they run.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Sequence

import numpy as np
from jax.sharding import Mesh

KINDS = (
    *("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute"),
    *("collective-broadcast", "ragged-all-to-all"),
)
_COLLECTIVE = re.compile(rf" = (?P<shapes>.*?) (?P<kind>{'|'.join(KINDS)})\(")
_SHAPE = re.compile(r"(?P<type>[a-z]+)(?P<bits>\d*)\[(?P<sizes>[\d,]*)\]")
_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.-]+) \(.*\{$")
_CALLED = re.compile(r"(?:body|to_apply|calls|true_computation|false_computation)=%?([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{(.*?)\}")
_TIMES = re.compile(r'known_trip_count":\{"n":"(\d+)"')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Collective:
    """One array that devices exchange.

    Attributes:
      kind: one of `KINDS`.
      axes: of the mesh, over which; () where the groups are none of its.
      shape: of the result on one device.
      itemsize: bytes of a value.
      times: in a step.
      group: devices that exchange with each other.
      far: largest difference of two device numbers of a group.
      name: of the operation it belongs to.
    """

    kind: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    itemsize: int
    times: int
    group: int
    far: int
    name: str

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def sent(self) -> float:
        """Bytes that one device sends in a step, on a ring."""
        values = self.size * (self.group if self.kind == "reduce-scatter" else 1)
        passes = 2 if self.kind == "all-reduce" else 1
        share = 1.0 if self.kind == "collective-permute" else (self.group - 1) / self.group
        return passes * share * values * self.itemsize * self.times


def read(text: str, mesh: Mesh) -> list[Collective]:
    """Returns the collectives of the HLO text of a compiled program, array by array."""
    lines: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if found := _COMPUTATION.match(line):
            name = found["name"]
            entry = name if found["entry"] else entry
            lines[name] = []
        elif name:
            lines[name].append(line)
    known: dict[str, tuple[tuple[str, ...], int, int]] = {}
    return [
        one
        for line, times in _run(entry, 1, lines)
        if (found := _COLLECTIVE.search(line))
        for one in _collectives(line, found, times, mesh, known)
    ]


def _run(name: str, times: int, lines: dict[str, list[str]]) -> Iterator[tuple[str, int]]:
    """Yields the lines of a computation and of all it calls, and how often they run."""
    for line in lines.get(name, ()):
        yield line, times
        loop = _TIMES.search(line) if " while(" in line else None
        branches = _BRANCHES.search(line)
        named = re.findall(r"[\w.-]+", branches[1]) if branches else []
        for called in (*_CALLED.findall(line), *named):
            yield from _run(called, times * (int(loop[1]) if loop else 1), lines)


def _collectives(line, found, times, mesh: Mesh, known) -> Iterator[Collective]:
    groups = _groups_text(line)
    if groups not in known:
        known[groups] = _meaning(_groups(groups, mesh.size), mesh)
    axes, group, far = known[groups]
    name = re.search(r'op_name="([^"]*)"', line)
    shapes = list(_SHAPE.finditer(found["shapes"]))
    # The pieces of an all-to-all are the parts of one array.
    pieces = len(shapes) if found["kind"] == "all-to-all" and len(shapes) > 1 else 1
    for shape in shapes[::pieces]:
        sizes = tuple(int(n) for n in shape["sizes"].split(",") if n)
        yield Collective(
            kind=found["kind"],
            axes=axes,
            shape=(pieces, *sizes) if pieces > 1 else sizes,
            itemsize=max(1, int(shape["bits"] or 8) // 8),
            times=times,
            group=group,
            far=far,
            name=name[1][-100:] if name else "",
        )


def _groups_text(line: str) -> str:
    """Returns what names the groups: XLA writes them in several ways."""
    found = re.search(
        r"(?:replica_groups|source_target_pairs)="
        r"(mesh\[.*?\](?:, device_ids=\(.*?\)\))? ?\{.*?\}"
        r"|\{\{.*?\}\}|\[[\d,]+\]<=\[[\d,]+\](?:T\([\d,]+\))?|\{\})",
        line,
    )
    return found[1] if found else ""


def _groups(text: str, devices: int) -> np.ndarray:
    """Returns the device numbers [groups, size]."""
    if text.startswith("mesh"):
        sizes = [int(n) for n in re.findall(r"'=(\d+)", text)]
        names = re.findall(r"'(\w+)'=", text)
        chosen = re.findall(r"'(\w+)'", text[text.rindex("{") :])
        order = re.search(r"device_ids=\((.*?\))\)", text)
        ids = _iota(order[1], devices) if order else np.arange(devices)
        return _along(ids.reshape(sizes), [names.index(name) for name in chosen])
    if text.startswith("["):
        shape, _, order = text.partition("<=")
        return _iota(order, devices).reshape([int(n) for n in re.findall(r"\d+", shape)])
    found = re.findall(r"\{([\d,]+)\}", text)
    if not found:
        return np.arange(devices).reshape(1, -1)
    return np.array([[int(n) for n in group.split(",")] for group in found])


def _iota(text: str, devices: int) -> np.ndarray:
    """Returns the flat order of devices that "[2,4]T(1,0)" stands for."""
    sizes, _, order = text.partition("T")
    ids = np.arange(devices).reshape([int(n) for n in re.findall(r"\d+", sizes)])
    axes = [int(n) for n in re.findall(r"\d+", order)]
    return (ids.transpose(axes) if axes else ids).reshape(-1)


def _meaning(groups: np.ndarray, mesh: Mesh) -> tuple[tuple[str, ...], int, int]:
    """Returns (axes of the mesh the groups lie along, size of a group, farthest two members)."""
    far = int((groups.max(1) - groups.min(1)).max())
    found = {frozenset(map(int, group)) for group in groups}
    ids = np.arange(mesh.size).reshape(mesh.devices.shape)  # a program numbers devices in order
    wide = [name for name, size in mesh.shape.items() if size > 1]
    for count in range(1, len(wide) + 1):
        for axes in itertools.combinations(wide, count):
            along = _along(ids, [mesh.axis_names.index(axis) for axis in axes])
            if {frozenset(map(int, group)) for group in along} == found:
                return axes, groups.shape[1], far
    return (), groups.shape[1], far


def _along(ids: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Returns the groups [groups, size] of an array of device numbers along some of its axes."""
    size = math.prod(ids.shape[axis] for axis in axes)
    return np.moveaxis(ids, axes, range(-len(axes), 0)).reshape(-1, size)
