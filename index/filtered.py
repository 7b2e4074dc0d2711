"""The best of the allowed rows, exactly where they are few, else by asking for more than is wanted."""

from collections.abc import Callable

import numpy as np

from index.attributes import Mask
from index.base import Vectors
from index.rows import Rows, Slots
from index.scan import Cosines, scan

_FEW = 0.15  # up to this share of the rows, looking at all allowed ones is quicker than passing over the others
_MARGIN = 1.3
_MOST = 2000  # candidates of one query; a search for more costs as much as looking at all allowed rows

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
        share = len(self._slots) / len(self._rows)
        fetched = int(_MARGIN * k / share) + k
        if share <= _FEW or fetched > min(_MOST, len(self._rows)):
            return self._scan(unit, k)
        slots, cosines = nearest(unit, fetched)
        passed = self._mask[slots]
        order = np.argsort(~passed, axis=1, kind="stable")[:, :k]  # the allowed ones first, each part best first
        slots, cosines = np.take_along_axis(slots, order, axis=1), np.take_along_axis(cosines, order, axis=1)
        short = np.flatnonzero(passed.sum(axis=1) < k)
        if len(short):
            slots[short], cosines[short] = self._scan(unit[short], k)
        return slots, cosines

    def _scan(self, unit: Vectors, k: int) -> tuple[Slots, Cosines]:
        if self._vectors is None:
            self._vectors = self._rows.gather(self._slots)
        positions, cosines = scan(self._vectors, unit, k)
        return self._slots[positions], cosines
