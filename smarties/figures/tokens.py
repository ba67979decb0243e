"""Tokens of a scene as colours: their three principal components, beside what the sensor saw."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import figure

from smarties.errors import UserError

SAMPLE = 20_000  # tokens that the components are found from


def principal_colours(tokens: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns (colours [h, w, 3] in 0..1, shares [3] of the variance) of tokens [h, w, D].

    Red, green and blue are the first three principal components, each from its 2nd to its 98th
    percentile; tokens that are not finite are white. The sign of a component is that of its largest
    coefficient, so that like scenes look alike.

    Raises:
      UserError: fewer than four finite tokens.
    """
    seen = np.isfinite(tokens).all(-1)
    known = tokens[seen].astype(np.float64)
    if len(known) < 4:
        raise UserError(f"{len(known)} tokens with data: at least 4 make a picture")
    chosen = np.random.default_rng(seed).permutation(len(known))[:SAMPLE]
    mean = known[chosen].mean(0)
    _, sizes, axes = np.linalg.svd(known[chosen] - mean, full_matrices=False)
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    values = (known - mean) @ (axes * np.sign(largest))[:3].T
    low, high = np.percentile(values, (2, 98), axis=0)
    colours = np.ones((*tokens.shape[:2], 3))
    colours[seen] = np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1)
    return colours, (sizes**2 / (sizes**2).sum())[:3]


def picture(
    scene: np.ndarray, maps: Sequence[tuple[str, np.ndarray]], width: float = 4.0
) -> figure.Figure:
    """Returns a figure with a picture of the scene [H, W, 3] and the tokens [h, w, D] of models.

    Args:
      maps: (title, tokens), e.g. of a trained and of an untrained encoder.
      width: of one picture, inches.
    """
    count = 1 + len(maps)
    high = width * scene.shape[0] / scene.shape[1]
    sheet = figure.Figure((count * width, high + 0.4), dpi=110, layout="constrained")
    axes = sheet.subplots(1, count, squeeze=False)[0]
    axes[0].imshow(scene, interpolation="nearest")
    axes[0].set_title("the scene", fontsize=9)
    for axis, (title, tokens) in zip(axes[1:], maps, strict=True):
        colours, shares = principal_colours(tokens)
        axis.imshow(colours, interpolation="nearest")
        said = " + ".join(f"{100 * share:.0f}" for share in shares)
        axis.set_title(f"{title}: {said} % of the variance", fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    return sheet


def write(scene: np.ndarray, maps: Sequence[tuple[str, np.ndarray]], path: str | Path) -> Path:
    """Returns the path of the picture it wrote."""
    picture(scene, maps).savefig(path)
    return Path(path)
