"""What a run would need and take on many devices, from compiling its step for as many fake ones.

Shapes, shardings and collectives are those of the compiled program; times are products and bytes
over the rates of `HARDWARE`, and an assumption about how much of the first a step reaches.
"""

import collections
import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax

from smarties import errors
from smarties.models import layout
from smarties.training import collectives, dry_run, plan, state, trees


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """Rates of one device, by its maker's data sheet.

    Attributes:
      flops: per second, bfloat16, dense.
      memory: bytes.
      near: bytes per second one device sends within its node or slice.
      far: bytes per second one device sends out of it.
      node: devices that are near each other.
    """

    flops: float
    memory: float
    near: float
    far: float
    node: int


# SXM boards with eight GPUs, NVLink 4 (450 GB/s a direction) and one 400 Gb/s port a GPU; TPUs in
# one pod, all links of a chip together. How fast one gets out of a pod is assumed.
HARDWARE = {
    "h100": Hardware(flops=989e12, memory=80e9, near=450e9, far=50e9, node=8),
    "h200": Hardware(flops=989e12, memory=141e9, near=450e9, far=50e9, node=8),
    "tpu-v5e": Hardware(flops=197e12, memory=16e9, near=100e9, far=6.25e9, node=256),
    "tpu-v6e": Hardware(flops=918e12, memory=32e9, near=224e9, far=12.5e9, node=256),
}

PARAMETERS, GRADIENTS = "parameters, gathered for use", "gradients, summed"
ACTIVATIONS, NUMBERS = "activations of split widths", "loss, norms and counts"
UNFORESEEN = "UNFORESEEN"
_FEW = 1024  # values


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """A compiled step, and what it says.

    Attributes:
      planned: the run.
      memory: bytes of one device, by what they hold.
      sent: what devices exchange in a step, by what it is.
      operations: floating-point operations of a step, all devices together.
      itemsize: bytes of a value the model computes with.
      steps: of the run; None where they depend on data that are not here.
    """

    planned: plan.Plan
    memory: dict[str, int]
    sent: dict[str, list[collectives.Collective]]
    operations: float
    itemsize: int
    steps: int | None

    def seconds(self, hardware: Hardware, efficiency: float) -> tuple[float, float]:
        """Returns the seconds of a step's computation, and of its communication."""
        compute = self.operations / (self.planned.mesh.size * hardware.flops * efficiency)
        return compute, sum(
            self.bytes(what, one) / (hardware.near if one.far < hardware.node else hardware.far)
            for what, found in self.sent.items()
            for one in found
        )

    def bytes(self, what: str, one: collectives.Collective) -> float:
        """Returns the bytes a device sends in a step.

        Kernels of blocks travel as the model computes; for CPU, bfloat16 was widened.
        """
        narrow = what == ACTIVATIONS or (what == PARAMETERS and one.times > 1)
        return one.sent * (self.itemsize / one.itemsize if narrow else 1.0)


def make(planned: plan.Plan, task: Any, dtype: str, steps: int | None = None) -> Forecast:
    """Returns the forecast of a planned run whose model computes in `dtype`."""
    compiled = planned.compile()
    stats, shapes = compiled.memory_analysis(), planned.shapes
    found = collectives.read(compiled.as_text(), planned.mesh)
    sent: dict[str, list[collectives.Collective]] = collections.defaultdict(list)
    known = _sizes(planned)
    for one in found:
        sent[_what(one, known, planned.mesh.shape)].append(one)
    memory = {
        "parameters": dry_run.bytes_per_device(shapes.params),
        "optimiser": dry_run.bytes_per_device(shapes.opt_state),
        "moving average": dry_run.bytes_per_device(shapes.ema),
        "batch": dry_run.bytes_per_device(planned.batch),
        "the step's own": stats.temp_size_in_bytes,
    }
    return Forecast(
        planned=planned,
        memory=memory,
        sent=dict(sent),
        operations=task.flops(),
        itemsize=jax.numpy.dtype(dtype).itemsize,
        steps=steps,
    )


