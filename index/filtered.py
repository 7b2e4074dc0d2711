"""The best of the allowed rows, exactly where they are few, else by asking for more than is wanted."""

from collections.abc import Callable

import numpy as np

from index.attributes import Mask
from index.base import Vectors
from index.rows import Rows, Slots
from index.scan import Cosines, first_passing, scan

_MARGIN = 1.2
_EXTRA = 16
# In the time that a graph takes to find one more candidate, so many rows can be looked at, for one query or in a batch.
_ALONE, _IN_BATCH, _TOGETHER = 25, 75, 8

Nearest = Callable[[Vectors, int], tuple[Slots, Cosines]]
"""Slots and cosines of the k nearest rows of each query, whether allowed or not."""


class Allowed:
    """The rows that a filter lets through, with their vectors once they were needed."""

    def __init__(self, rows: Rows, mask: Mask) -> None:
        """The rows of `rows` that `mask` marks; valid until the next write."""
        self._rows = rows
        self._mask = mask
        self._slots = np.flatnonzero(mask)
        self._vectors: Vectors | None = None

    def __len__(self) -> int:
        return len(self._slots)

    def search(self, unit: Vectors, k: int, nearest: Nearest) -> tuple[Slots, Cosines]:
        """The `k` best allowed rows of each query.

        Args:
            unit: float32 (b, dim), unit length.
            k: 1 ≤ k ≤ number of allowed rows.
            nearest: searches all rows.
        """
        fetched = int(_MARGIN * k * len(self._rows) / len(self._slots)) + _EXTRA
        if len(self._slots) < fetched * (_ALONE if len(unit) < _TOGETHER else _IN_BATCH):
            return self._scan(unit, k)
        slots, cosines = nearest(unit, fetched)
        slots, cosines = first_passing(slots, cosines, self._mask[slots], k)
        short = np.flatnonzero(slots[:, -1] < 0)
        if len(short):
            slots[short], cosines[short] = self._scan(unit[short], k)
        return slots, cosines

    def _scan(self, unit: Vectors, k: int) -> tuple[Slots, Cosines]:
        if self._vectors is None:
            self._vectors = self._rows.gather(self._slots)
        positions, cosines = scan(self._vectors, unit, k)
        return self._slots[positions], cosines
