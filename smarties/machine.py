"""What the machine at hand can do: its rate of matrix products and the memory in use."""

import functools
import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from smarties.models import layout

_SIDE = {"cpu": 1536}  # of the square matrices; large enough to fill the device
_ROUNDS = 5


@functools.cache
def rate() -> float:
    """Returns measured FLOP/s per device of a large matrix product, the best of a few.

    In bfloat16, but on CPUs in float32; fake devices of one CPU share its rate.
    """
    device = jax.local_devices()[0]
    on_cpu = device.platform == "cpu"
    side = _SIDE.get(device.platform, 8192)
    seconds = []
    with alone():
        one = jnp.ones((side, side), jnp.float32 if on_cpu else jnp.bfloat16)
        product = jax.jit(jnp.matmul).lower(one, one).compile()
        for _ in range(_ROUNDS + 1):
            start = time.perf_counter()
            product(one, one).block_until_ready()
            seconds.append(time.perf_counter() - start)
    shared = jax.local_device_count() if on_cpu else 1
    return 2 * side**3 / min(seconds[1:]) / shared


def alone() -> Any:
    """Returns the context of a mesh of this process's first device, whatever others there are."""
    device = jax.local_devices()[:1]
    types = (AxisType.Auto,) * len(layout.AXES)
    sizes = (1,) * len(layout.AXES)
    return jax.set_mesh(jax.make_mesh(sizes, layout.AXES, axis_types=types, devices=device))


def peak_memory() -> int:
    """Returns the most bytes in use so far: of the first local device, or of this process.

    `ru_maxrss` survives exec, so a child would report its parent's peak: Linux is asked for that of
    the program.
    """
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def hardware() -> str:
    """Returns the processor or accelerator, and the versions that matter."""
    device = jax.devices()[0]
    name = device.device_kind
    cpuinfo = Path("/proc/cpuinfo")
    if device.platform == "cpu" and cpuinfo.is_file():
        found = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        name = found[0].split(":", 1)[1].strip() if found else platform.processor()
    pages = "huge pages" if "hugetlb" in os.environ.get("GLIBC_TUNABLES", "") else "default pages"
    count = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return f"{name}, {count} cores, {device.platform}, JAX {jax.__version__}, {pages}"
