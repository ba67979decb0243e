"""The pretraining objective: reconstruction error of masked tokens, per pair."""

import jax
import jax.numpy as jnp

from smarties.losses import reconstruction
from smarties.models import mixup

Patches = tuple[tuple[jax.Array, jax.Array], ...]


def per_sample(
    outputs: tuple,
    patches: Patches,
    valid: Patches,
    draws: tuple[mixup.Draw, ...],
    *,
    standardised: bool,
    count: int | None,
) -> list[jax.Array]:
    """Returns per stream the loss of each pair [b]; 0 where no pixel is valid.

    It is the mean over the masked tokens of the two streams.

    Args:
      outputs: of `AutoEncoder`: per stream its reconstructions.
      patches: per stream the two sensors' patches [b, N, C, P*P].
      valid: per stream their valid pixels [b, N, 1, P*P], as floats.
      draws: per stream.
      standardised: whether targets are standardised per patch.
      count: see `reconstruction.standardise`.
    """
    losses = []
    for stream, pair, mask, draw in zip(outputs, patches, valid, draws, strict=True):
        total, weight = 0.0, 0.0
        for part in stream:
            error, seen_token = token_error(
                part, pair[part.side], mask[part.side], draw.masked, standardised, count
            )
            total += (error * part.weight).sum(1)
            weight += (seen_token * part.weight).sum(1)
        losses.append(total / (weight + 1e-6))
    return losses


def token_error(part, patches, valid, masked, standardised: bool, count: int | None):
    """Returns (error [b, m] of one reconstruction, 1.0 where a token has a valid pixel [b, m])."""
    predicted, target, mask = compare(part.pixels, patches, valid, masked, standardised, count)
    seen = (mask.sum((-2, -1)) > 0).astype(jnp.float32)
    return reconstruction.token_error(predicted, target, mask), seen


def compare(predicted: jax.Array, patches, valid, masked, standardised: bool, count: int | None):
    """Returns (predicted, target [b, m, C, P*P], valid [b, m, 1, P*P]) of one reconstruction."""
    target, mask = mixup.take(patches, masked), mixup.take(valid, masked)
    if standardised:
        target = reconstruction.standardise(target, mask, count)
    return predicted, target, mask
