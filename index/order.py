"""An order of queries in which near ones follow one another: what one of them read is in the cache for the next."""

import numpy as np
import numpy.typing as npt

from index.base import Vectors

PIVOTS = 64


class Order:
    """Deals queries to the nearest of some pivots, and takes the pivots along a path from each to a near one."""

    def __init__(self, pivots: Vectors) -> None:
        """An order by pivots, float32 (at least 1, dim); rows that are spread like the queries do well."""
        closeness = pivots @ pivots.T
        np.fill_diagonal(closeness, -np.inf)
        self._pivots = pivots
        self._turns = np.zeros(len(pivots), dtype=np.int64)
        here = 0
        for turn in range(1, len(pivots)):
            closeness[:, here] = -np.inf
            here = int(closeness[here].argmax())
            self._turns[here] = turn

    def of(self, queries: Vectors) -> npt.NDArray[np.int64]:
        """The places of the queries in their order: int64 (n,) of queries float32 (n, dim)."""
        return np.argsort(self._turns[(queries @ self._pivots.T).argmax(axis=1)], kind="stable")
