"""What a policy has to beat.

A baseline scores every item; where it says nothing of an item (score 0), decayed popularity does, so that no list is
short and a user without a past gets what is popular. Equal scores are ranked by decayed popularity, then by place in
the catalogue.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from index.base import Vectors
from streams.evaluation.ease import Ease
from streams.evaluation.log import EventSet
from streams.evaluation.past import Floats, Learner, Past, Places, Query, spoken_for
from streams.evaluation.sessions import NEXT_BASKET, NEXT_LINE, PUBLISHED, ItemKnn, SessionKnn, Sessions

HARDLY_KNOWN = 5
"""Events from which on an item has no place reserved."""


class Scorer(Protocol):
    """Scores the catalogue for a query."""

    def scores(self, query: Query) -> Floats:
        """float64 (items,); an item at 0 or below is left to popularity."""
        ...


class Popularity:
    """The most events ever."""

    def __init__(self, past: Past) -> None:
        """Over a past that somebody else keeps up to date."""
        self._past = past

    def scores(self, query: Query) -> Floats:
        """float64 (items,)."""
        return self._past.counts


class DecayedPopularity:
    """The most events lately: each counts half after `past.HALF_LIFE_MS`."""

    def __init__(self, past: Past) -> None:
        """Over a past that somebody else keeps up to date."""
        self._past = past

    def scores(self, query: Query) -> Floats:
        """float64 (items,)."""
        return self._past.decayed


class PersonalFrequency:
    """P-TopFreq: in how many of the user's sets an item was (Hu et al., "TIFU-KNN", SIGIR 2020, §5.1.3)."""

    def __init__(self, past: Past) -> None:
        """Over a past that somebody else keeps up to date."""
        self._past = past

    def scores(self, query: Query) -> Floats:
        """float64 (items,)."""
        scores: Floats = np.zeros(len(self._past.places))
        for item, count in self._past.baskets.get(query.user, {}).items():
            scores[item] = count
        return scores


class LastItem:
    """What is most like the last item, by cosine."""

    def __init__(self, past: Past, vectors: Vectors) -> None:
        """`vectors`: float32 (items, dim), unit rows, in the order of the catalogue."""
        self._past = past
        self._vectors = vectors

    def scores(self, query: Query) -> Floats:
        """float64 (items,)."""
        trail = self._past.trails.get(query.user)
        if not trail:
            return np.zeros(len(self._vectors))
        return np.asarray(self._vectors @ self._vectors[trail[-1]], np.float64)


class MeanProfile:
    """What is most like the mean of all items that the user dealt with, weighted as events are."""

    def __init__(self, past: Past, vectors: Vectors) -> None:
        """`vectors`: float32 (items, dim), unit rows, in the order of the catalogue."""
        self._places = past.places
        self._vectors = vectors
        self._sums: dict[str, Vectors] = {}

    def learn(self, sets: Sequence[EventSet]) -> None:
        """See `Learner`."""
        for happened in sets:
            items = spoken_for(happened, self._places)
            if items:
                weights = [e.weight for e in happened.events if e.weight > 0 and e.item in self._places]
                told = np.asarray(weights, np.float32) @ self._vectors[items]
                self._sums[happened.user] = self._sums.get(happened.user, 0.0) + told

    async def settle(self) -> None:
        """Nothing was put off."""

    def scores(self, query: Query) -> Floats:
        """float64 (items,)."""
        total = self._sums.get(query.user)
        return np.zeros(len(self._vectors)) if total is None else np.asarray(self._vectors @ total, np.float64)


class ReservedSlot:
    """The most events lately, behind one place for an item that is hardly known: the most like the mean of the user's.

    For a user without a past it is the most popular of them.
    """

    def __init__(self, past: Past, mean: MeanProfile) -> None:
        """Over a past and the means of users, which somebody else keeps up to date."""
        self._past = past
        self._mean = mean

    def scores(self, query: Query) -> Floats:
        """float64 (items,)."""
        scores, likeness = self._past.decayed.copy(), self._mean.scores(query)
        new = self._past.counts < HARDLY_KNOWN
        new[query.barred] = False
        some = np.flatnonzero(new)
        if len(some):
            scores[some[np.lexsort((scores[some], likeness[some]))[-1]]] = scores.max() + 1.0
        return scores


class Baseline(NamedTuple):
    """A scorer that makes lists."""

    name: str
    scorer: Scorer
    past: Past
    learners: tuple[Learner, ...]
    """What has to follow the log for it, shared ones too."""

    async def rank(self, queries: Sequence[Query], size: int) -> list[Places]:
        """For each query the best `size` catalogue places, best first."""
        return [top(self.scorer.scores(query), self.past.decayed, query.barred, size) for query in queries]


def top(scores: Floats, popularity: Floats, barred: Places, size: int) -> Places:
    """The best places: by score where it is above 0, then by popularity; equal ones by place; none barred."""
    open_to = np.ones(len(scores), bool)
    open_to[barred] = False
    scored = np.flatnonzero(open_to & (scores > 0))
    if len(scored) > size:
        least = -np.partition(-scores[scored], size - 1)[size - 1]
        scored = scored[scores[scored] >= least]
    best = scored[np.lexsort((scored, -popularity[scored], -scores[scored]))][:size]
    if len(best) < size:
        open_to[best] = False
        rest = np.flatnonzero(open_to)
        if len(rest) > size - len(best):
            least = -np.partition(-popularity[rest], size - len(best) - 1)[size - len(best) - 1]
            rest = rest[popularity[rest] >= least]
        best = np.concatenate((best, rest[np.lexsort((rest, -popularity[rest]))][: size - len(best)]))
    return best


NAMES = (
    "popularity",
    "decayed-popularity",
    "p-topfreq",
    "last-item",
    "mean-profile",
    "reserved-slot",
    "item-knn",
    "v-sknn",
    "v-sknn-tuned",
    "v-sknn-lines",
    "ease",
)
"""Every baseline, in the order of the report."""

QUICK = tuple(name for name in NAMES if name != "ease")
"""Those that cost little on a large catalogue."""


def build(names: Sequence[str], past: Past, vectors: Vectors) -> list[Baseline]:
    """The named baselines over one past.

    Args:
        names: of `NAMES`.
        past: learns with them.
        vectors: float32 (items, dim), unit rows, in the order of the catalogue.
    """
    sessions = Sessions(past.places)
    mean = MeanProfile(past, vectors)
    ease = Ease(past)
    made: dict[str, Callable[[], tuple[Scorer, tuple[Learner, ...]]]] = {
        "popularity": lambda: (Popularity(past), ()),
        "decayed-popularity": lambda: (DecayedPopularity(past), ()),
        "p-topfreq": lambda: (PersonalFrequency(past), ()),
        "last-item": lambda: (LastItem(past, vectors), ()),
        "mean-profile": lambda: (mean, (mean,)),
        "reserved-slot": lambda: (ReservedSlot(past, mean), (mean,)),
        "item-knn": lambda: (ItemKnn(past, sessions), (sessions,)),
        "v-sknn": lambda: (SessionKnn(past, sessions, PUBLISHED), (sessions,)),
        "v-sknn-tuned": lambda: (SessionKnn(past, sessions, NEXT_BASKET), (sessions,)),
        "v-sknn-lines": lambda: (SessionKnn(past, sessions, NEXT_LINE), (sessions,)),
        "ease": lambda: (ease, (ease,)),
    }
    built = []
    for name in names:
        scorer, learners = made[name]()
        built.append(Baseline(name, scorer, past, (past, *learners)))
    return built
