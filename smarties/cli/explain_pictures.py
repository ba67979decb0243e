"""Which pictures `smarties explain` writes of which values."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from smarties.figures import curves, explanations
from smarties.inference import shapley

SPECIES, PLACES = 8, 3  # with pictures of their own


def write(
    folder: Path,
    found: shapley.Values,
    outputs: Sequence[str],
    places: Sequence[str] | None,
    worth: str,
    seen: np.ndarray | None,
) -> None:
    """Writes SVGs of values [d, s] of a metric, or [d, n, s] of predictions at places.

    Args:
      outputs: s names, of a metric with that of the mean at the end.
      seen: [d, n], what predictors are there.
    """
    made = _metric(found, worth) if places is None else {}
    if places is not None:
        for k, name in list(enumerate(outputs))[:SPECIES]:
            pictures = _predictions(found, k, places, f"{worth} of {name}", seen)
            made |= {f"{_stem(name)}-{kind}": picture for kind, picture in pictures.items()}
    for name, picture in made.items():
        (folder / f"{name}.svg").write_bytes(curves.svg(picture))


def _metric(found: shapley.Values, worth: str) -> dict[str, Figure]:
    errors = None if found.errors is None else found.errors[:, -1]
    said = f"{worth}, mean over species"
    made = {"mean": explanations.bar(found.names, found.values[:, -1], errors, said)}
    if found.values.shape[1] > 2:
        each = found.values[:, :-1]
        made["species"] = explanations.beeswarm(found.names, each, said=f"{worth} of each species")
    if found.interactions is not None:
        made["interactions"] = explanations.interactions(found.names, found.interactions[..., -1])
    return made


def _predictions(
    found: shapley.Values, k: int, places: Sequence[str], said: str, seen: np.ndarray | None
) -> dict[str, Figure]:
    values = found.values[..., k]
    size = np.abs(values).mean(1)
    made = {
        "size": explanations.bar(found.names, size, said=f"mean size, {said}"),
        "places": explanations.beeswarm(found.names, values, seen, said),
    }
    for i, place in list(enumerate(places))[:PLACES]:
        data = None if seen is None else [f"{x:.4g}" for x in seen[:, i]]
        made[f"place-{_stem(place)}"] = explanations.waterfall(
            found.names, values[:, i], float(found.empty[i, k]), float(found.full[i, k]), data, said
        )
    if found.interactions is not None:
        mean = found.interactions[..., k].mean(2)
        made["interactions"] = explanations.interactions(found.names, mean, "mean over places")
    return made


def _stem(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)
