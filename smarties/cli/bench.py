"""`smarties bench`: steps, embeddings and loaders beside the machine's own matrix products."""

import argparse
import dataclasses
import functools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
import optax

from smarties import errors, machine
from smarties.cli import search_bench, species_bench
from smarties.inference import (
    archive_benchmark,
    benchmark,
    csmae_benchmark,
    loading,
    plain,
    roofline,
    throughput,
)
from smarties.inference.benchmark import Row, row
from smarties.models import attention, autoencoder, flops
from smarties.tasks import pretraining
from smarties.training import optimizer, settings

HUGE_PAGES = "glibc.malloc.hugetlb=1"
PARTS = ("step", "roofline", "embed", "loader", "planet", "memory", "hugepages")
ASKED = ("sizes", "data", "scene", "search", "species", "csmae")  # long: only when named


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and prints one table.

    On Linux it starts itself again with huge pages for malloc, which must be asked for before a
    program starts.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    given = _parser().parse_args(argv)
    if given.only:  # images and scenes are one question
        given.parts = tuple(p for o in given.only for p in ((o, "scene") if o == "embed" else (o,)))
    for part in given.parts:
        if part not in (*PARTS, *ASKED, "once", *throughput.KINDS):
            raise errors.unknown("part of bench", part, (*PARTS, *ASKED))
    if given.json:
        _writable(given.json)
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    platforms = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue]: set by jax
    cpu = platforms in (None, "", "cpu") and sys.platform == "linux"
    if cpu and not given.no_hugepages and "hugetlb" not in tunables:
        os.environ["GLIBC_TUNABLES"] = ":".join(filter(None, (tunables, HUGE_PAGES)))
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "smarties.cli.main", "bench", *argv])
    given.dtype = given.dtype or ("float32" if jax.default_backend() == "cpu" else "bfloat16")
    given.unroll = given.unroll or (12 if jax.default_backend() == "cpu" else 1)
    if "once" in given.parts:
        print(json.dumps(_once(given)))
        return
    for kind in throughput.KINDS:
        if kind in given.parts:
            print(json.dumps(throughput.measure(kind, _model(given), given.sides[0], given.batch)))
            return
    rows = [line for part in given.parts for line in _MEASURE[part](given)]
    print(machine.hardware())
    print(table(rows))
    if given.json:
        Path(given.json).write_text(
            json.dumps(
                {
                    "machine": machine.hardware(),
                    "options": vars(given),
                    "rows": [dataclasses.asdict(line) for line in rows],
                },
                indent=1,
            )
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smarties bench", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "only", nargs="*", metavar="PART", help="in place of --parts; embed comes with scene"
    )
    parser.add_argument("--size", default="base", choices=autoencoder.SIZES)
    parser.add_argument("--batch", type=_positive, default=8, help="pairs in a step")
    parser.add_argument("--patch", type=_positive, default=16)
    parser.add_argument("--image_size", type=_positive, default=224)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: by the device")
    parser.add_argument("--remat", choices=("none", "dots", "block"), default="none")
    parser.add_argument("--unroll", type=_positive, help="default: 12 on CPU, else 1")
    parser.add_argument("--repeats", type=_positive, default=5, help="rounds")
    parser.add_argument("--parts", type=lambda text: tuple(text.split(",")), default=PARTS,
                        help=f"of {', '.join(PARTS)} (default) and {', '.join(ASKED)}")  # fmt: skip
    parser.add_argument("--sizes", type=lambda text: tuple(text.split(",")),
                        default=("base", "large", "huge"), help="of the part sizes")  # fmt: skip
    parser.add_argument("--batches", type=lambda text: tuple(map(_positive, text.split(","))),
                        help="of the part sizes (default: --batch times 1, 2, 4)")  # fmt: skip
    parser.add_argument("--pairs", type=_positive, default=320, help="of the part data")
    parser.add_argument("--sides", type=lambda text: tuple(map(_positive, text.split(","))),
                        help="of scenes, pixels (default: image_size times 3, 6, 12)")  # fmt: skip
    search_bench.add_arguments(parser)
    species_bench.add_arguments(parser)
    parser.add_argument("--kernel", choices=tuple(attention.KERNELS), default="xla")
    parser.add_argument("--json", metavar="FILE", help="also write every value of every round")
    parser.add_argument(
        "--no_hugepages", action="store_true", help="do not start again with huge pages for malloc"
    )
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _writable(file: str) -> None:
    parent = Path(file).absolute().parent
    if not os.access(parent, os.W_OK):
        raise errors.UserError(f"--json {file}: {parent} is no folder that can be written")


