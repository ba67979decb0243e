"""A species model whose answers are known: linear logits over some predictors, hidden ones zero."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Toy:
    """Logits of species: `weights` [F, S] times what is kept, with a product of the first two."""

    weights: np.ndarray
    predictors: tuple[str, ...] = ("warm", "wet", "clay", "slope")
    groups: dict = dataclasses.field(
        default_factory=lambda: {
            "climate": ("warm", "wet"),
            "soil": ("clay",),
            "relief": ("slope",),
        }
    )
    species: tuple[str, ...] = ("fern", "moss", "oak")
    levels: dict = dataclasses.field(default_factory=dict)

    def predict(self, values, keep=None):
        there = np.isfinite(values) & (True if keep is None else keep)
        x = np.where(there, values, 0)
        return x @ self.weights + 0.5 * x[:, :1] * x[:, 1:2]


def toy():
    """fern: warm and wet; moss: clay; oak: warm, little clay. Slope moves none."""
    return Toy(np.array([[2, 0, 1.5], [1, 0, 0], [0, 2, 0.5], [0, 0, 0]], float))


def sites(n=400, seed=0):
    """(values [n, F] with a few missing, presences [n, S] drawn from the model itself)."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 4)).astype(np.float32)
    there = rng.random((n, 3)) < 1 / (1 + np.exp(-toy().predict(values)))
    values[rng.random(values.shape) < 0.05] = np.nan
    return values, there
