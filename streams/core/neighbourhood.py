"""What goes with what a shopper had: the rows of all items as one similarity, for looking up.

    similarity(x, y) = pair(x, y) / (mass(x) ^ OWN · mass(y) ^ THEIRS)     all decayed to the time of asking
    score(y)         = Σ over recent x of what x counts · similarity(x, y)

(Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001; Deshpande & Karypis,
"Item-based top-N recommendation algorithms", TOIS 2004.) Everything decays alike, so the time of asking scales all
scores and changes no order.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core import decay
from streams.core.cooccurrence import HALF_LIFE_MS
from streams.core.items import Items, Places
from streams.core.ragged import bounds_of, distinct, sizes_of, spans

OWN = 0.5
THEIRS = 0.5
"""Exponents of the two items' masses that a pair's weight is divided by: the cosine. Measured: 0.3 and 0.2, which spare
popular neighbours, rank better alone where shoppers buy what is popular, and worse beside channels of popularity."""

WIDE_RHO, TIGHT_RHO = 0.9, 0.6
"""How much less a recent item counts for each moment that is newer, in two looks at a ring: at what the shopper deals
with at large, and at what they deal with now."""

Floats = npt.NDArray[np.float64]

_LARGEST = 300.0
"""Of a logarithm: what lies centuries before or ahead of whoever asks must not leave the range of a float64."""


_BEGIN = 1024
_UNREAD = -1
"""The size of a row that nobody has asked for."""


class Looks(NamedTuple):
    """The neighbours of what several shoppers had, and what they come of.

    Attributes:
        places: int64 (m,), each of a shopper's neighbours once.
        bounds: of the neighbours, by shopper.
        scores: float64 (ways, m), by the first way above 0.
        partners: int64 (pairs,), which of the neighbours each is.
        parts: float64 (pairs,), the weight of each pair as a part of the asked item's mass.
        pairs: bounds of the pairs, by what was asked.
        own: float64 (asked,), what a part of the item's mass weighs.
        theirs: float64 (m,), by what a pair with a neighbour is multiplied.
    """

    places: Places
    bounds: Places
    scores: Floats
    partners: Places
    parts: Floats
    pairs: Places
    own: Floats
    theirs: Floats

    def pull(self, wanted: npt.NDArray[np.bool_], asked: int) -> tuple[Places, Places, Floats]:
        """How similar neighbours are to what was asked, pair by pair.

        Args:
            wanted: bool (m,), of which neighbours.
            asked: of how many, the first.

        Returns:
            int64 (n,) neighbours, int64 (n,) of what was asked, and float64 (n,).
        """
        partners = self.partners[: self.pairs[asked]]
        hits = np.flatnonzero(wanted.take(partners))
        whose, partners = np.searchsorted(self.pairs, hits, "right") - 1, partners[hits]
        return partners, whose, self.parts[hits] * self.own[whose] * self.theirs[partners]


class Neighbourhood:
    """The rows of all items.

    Items are known by their places. A row is read when it is asked for first: of those that pass by, most are replaced
    before anybody asks. What was read stands one row after another in two arrays: the places of partners, and the
    weight of each pair as a part of the item's own mass.
    """

    def __init__(self, items: Items | None = None) -> None:
        """No rows yet. `items`: whose places these are; its own without any."""
        self.items = Items() if items is None else items
        self._masses = self.items.column(np.float64, decay.EMPTY)
        self._unread: dict[int, Callable[[], Mapping[str, float]]] = {}
        self._begins = self.items.column(np.int64, 0)
        self._sizes = self.items.column(np.int64, 0)
        self._partners = np.zeros(_BEGIN, np.int64)
        self._parts = np.zeros(_BEGIN)
        self._end = 0

    def __len__(self) -> int:
        return int(np.count_nonzero(self._masses.values != decay.EMPTY))

    @property
    def masses(self) -> Floats:
        """Log masses of items' own events by place, at least one for every item; `decay.EMPTY` for none."""
        return self._masses.values

    def update(self, item: str, log_mass: float, partners: Callable[[], Mapping[str, float]]) -> None:
        """Set an item's mass and its partners, which are called for when somebody asks."""
        place = self.items.place(item)
        self._masses.values[place] = log_mass
        # An item without an event of its own has no mass that its pairs could be a part of.
        self._sizes.values[place] = 0 if log_mass == decay.EMPTY else _UNREAD
        self._unread[place] = partners

    def scores(self, recent: Mapping[str, float], now: int) -> tuple[Places, Floats]:
        """Every neighbour of recent items, with the sum of its similarities to them.

        Args:
            recent: item → what it counts, above 0.
            now: event time, Unix milliseconds.

        Returns:
            int64 (n,) places, each once, and float64 (n,) scores above 0. The recent items may be among them.
        """
        known = [(place, count) for item, count in recent.items() if (place := self.items.find(item)) is not None]
        asked, counts = np.array([place for place, _ in known], np.int64), np.array([[count for _, count in known]])
        looks = self.looks(asked, bounds_of([len(known)]), counts, [now])
        return looks.places, looks.scores[0]

    def looks(self, asked: Places, bounds: Places, counts: Floats, nows: Sequence[int]) -> Looks:
        """Every neighbour of what several shoppers had, scored by several ways to count it.

        Args:
            asked: int64 (n,), places, each once for a shopper.
            bounds: of what is asked, by shopper.
            counts: float64 (ways, n), what each counts; by the first way above 0.
            nows: by shopper, event time, Unix milliseconds.
        """
        self._read(asked)
        sizes = self._sizes.values[asked]
        at = spans(self._begins.values[asked], sizes)
        partners, parts = self._partners.take(at), self._parts.take(at)
        shifts, pairs = decay.log_units(nows, HALF_LIFE_MS), bounds_of(sizes)
        places, edges, at = distinct(partners, pairs[bounds], self.items.scratch)
        logs = (1.0 - OWN) * (self._masses.values[asked] - np.repeat(shifts, sizes_of(bounds)))
        own = np.exp(np.clip(logs, -_LARGEST, _LARGEST))
        theirs = self._theirs(places, np.repeat(shifts, sizes_of(edges)))
        scores = np.empty((len(counts), len(places)))
        for sums, way in zip(scores, own * counts, strict=True):
            np.multiply(np.bincount(at, np.repeat(way, sizes) * parts, len(places)), theirs, out=sums)
        return Looks(places, edges, scores, at, parts, pairs, own, theirs)

    def top(self, recent: Mapping[str, float], now: int, count: int) -> list[str]:
        """The best neighbours of recent items, best first; equal ones by `Items.ties`."""
        places, scores = self.scores(recent, now)
        return self.items.named(self.items.ranked(places, alike(scores), count))

    def _theirs(self, places: Places, shifts: Floats) -> Floats:
        """float64 (n,): by what a pair with each is multiplied; 1 where the partner's own row has not come yet."""
        masses = self._masses.values.take(places)
        logs = np.clip(THEIRS * (shifts - masses), -_LARGEST, _LARGEST)
        return np.where(masses == decay.EMPTY, 1.0, np.exp(logs))

    def _read(self, asked: Places) -> None:
        """Read the rows of some places that were not read yet."""
        for place in dict.fromkeys(asked[self._sizes.values[asked] == _UNREAD].tolist()):
            row = self._unread.pop(place)()
            partners, size = self.items.places(row), len(row)
            if self._end + size > len(self._parts):
                self._make_room(size)
            own = slice(self._end, self._end + size)
            parts = np.fromiter(row.values(), np.float64, size) - self._masses.values[place]
            self._partners[own], self._parts[own] = partners, np.exp(np.clip(parts, -_LARGEST, _LARGEST))
            self._begins.values[place], self._sizes.values[place], self._end = own.start, size, own.stop

    def _make_room(self, more: int) -> None:
        """Close the gaps that replaced rows have left; take more where that leaves less than half free."""
        rows = np.flatnonzero(self._sizes.values > 0)
        sizes = self._sizes.values[rows]
        at = spans(self._begins.values[rows], sizes)
        capacity = max(len(self._parts), 2 * (len(at) + more))
        partners, parts = np.zeros(capacity, np.int64), np.zeros(capacity)
        partners[: len(at)], parts[: len(at)] = self._partners[at], self._parts[at]
        self._partners, self._parts, self._end = partners, parts, len(at)
        self._begins.values[rows] = bounds_of(sizes)[:-1]


ALIKE = 1e-8
"""Scores that differ by more than this part of them are not alike."""


def alike(scores: Floats) -> Floats:
    """Logs of scores, rounded: what differs by the order of adding alone stays equal. `scores`: above 0."""
    logs: Floats = np.log(scores)
    return logs.round(9)
