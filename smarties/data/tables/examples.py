"""Rows of a table as a stream of examples for `pipeline.pair_batches`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse


@dataclasses.dataclass(frozen=True)
class Rows:
    """Some rows of a table; their species come out of the sparse matrix one row at a time.

    Attributes:
      values: [n, F] float32, standardised.
      vectors: {name: [n, E] float32}.
      presence: [n, S], compressed by row, without stored zeros.
      index: which rows.
      examples_per_batch: of a global batch.
    """

    values: np.ndarray
    vectors: Mapping[str, np.ndarray]
    presence: sparse.csr_array
    index: np.ndarray
    examples_per_batch: int

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = int(self.index[index])
        count = self.presence.shape[1]  # pyright: ignore[reportOptionalSubscript]: of its stubs
        presence = np.zeros(count, np.uint8)
        first, last = self.presence.indptr[row : row + 2]
        presence[self.presence.indices[first:last]] = 1
        return {
            "values": self.values[row],
            "vectors": {name: vector[row] for name, vector in self.vectors.items()},
            "presence": presence,
            "id": str(row),
        }
