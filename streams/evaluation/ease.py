"""EASE, retrained daily: a linear model from everything that a user had to everything there is.

Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, Algorithm 1: of the 0/1 matrix X (users, items),
G = XᵀX + λI, P = G⁻¹, B = I - P / diag(P), scores = x B.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streams.core.decay import DAY_MS
from streams.evaluation.log import EventSet
from streams.evaluation.past import Floats, Past, Places, Query, spoken_for

PENALTY = 500.0
"""λ, as published for MovieLens-20M."""

MOST = 2_000
"""Items of the model, the most popular ones: its cost is their number to the power of three."""


class Ease:
    """Learns what every user had, and trains before a question when the last training is a day old."""

    def __init__(self, past: Past, penalty: float = PENALTY, most: int = MOST, every_ms: int = DAY_MS) -> None:
        """Over a past that somebody else keeps up to date."""
        self._past = past
        self._penalty = penalty
        self._most = most
        self._every_ms = every_ms
        self._had: dict[str, set[int]] = defaultdict(set)
        self._time = 0
        self._trained: int | None = None
        self._items: Places = np.zeros(0, np.int64)
        self._columns: Places = np.full(len(past.places), -1)
        self._weights: npt.NDArray[np.float32] = np.zeros((0, 0), np.float32)

    def learn(self, sets: Sequence[EventSet]) -> None:
        """See `Learner`."""
        self._time = sets[0].time
        for happened in sets:
            if items := spoken_for(happened, self._past.places):
                self._had[happened.user].update(items)

    async def settle(self) -> None:
        """Train, if it is time."""
        if self._trained is None or self._time - self._trained >= self._every_ms:
            self._trained = self._time
            self._train()

    def scores(self, query: Query) -> Floats:
        """float64 (items,); 0 for an item that the model does not know."""
        scores: Floats = np.zeros(len(self._past.places))
        columns = self._known(self._had.get(query.user, set()))
        if len(columns):
            scores[self._items] = self._weights[columns].sum(axis=0)
        return scores

    def _train(self) -> None:
        counts = self._past.counts
        best = np.argsort(-counts, kind="stable")[: self._most]
        self._items = best[counts[best] > 0]
        self._columns = np.full(len(counts), -1)
        self._columns[self._items] = np.arange(len(self._items))
        together = self._penalty * np.eye(len(self._items), dtype=np.float32)
        for had in self._had.values():
            columns = self._known(had)
            together[np.ix_(columns, columns)] += 1.0
        inverse = np.linalg.inv(together)
        self._weights = -inverse / np.diag(inverse)
        np.fill_diagonal(self._weights, 0.0)

    def _known(self, items: set[int]) -> Places:
        columns = self._columns[np.fromiter(sorted(items), np.int64, len(items))]
        return columns[columns >= 0]