def _model(given, remat: str | None = None):
    return benchmark.model_of(
        given.size,
        given.image_size,
        given.patch,
        given.dtype,
        given.unroll,
        remat or given.remat,
        given.kernel,
    )


def _tx() -> optax.GradientTransformation:
    return optimizer.make(settings.DEFAULTS["optimizer"], optax.constant_schedule(1e-5))


def _step(given) -> list[Row]:
    """Returns the step with and without its view and the plain one, beside matrix products."""
    model = _model(given)
    kinds = {
        "step": pretraining.Pretraining,
        "plain": plain.Plain,
        "step without view": benchmark.Viewed,
    }
    tasks = {name: benchmark.task_of(kind, model, given.batch) for name, kind in kinds.items()}
    task = tasks["step"]
    steps, batch = benchmark.Steps(task, _tx()), benchmark.batch_of(task)
    batches = {**dict.fromkeys(kinds, batch), "step without view": jax.jit(task.view)(
        batch, jax.random.key(1)
    )}  # fmt: skip
    key, calls, compiled = jax.random.key(2), {}, {}
    for name, one in tasks.items():
        calls[name] = functools.partial(steps.run, steps.step_of(one), batches[name], key)
        with benchmark.compilations() as compiled[name]:
            calls[name]()
            calls[name]()
    steady = {name: benchmark.steady(call) for name, call in calls.items()}
    compared = {name: benchmark.steady(calls[name], 3) for name in ("step", "plain")}
    pair = benchmark.turns(compared, given.repeats)
    matmul = benchmark.Matmul(benchmark.shapes_of(task), given.dtype)
    alone = {name: steady[name] for name in ("step", "step without view")}
    rounds = benchmark.turns({"before": matmul, **alone, "after": matmul}, given.repeats)
    shape, rates = matmul.best
    best = statistics.median(rates)
    drift = [b / a for a, b in zip(rates[::2], rates[1::2], strict=True)]
    ratio = [p / s for p, s in zip(pair["plain"], pair["step"], strict=True)]
    return [
        row("matmul", "best, " + " x ".join(map(str, shape)), "GFLOP/s", [r / 1e9 for r in rates]),
        row("matmul", "after / before a round", "", drift),
        *_rated("step", "with view", rounds["step"], given.batch, task.flops(), best),
        *_rated(
            "step", "without view", rounds["step without view"], given.batch, task.flops(), best
        ),
        row("plain", "ours beside it, best of 3", "s", pair["step"]),
        row("plain", "best of 3", "s", pair["plain"]),
        row("plain", "plain / ours, a round", "x", ratio),
        row("plain", "plain / ours, least", "x", min(ratio)),
        row("plain", "plain / ours, most", "x", max(ratio)),
        row("compile", "step", "s", sum(compiled["step"])),
        row("compile", "compilations of the step", "", len(compiled["step"])),
        *_stages(task, best, statistics.median(rounds["step"])),
    ]


def _rated(part, name, seconds, count: int, operations: float, best: float, unit="pairs/s"):
    return [
        row(part, name, "s", seconds),
        row(part, name, unit, [count / s for s in seconds]),
        row(part, name, "GFLOP/s", [operations / s / 1e9 for s in seconds]),
        row(part, f"{name}, of matmul", "%", [100 * operations / s / best for s in seconds]),
    ]


def _stages(task: pretraining.Pretraining, best: float, seconds: float) -> list[Row]:
    """Returns what each stage takes at the rate of matrix products, and the rest of the step."""
    least = {stage.name: flops.BACKWARD * stage.flops / best for stage in task.stages()}
    lines = [
        row("stages", f"{name}, at matmul's rate", "s", value) for name, value in least.items()
    ]
    return [*lines, row("stages", "all the rest", "s", seconds - sum(least.values()))]


