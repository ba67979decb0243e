"""An array in a plain file: what lies between the model and the writers of formats."""

import dataclasses
import os
from pathlib import Path

import numpy as np


@dataclasses.dataclass(frozen=True)
class Store:
    """An array [rows, columns, bands], read and written by parts, never held as a whole."""

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype

    def create(self) -> None:
        with self.path.open("ab") as file:
            file.truncate(int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize)

    def write(self, row: int, column: int, values: np.ndarray) -> None:
        with self.path.open("r+b", buffering=0) as file:
            for i, line in enumerate(values):
                file.seek(self._at(row + i, column))
                line.astype(self.dtype, copy=False).tofile(file)

    def sync(self) -> None:
        """Returns when all that was written would survive a power cut."""
        with self.path.open("r+b") as file:
            os.fsync(file.fileno())

    def read(self, row: int, column: int, rows: int, columns: int) -> np.ndarray:
        """Returns [rows, columns, bands], less at the ends."""
        rows, columns = min(rows, self.shape[0] - row), min(columns, self.shape[1] - column)
        count = columns * self.shape[2]
        with self.path.open("rb", buffering=0) as file:
            lines = [
                np.fromfile(file, self.dtype, count, offset=self._at(row + i, column) - file.tell())
                for i in range(rows)
            ]
        return np.stack(lines).reshape(rows, columns, self.shape[2])

    def _at(self, row: int, column: int) -> int:
        return (row * self.shape[1] + column) * self.shape[2] * self.dtype.itemsize
