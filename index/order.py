"""An order of vectors in which near ones follow one another: what one search read is in the cache for the next.

So they are asked for, and inserted, which is searching above all.
"""

import numpy as np
import numpy.typing as npt

from index.base import Vectors

PIVOTS = 64


class Order:
    """Deals vectors to the nearest of some pivots, and takes the pivots along a path from each to a near one."""

    def __init__(self, pivots: Vectors) -> None:
        """An order by pivots, float32 (at least 1, dim); rows that are spread like the vectors do well."""
        closeness = pivots @ pivots.T
        np.fill_diagonal(closeness, -np.inf)
        self._pivots = pivots
        self._turns = np.zeros(len(pivots), dtype=np.int64)
        here = 0
        for turn in range(1, len(pivots)):
            closeness[:, here] = -np.inf
            here = int(closeness[here].argmax())
            self._turns[here] = turn

    def of(self, vectors: Vectors) -> npt.NDArray[np.int64]:
        """The places of vectors, float32 (n, dim), in their order: int64 (n,)."""
        return np.argsort(self._turns[(vectors @ self._pivots.T).argmax(axis=1)], kind="stable")