def _embed(given) -> list[Row]:
    """Returns images a second of the size, and of the large model beside the base one."""
    lines = []
    for size in ("base", "large") if given.size == "base" else (given.size,):
        one = argparse.Namespace(**{**vars(given), "size": size})
        run, operations = benchmark.embed(_model(one), 16)
        task = benchmark.task_of(pretraining.Pretraining, _model(one), given.batch)
        matmul = benchmark.Matmul(benchmark.shapes_of(task), given.dtype)
        turns = {"before": matmul, "embed": benchmark.steady(run), "after": matmul}
        seconds = benchmark.turns(turns, given.repeats)["embed"]
        best = statistics.median(matmul.best[1])
        lines += _rated("embed", f"16 S2, {size}", seconds, 16, operations, best, "images/s")
    return lines


def _scene(given) -> list[Row]:
    sides = given.sides or tuple(n * given.image_size for n in (3, 6, 12))
    return throughput.compare({kind: _options(given, kind) for kind in throughput.KINDS}, sides)


def _loader(given) -> list[Row]:
    real = Path(os.environ.get("SMARTIES_DATA", "")) / "s1s2_terramesh"
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder)
        root = real if real.is_dir() else loading.write_scenes(temporary / "scenes")
        rounds = benchmark.turns(loading.loaders(root, temporary), given.repeats)
    kind = "real" if real.is_dir() else "synthetic"
    lines = [row("loader", f"{name}, {kind}", "pairs/s/core", v) for name, v in rounds.items()]
    pairs = zip(rounds["ArrayRecord"], rounds["GeoTIFF"], strict=True)
    return [*lines, row("loader", "ArrayRecord / GeoTIFF", "x", [a / g for a, g in pairs])]


