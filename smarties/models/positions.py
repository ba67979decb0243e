"""Fixed two-dimensional sine-cosine positions, and their interpolation to other grids."""

import functools

import numpy as np


@functools.lru_cache(maxsize=64)
def positions(grid: tuple[int, int], width: int, trained: int | None = None) -> np.ndarray:
    """Returns the positions [h * w, D] float32 of a grid of tokens, row-major.

    Args:
      grid: (rows, columns) of tokens.
      width: D, a multiple of 4.
      trained: side of the square grid the model was trained on. Another grid gets the trained
        table, interpolated bicubically, as the release does; None computes the table of the grid
        itself.
    """
    if trained is None or grid == (trained, trained):
        return sincos_2d(grid, width)
    table = sincos_2d((trained, trained), width).reshape(trained, trained, width)
    return interpolate(table, grid).reshape(-1, width)


def sincos_2d(grid: tuple[int, int], width: int) -> np.ndarray:
    """Returns [h * w, D] float32: the first half of D is the column, the second the row (MAE)."""
    rows, columns = np.meshgrid(np.arange(grid[0]), np.arange(grid[1]), indexing="ij")
    frequency = 1.0 / 10_000 ** (np.arange(width // 4) / (width / 4))
    angle = [axis.reshape(-1, 1) * frequency for axis in (columns, rows)]
    return np.concatenate([f(a) for a in angle for f in (np.sin, np.cos)], 1).astype(np.float32)


def interpolate(table: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Returns `table` [h, w, D] resampled to `grid`.

    Bicubic with half-pixel centres and a = -0.75 (PyTorch's).
    """
    rows, columns = (_cubic(n, m) for n, m in zip(table.shape[:2], grid, strict=True))
    return np.einsum("ih,jw,hwd->ijd", rows, columns, table).astype(np.float32)


def _cubic(n: int, m: int, a: float = -0.75) -> np.ndarray:
    """Returns the matrix [m, n] of a cubic convolution (Keys 1981), edges repeated."""
    at = (np.arange(m) + 0.5) * n / m - 0.5
    taps = np.floor(at)[:, None] + np.arange(-1, 3)
    x = np.abs(at[:, None] - taps)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    matrix = np.zeros((m, n))
    np.add.at(
        matrix,
        (np.arange(m)[:, None], np.clip(taps, 0, n - 1).astype(int)),
        np.where(x <= 1, near, far),
    )
    return matrix