def _sizes(planned: plan.Plan) -> set[int]:
    """Returns how many values parameters have, of one layer where they are stacked, and shards."""
    sizes = set()
    mesh = planned.mesh.shape
    for path, leaf in trees.leaves(state.split(planned.shapes.params)[0]).items():
        stacked = leaf.shape[0] if "blocks/" in path else 1
        whole = math.prod(leaf.shape) // stacked
        for parts in (1, mesh["fsdp"], mesh["tensor"], mesh["fsdp"] * mesh["tensor"]):
            sizes |= {whole // parts, stacked * whole // parts}
    return sizes


def _what(one: collectives.Collective, sizes: set[int], mesh: Mapping[str, int]) -> str:
    known = one.size in sizes
    if known and one.kind == "all-gather" and one.axes == ("fsdp",):
        return PARAMETERS
    if known and one.axes and one.kind in ("all-reduce", "reduce-scatter", "all-gather"):
        return GRADIENTS
    if one.kind == "all-reduce" and one.size <= _FEW:
        return NUMBERS
    # Kernels made of parameters, as the mixtures of ranges a sensor is projected by; activations
    # have an axis of examples and one of tokens more.
    over_examples = one.axes == tuple(axis for axis in layout.EXAMPLES if mesh[axis] > 1)
    once = one.times == 1 and len(one.shape) < 3
    if one.kind in ("all-reduce", "reduce-scatter") and over_examples and once:
        return GRADIENTS
    return ACTIVATIONS if one.axes == ("tensor",) else UNFORESEEN


def describe(forecast: Forecast, efficiency: float, names: Sequence[str]) -> str:
    """Returns the page `smarties plan` prints.

    Args:
      forecast: what to print.
      efficiency: share of the rate of matrix products that a step reaches; `smarties bench` says.
      names: of `HARDWARE`.
    """
    mesh = " x ".join(f"{axis} {size}" for axis, size in forecast.planned.mesh.shape.items())
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(forecast.planned.shapes.params))
    sections = (
        f"{count / 1e6:,.0f} M parameters on {forecast.planned.mesh.size} devices ({mesh})",
        "\n".join(_memory(forecast)),
        "\n".join(_sent(forecast)),
        "\n".join(_times(forecast, efficiency, names)),
    )
    return "\n\n".join(sections)


def _memory(forecast: Forecast) -> Iterator[str]:
    yield f"{'memory per device':<32} {'GB':>10}"
    for name, size in forecast.memory.items():
        yield f"  {name:<30} {size / 1e9:>10.3f}"
    yield f"  {'in all':<30} {sum(forecast.memory.values()) / 1e9:>10.3f}"
    if forecast.itemsize < 4:
        yield "  (compiled for CPU, which widens bfloat16: the step's own is likely less)"


def _sent(forecast: Forecast) -> Iterator[str]:
    yield f"{'sent by a device in a step':<32} {'MB':>10} {'calls':>7}  how"
    for what, found in sorted(forecast.sent.items()):
        by_kind: dict[tuple[str, str], list[collectives.Collective]] = {}
        for one in found:
            by_kind.setdefault((one.kind, " x ".join(one.axes) or "?"), []).append(one)
        for (kind, axes), alike in sorted(by_kind.items()):
            megabytes = sum(forecast.bytes(what, one) for one in alike) / 1e6
            calls = sum(one.times for one in alike)
            yield f"  {what:<30} {megabytes:>10,.2f} {calls:>7,}  {kind} over {axes}"
    yield "  (a compiler that sums and splits gradients at once sends half of what all-reduce does)"
    for one in forecast.sent.get(UNFORESEEN, ())[:5]:
        yield f"  {UNFORESEEN}: {one.kind} of {one.shape} in {one.name[-80:]}"


def _times(forecast: Forecast, efficiency: float, names: Sequence[str]) -> Iterator[str]:
    work = f"{forecast.operations / 1e12:,.1f} TFLOP"
    yield f"one step is {work}; products at {efficiency:.0%} of the"
    yield "peak rate, communication hidden behind them or not at all:"
    titles = ("", "products s", "exchange s", "step s", "the run, days")
    yield "  {:<10} {:>11} {:>11} {:>17} {:>15}  memory".format(*titles)
    for name in names:
        hardware = HARDWARE[name]
        compute, exchange = forecast.seconds(hardware, efficiency)
        low, high = max(compute, exchange), compute + exchange
        days = "-"
        if forecast.steps:
            days = " ".join(f"{s * forecast.steps / 86400:.1f}" for s in (low, high))
        share = sum(forecast.memory.values()) / hardware.memory
        fits = f"fits, {share:.0%}" if share < 0.95 else f"does not fit, {share:.0%}"
        yield (
            f"  {name:<10} {compute:>11.3f} {exchange:>11.3f} {low:>8.3f} {high:>8.3f} "
            f"{days:>15}  {fits} of {hardware.memory / 1e9:.0f} GB"
        )


def known(name: str) -> str:
    """Returns the name of some hardware; raises `UserError` for another."""
    if name not in HARDWARE:
        raise errors.unknown("hardware", name, HARDWARE)
    return name