def _data(given) -> list[Row]:
    """Returns how fast BigEarthNet is prepared and read, and what that means for all of it."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        rounds = archive_benchmark.rounds(Path(folder), given.pairs, given.repeats, cores)
    lines = []
    for name, values in rounds.items():
        unit = "bytes/pair" if name.endswith("size") else "pairs/s"
        lines.append(row("data", name, unit, values))
    one = next(iter(rounds.values()))
    for store in ("GeoTIFF", "LMDB"):
        for state in ("cold", "warm"):
            pairs = zip(rounds[f"ArrayRecord, {state}"], rounds[f"{store}, {state}"], strict=True)
            lines.append(
                row("data", f"ArrayRecord / {store}, {state}", "x", [a / b for a, b in pairs])
            )
    if cores > 1:
        many = zip(rounds[f"prepare, {cores} processes"], one, strict=True)
        lines.append(row("data", f"prepare, {cores} processes / 1", "x", [m / o for m, o in many]))
    whole = archive_benchmark.forecast(statistics.median(one), rounds["ArrayRecord, size"][0])
    jobs, pairs = archive_benchmark.JOBS, archive_benchmark.PAIRS
    lines.append(row("data", f"{pairs:,} pairs by {jobs} jobs of a core", "hours", whole["hours"]))
    return [*lines, row("data", f"{pairs:,} pairs on disk", "GB", whole["GB"])]


def _planet(given) -> list[Row]:
    rounds = benchmark.turns({"planet": loading.simulator()}, given.repeats)
    return [row("planet", "S2 with S1, 64 px", "pairs/s/core", rounds["planet"])]


def _memory(given) -> list[Row]:
    lines = []
    for remat in ("none", "dots", "block"):
        task = benchmark.task_of(pretraining.Pretraining, _model(given, remat), given.batch)
        steps, batch = benchmark.Steps(task, _tx()), benchmark.batch_of(task)
        if remat == "none":
            lines.append(row("memory", "parameters and optimiser", "GB", steps.bytes / 1e9))
        for name, size in benchmark.temporaries(steps, task, batch).items():
            lines.append(row("memory", f"{name}, remat {remat}", "GB", size / 1e9))
    if jax.default_backend() == "cpu":
        for remat in ("none", "block"):
            result = benchmark.child([*_options(given), "--remat", remat])
            lines.append(row("memory", f"process peak, remat {remat}", "GB", result["peak"] / 1e9))
            lines.append(row("memory", f"step, remat {remat}", "s", result["seconds"]))
    return lines


def _csmae(given) -> list[Row]:
    how = dict(unroll=given.unroll, dtype=given.dtype)
    return csmae_benchmark.rows(given.size, given.batch, given.repeats, _tx(), **how)


def _hugepages(given) -> list[Row]:
    if jax.default_backend() != "cpu" or sys.platform != "linux":
        return []
    argv = [*_options(given), "--remat", given.remat]
    return [
        row("hugepages", name, "s", benchmark.child(argv, GLIBC_TUNABLES=tunables)["seconds"])
        for name, tunables in (("step, with", HUGE_PAGES), ("step, without", None))
    ]


def _options(given, part: str = "once") -> list[str]:
    kept = ("size", "batch", "patch", "image_size", "dtype", "unroll", "kernel", "repeats")
    options = [text for name in kept for text in (f"--{name}", str(getattr(given, name)))]
    return [*options, "--parts", part, "--no_hugepages"]


def _once(given) -> dict:
    """Returns the peak memory of this process after some steps, their seconds and use."""
    task = benchmark.task_of(pretraining.Pretraining, _model(given), given.batch)
    steps, batch = benchmark.Steps(task, _tx()), benchmark.batch_of(task)
    step, key = steps.step_of(task), jax.random.key(2)
    steps.run(step, batch, key)
    seconds, use = [], []
    for _ in range(given.repeats):
        seconds.append(steps.run(step, batch, key))
        use.append(task.flops() / seconds[-1] / machine.rate.__wrapped__())
    return {"peak": machine.peak_memory(), "seconds": seconds, "mfu": use}


def _sizes(given) -> list[Row]:
    """Returns, for each size and batch in a process of its own, its steps beside matrix products.

    What does not fit is a row without numbers.
    """
    lines = []
    for size in given.sizes:
        for batch in given.batches or (given.batch, 2 * given.batch, 4 * given.batch):
            name = f"{size}, {batch} pairs"
            one = argparse.Namespace(**{**vars(given), "size": size, "batch": batch})
            try:
                result = benchmark.child([*_options(one), "--remat", given.remat])
            except errors.UserError as error:
                lines.append(row("sizes", f"{name}: {str(error)[-60:]}", "", float("nan")))
                continue
            lines += [
                row("sizes", name, "s", result["seconds"]),
                row("sizes", name, "pairs/s", [batch / s for s in result["seconds"]]),
                row("sizes", f"{name}, of matmul", "%", [100 * use for use in result["mfu"]]),
                row("sizes", f"{name}, peak memory", "GB", result["peak"] / 1e9),
            ]
    return lines


def _roofline(given) -> list[Row]:
    """Returns what of a step are matrix products and attention, timed alone; the rest is memory."""
    task = benchmark.task_of(pretraining.Pretraining, _model(given), given.batch)
    steps, batch = benchmark.Steps(task, _tx()), benchmark.batch_of(task)
    step = functools.partial(steps.run, steps.step_of(task), batch, jax.random.key(2))
    step()
    turns = {"step": benchmark.steady(step), **roofline.parts(task)}
    rounds = benchmark.turns(turns, given.repeats)
    rest = [
        s - sum(one)
        for s, *one in zip(rounds["step"], *map(rounds.get, roofline.NAMES), strict=True)
    ]
    rounds["memory-bound rest"] = rest
    lines = []
    for name, seconds in rounds.items():
        share = [100 * one / whole for one, whole in zip(seconds, rounds["step"], strict=True)]
        lines += [row("roofline", name, "s", seconds), row("roofline", name, "% of step", share)]
    return lines


_MEASURE = {
    "step": _step,
    "roofline": _roofline,
    "sizes": _sizes,
    "embed": _embed,
    "scene": _scene,
    "loader": _loader,
    "planet": _planet,
    "data": _data,
    "memory": _memory,
    "csmae": _csmae,
    "hugepages": _hugepages,
    "search": search_bench.measure,
    "species": species_bench.measure,
}


def table(rows: Sequence[Row]) -> str:
    """Returns a line per row: medians with quartiles."""
    wide = max((len(line.name) for line in rows), default=0)
    lines = [f"{'part':<10} {'':<{wide}} {'median':>12}  {'quartiles':^25}  unit"]
    for line in rows:
        low, high = line.quartiles
        spread = f"{low:>11,.4g} .. {high:<11,.4g}" if len(line.values) > 1 else ""
        lines.append(
            f"{line.part:<10} {line.name:<{wide}} {line.median:>12,.4g}  {spread:<25}  {line.unit}"
        )
    return "\n".join(text.rstrip() for text in lines)
