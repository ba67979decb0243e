"""CSMAE's training step, both sensors in one call, beside one sensor after the other."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from smarties.inference import benchmark
from smarties.inference.benchmark import Row, row
from smarties.models import autoencoder
from smarties.tasks import csmae

PAIR = ("sentinel1-grd", "sentinel2-l2a")
SIDE, PATCH = 120, 15
# Blocks of each sensor and shared ones, and the decoder, of a 12-block encoder.
VARIANTS = {
    "cecd": (0, 12, "common"),
    "cesd": (0, 12, "specific"),
    "secd": (10, 2, "common"),
    "sesd": (10, 2, "specific"),
}


def rows(
    size: str, batch: int, repeats: int, tx: optax.GradientTransformation, **how: Any
) -> list[Row]:
    """Returns the step rates of two variants, and how much one sensor after the other takes.

    Args:
      size: of `autoencoder.SIZES`.
      batch: pairs of a step.
      repeats: rounds.
      tx: the optimiser.
      how: it runs, see `build.csmae_from`.
    """
    lines = []
    for variant in ("cecd", "sesd"):
        both, apart = benchmark.turns(_steps(variant, size, batch, tx, how), repeats).values()
        ratio = [a / b for a, b in zip(apart, both, strict=True)]
        lines += [
            row("csmae", variant, "pairs/s", [batch / seconds for seconds in both]),
            row("csmae", f"{variant}, one sensor after the other / ours", "x", ratio),
        ]
    return lines


def _steps(
    variant: str, size: str, batch: int, tx: optax.GradientTransformation, how: dict[str, Any]
) -> dict[str, Callable[[], float]]:
    """Returns {"together", "one after the other"}: () -> seconds of a step, compiled before."""
    task, apart = (_task(variant, size, batch, how) for _ in range(2))
    apart.model = apart.model.clone(together=False)
    run, given = benchmark.Steps(task, tx), benchmark.batch_of(task)

    def call(one: csmae.Csmae) -> Callable[[], float]:
        step = run.step_of(one)
        return benchmark.steady(lambda: run.run(step, given, jax.random.key(2)))

    return {"together": call(task), "one after the other": call(apart)}


def _task(variant: str, size: str, batch: int, how: dict[str, Any]) -> csmae.Csmae:
    """Returns CSMAE as published, on the planet."""
    specific, shared, decoding = VARIANTS[variant]
    width, heads = autoencoder.SIZES[size].width, autoencoder.SIZES[size].heads
    source = dict(kind="planet", sensors=PAIR, count=batch, size=SIDE)
    stream = dict(first=PAIR[0], second=PAIR[1], share=1.0, source=source)
    return csmae.Csmae(
        recipe=csmae.Recipe(),
        model=dict(
            image_size=SIDE, patch=PATCH, decoding=decoding, decoder=benchmark.DECODER,
            encoder=dict(width=width, heads=heads, specific=specific, shared=shared), **how,
        ),
        data=dict(streams=dict(pairs=stream), threads=0),
        batch_size=batch,
    )  # fmt: skip
