"""The best of the allowed rows, exactly where they are few, else by asking for more than is wanted."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from index.attributes import Filter, Mask, Values
from index.base import VectorIndex, Vectors
from index.rows import Slots
from index.scan import Cosines, Scan, Scanner, first_passing

_MARGIN = 1.2
_EXTRA = 16
# In the time that a graph takes to find one more candidate, so many rows can be looked at, for one query or in a batch.
_ALONE, _IN_BATCH, _TOGETHER = 25, 75, 8


class FilteredIndex(VectorIndex, Protocol):
    """A `VectorIndex` that knows more of its items than their vectors: `HnswIndex` and `ExactIndex`."""

    def describe(self, ids: Sequence[str], attributes: Sequence[Mapping[str, Values]]) -> None:
        """Replace all attributes of live ids; others are ignored. An upsert of an id keeps them, a delete forgets them.

        Raises:
            IndexInputError: as many attribute records as there are not ids, or an attribute that cannot be held.
        """
        ...

    def search(self, queries: Vectors, k: int, where: Filter | None = None) -> tuple[list[list[str]], list[Cosines]]:
        """The nearest live ids that pass `where`, all of them if they are fewer than `k`: see `VectorIndex.search`."""
        ...


class Allowed:
    """The rows that a filter lets through, gathered for a scan once one is needed."""

    def __init__(self, scanner: Scanner, mask: Mask) -> None:
        """The rows of `scanner` that `mask` marks; valid until the next write."""
        self._scanner = scanner
        self._mask = mask
        self._slots = np.flatnonzero(mask)
        self._gathered: Scan | None = None

    def __len__(self) -> int:
        return len(self._slots)

    def search(self, unit: Vectors, k: int, nearest: Scan) -> tuple[Slots, Cosines]:
        """The `k` best allowed rows of each query.

        Args:
            unit: float32 (b, dim), unit length.
            k: 1 ≤ k ≤ number of allowed rows.
            nearest: searches all rows.
        """
        fetched = int(_MARGIN * k * len(self._mask) / len(self._slots)) + _EXTRA
        if len(self._slots) < fetched * (_ALONE if len(unit) < _TOGETHER else _IN_BATCH):
            return self._scan(unit, k)
        slots, cosines = nearest(unit, fetched)
        slots, cosines = first_passing(slots, cosines, self._mask[slots], k)
        short = np.flatnonzero(slots[:, -1] < 0)
        if len(short):
            slots[short], cosines[short] = self._scan(unit[short], k)
        return slots, cosines

    def _scan(self, unit: Vectors, k: int) -> tuple[Slots, Cosines]:
        if self._gathered is None:
            self._gathered = self._scanner.among(self._slots)
        return self._gathered(unit, k)
