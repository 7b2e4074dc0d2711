"""Baselines from sessions: V-SKNN and item-kNN.

A session is what one user did under one `session` id, or, where events carry none, without a pause of 30 minutes.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from streams.core.decay import DAY_MS
from streams.evaluation.log import EventSet
from streams.evaluation.past import Floats, Past, Places, Query, spoken_for

PAUSE_MS = 30 * 60_000


class Sessions:
    """All sessions so far, as (session, item) pairs and by item. Sessions are numbered by when they began."""

    def __init__(self, places: Mapping[str, int]) -> None:
        """None yet. `places`: item id → place in the catalogue."""
        self.items: list[list[int]] = []
        """Distinct items of each session, in the order of the log."""
        self.ended: list[int] = []
        """Time of each session's last event, Unix milliseconds."""
        self.by_item: dict[int, list[int]] = defaultdict(list)
        """Item → sessions that hold it."""
        self.newest: dict[str, int] = {}
        """User → their newest session."""
        self._places = places
        self._names: dict[str, str | None] = {}
        self._pairs = np.zeros((2, 1024), np.int64)
        self._count = 0

    @property
    def pairs(self) -> tuple[Places, Places]:
        """Sessions and items, int64 (pairs,) each."""
        return self._pairs[0, : self._count], self._pairs[1, : self._count]

    def learn(self, sets: Sequence[EventSet]) -> None:
        """See `Learner`."""
        for happened in sets:
            items = spoken_for(happened, self._places)
            if items:
                self._add(self._session(happened), items, happened.time)

    async def settle(self) -> None:
        """Nothing was put off."""

    def _session(self, happened: EventSet) -> int:
        user, name = happened.user, happened.events[0].session
        newest = self.newest.get(user)
        if newest is not None and self._names[user] == name:
            no_pause = happened.time - self.ended[newest] < PAUSE_MS
            if name is not None or no_pause:
                return newest
        self.newest[user], self._names[user] = len(self.items), name
        self.items.append([])
        self.ended.append(happened.time)
        return self.newest[user]

    def _add(self, session: int, items: Sequence[int], time: int) -> None:
        self.ended[session] = time
        for item in items:
            if item not in self.items[session]:
                self.items[session].append(item)
                self.by_item[item].append(session)
                if self._count == self._pairs.shape[1]:
                    self._pairs = np.hstack((self._pairs, np.zeros_like(self._pairs)))
                self._pairs[:, self._count] = session, item
                self._count += 1


@dataclass(frozen=True, slots=True)
class KnnSettings:
    """How session neighbours are found and what they say.

    Attributes:
        history: how many of the user's last items are compared; None: those of the newest session.
        keep: an item counts this much of the next newer one; None: in proportion to its place, the newest 1.
        neighbours: sessions that vote.
        sample: the newest sessions that are looked at.
        length: similarity is divided by the session's length to this power.
        memory_ms: similarity falls by e over this time; None: never.
        rarity: a vote is divided by the item's count to this power.
    """

    history: int | None
    keep: float | None
    neighbours: int
    sample: int
    length: float
    memory_ms: float | None
    rarity: float


PUBLISHED = KnnSettings(history=None, keep=None, neighbours=100, sample=1000, length=0.0, memory_ms=None, rarity=0.0)
"""V-SKNN as in Ludewig & Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 2018."""

NEXT_BASKET = KnnSettings(
    history=50, keep=0.98, neighbours=200, sample=1000, length=0.5, memory_ms=20.0 * DAY_MS, rarity=0.3
)
"""Tuned for the next basket on the first half of the gift shop's year."""

NEXT_LINE = KnnSettings(
    history=50, keep=0.9, neighbours=200, sample=1000, length=0.75, memory_ms=200.0 * DAY_MS, rarity=0.3
)
"""Tuned for the next line of an invoice, its lines shuffled, on the same half."""


class SessionKnn:
    """V-SKNN (ibid.): sessions that share items with the user's, weighted by how recent those are, vote for theirs."""

    def __init__(self, past: Past, sessions: Sessions, settings: KnnSettings) -> None:
        """Over a past and its sessions, which somebody else keeps up to date."""
        self._past = past
        self._sessions = sessions
        self._settings = settings

    def scores(self, query: Query) -> Floats:
        """float64 (items,); 0 for an item that no neighbour has."""
        settings, sessions = self._settings, self._sessions
        votes: Floats = np.zeros(len(self._past.places))
        ids, weights = self._shared(query)
        if not len(ids):
            return votes
        first = int(ids.min())
        similarities = np.bincount(ids - first, weights).astype(np.float64)
        looked_at = np.flatnonzero(similarities)[-settings.sample :]
        similar = similarities[looked_at]
        near = [int(session) for session in looked_at + first]
        similar = similar / np.array([len(sessions.items[session]) for session in near]) ** settings.length
        if settings.memory_ms is not None:
            ages = query.time - np.array([sessions.ended[session] for session in near])
            similar = similar * np.exp(-ages / settings.memory_ms)
        best = np.argsort(-similar, kind="stable")[: settings.neighbours]
        lists = [sessions.items[near[place]] for place in best]
        items = np.fromiter(chain.from_iterable(lists), np.int64)
        votes += np.bincount(items, np.repeat(similar[best], [len(one) for one in lists]), len(votes))
        return votes / np.maximum(self._past.counts, 1.0) ** settings.rarity

    def _shared(self, query: Query) -> tuple[Places, Floats]:
        """Sessions that hold an item of the user's, once for each such item, with the weight of the item."""
        settings, sessions = self._settings, self._sessions
        newest = sessions.newest.get(query.user)
        if newest is None:
            return np.zeros(0, np.int64), np.zeros(0)
        if settings.history is None:
            trail = sessions.items[newest]
        else:
            trail = self._past.trails[query.user][-settings.history :]
        count = len(trail)
        weights = [(n + 1) / count if settings.keep is None else settings.keep ** (count - 1 - n) for n in range(count)]
        holding = [sessions.by_item[item][-settings.sample :] for item in trail]
        ids = np.fromiter(chain.from_iterable(holding), np.int64)
        return ids, np.repeat(weights, [len(one) for one in holding])


class ItemKnn:
    """Items of the same sessions as the user's last ones, by cosine: |S_h ∩ S_j| / √(|S_h| · |S_j|).

    S_x are the sessions that hold x.

    Sarwar et al., "Item-based collaborative filtering", WWW 2001, §3.1.1, over sessions instead of users.
    """

    def __init__(self, past: Past, sessions: Sessions, history: int = 20, keep: float = 0.9) -> None:
        """`history`: how many of the user's last items; each counts `keep` of the next newer one."""
        self._past = past
        self._sessions = sessions
        self._history = history
        self._keep = keep

    def scores(self, query: Query) -> Floats:
        """float64 (items,); 0 for an item that never met any of the user's."""
        sessions = self._sessions
        trail = self._past.trails.get(query.user, [])[-self._history :]
        share = np.zeros(len(sessions.items))
        for age, item in enumerate(reversed(trail)):
            holding = sessions.by_item[item]
            share[holding] += self._keep**age / np.sqrt(len(holding))
        owners, items = sessions.pairs
        met = np.bincount(items, share[owners], len(self._past.places))
        sizes = np.bincount(items, minlength=len(met))
        return np.asarray(met / np.sqrt(np.maximum(sizes, 1)), np.float64)
