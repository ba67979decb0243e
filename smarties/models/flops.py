"""Floating-point operations by hand count.

A multiply and an add are two; the backward pass costs two forwards.
"""

import dataclasses
import operator
from collections.abc import Sequence
from typing import Any

BACKWARD = 3  # forward + backward, in forwards


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One part of a forward pass."""

    name: str
    flops: float


def transformer(images: int, tokens: int, width: int, depth: int) -> float:
    """Returns the operations of `depth` blocks: qkv, two products, projection and a 4x network."""
    return images * depth * (24 * tokens * width**2 + 4 * tokens**2 * width)


def encoder(
    images: int, tokens: int, bands: int, pixels: int, width: int, depth: int
) -> tuple[Stage, ...]:
    """Returns the stages of encoding images of `bands` bands, `tokens` patches of `pixels`."""
    return (
        Stage(name="projection", flops=2 * images * tokens * bands * pixels * width),
        Stage(name="encoder", flops=transformer(images, tokens + 1, width, depth)),
    )


def autoencoder(
    *,
    pairs: Sequence[tuple[int, int, int]],
    tokens: int,
    visible: int,
    pixels: int,
    encoder: tuple[int, int],
    decoder: tuple[int, int],
    mirrored: bool = True,
) -> tuple[Stage, ...]:
    """Returns the stages of one forward pass of pretraining.

    Args:
      pairs: per stream (pairs, bands of the first sensor, bands of the second).
      tokens, visible: N, and those the encoder sees.
      pixels: P*P.
      encoder, decoder: (width, depth).
      mirrored: whether each sensor's heads run once (else sensor two's run twice).
    """
    (width, depth), (narrow, layers) = encoder, decoder
    total = 2 * sum(n for n, _, _ in pairs)
    projected = sum(n * (one + two) for n, one, two in pairs)
    predicted = sum(n * (one + two * (1 if mirrored else 2)) for n, one, two in pairs)
    return (
        Stage(name="projection", flops=2 * projected * visible * pixels * width),
        Stage(name="encoder", flops=transformer(total, visible + 1, width, depth)),
        Stage(
            name="decoder",
            flops=2 * total * (visible + 1) * width * narrow
            + transformer(total, tokens + 1, narrow, layers),
        ),
        Stage(name="heads", flops=2 * predicted * (tokens - visible) * pixels * narrow),
    )


def csmae(
    pairs: int,
    *,
    bands: tuple[int, int],
    visible: tuple[int, int],
    tokens: int,
    pixels: int,
    encoder: tuple[int, int],
    decoder: tuple[int, int],
    jobs: Sequence[Any],
    decoded: Sequence[Any],
) -> tuple[Stage, ...]:
    """Returns the stages of one forward pass of CSMAE.

    Args:
      pairs: how many.
      bands, visible: of each sensor.
      tokens: N.
      pixels: P*P.
      encoder, decoder: (width, depth).
      jobs: `csmae.Job`s; the output layer runs once for each.
      decoded: the different inputs of decoders, as jobs too.
    """
    (width, depth), (narrow, layers) = encoder, decoder

    def scored(job: Any) -> int:
        side, part = job.scored
        return visible[side] if part == "visible" else tokens - visible[side]

    return (
        Stage(
            name="projection",
            flops=2 * pairs * pixels * width * sum(map(operator.mul, bands, visible)),
        ),
        Stage(name="encoder", flops=sum(transformer(pairs, v + 1, width, depth) for v in visible)),
        Stage(
            name="decoder",
            flops=sum(
                2 * pairs * (visible[job.source] + 1) * width * narrow
                + transformer(pairs, visible[job.source] + 1 + scored(job), narrow, layers)
                for job in decoded
            ),
        ),
        Stage(
            name="heads",
            flops=sum(2 * pairs * scored(j) * bands[j.target] * pixels * narrow for j in jobs),
        ),
    )
