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
from streams.core.ragged import bounds_of, distinct, joined, sizes_of

OWN = 0.3
THEIRS = 0.2
"""Exponents of the two items' masses that a pair's weight is divided by: 0.5 and 0.5 would be the cosine. Measured on
purchases: dividing by less spares popular neighbours, which are popular for a reason."""

ASKED_RHO = 0.8
"""How much less a recent item counts for each moment that is newer."""

WIDE_RHO, TIGHT_RHO = 0.95, 0.6
"""The same for two other looks at a ring: at what the shopper deals with at large, and at what they deal with now."""

Floats = npt.NDArray[np.float64]

_LARGEST = 300.0
"""Of a logarithm: what lies centuries before or ahead of whoever asks must not leave the range of a float64."""


class _Row(NamedTuple):
    """An item's neighbours: their places, and the weight of each pair as a part of the item's own mass."""

    partners: Places
    parts: Floats


_NO_ROW = _Row(np.zeros(0, np.int64), np.zeros(0))


class Looks(NamedTuple):
    """The neighbours of what several shoppers had, and what they come of.

    Attributes:
        places: int64 (m,), each of a shopper's neighbours once.
        bounds: of the neighbours, by shopper.
        scores: float64 (ways, m), above 0.
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
    before anybody asks.
    """

    def __init__(self, items: Items | None = None) -> None:
        """No rows yet. `items`: whose places these are; its own without any."""
        self.items = Items() if items is None else items
        self._masses = self.items.column(np.float64, decay.EMPTY)
        self._unread: dict[int, Callable[[], Mapping[str, float]]] = {}
        self._rows: dict[int, _Row] = {}

    def __len__(self) -> int:
        return len(self._unread) + len(self._rows)

    @property
    def masses(self) -> Floats:
        """Log masses of items' own events by place, at least one for every item; `decay.EMPTY` for none."""
        return self._masses.values

    def update(self, item: str, log_mass: float, partners: Callable[[], Mapping[str, float]]) -> None:
        """Set an item's mass and its partners, which are called for when somebody asks."""
        place = self.items.place(item)
        self._masses.values[place] = log_mass
        self._unread[place] = partners
        self._rows.pop(place, None)

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
            counts: float64 (ways, n), what each counts, above 0.
            nows: by shopper, event time, Unix milliseconds.
        """
        read = self._rows.get
        rows = [read(place) or self._row(place) for place in asked.tolist()]
        sizes = np.array([len(row.partners) for row in rows], np.int64)
        partners = joined([row.partners for row in rows], np.int64)
        parts = joined([row.parts for row in rows], np.float64)
        shifts, pairs = decay.log_units(nows, HALF_LIFE_MS), bounds_of(sizes)
        places, edges, at = distinct(partners, pairs[bounds], self.items.scratch)
        logs = (1.0 - OWN) * (self._masses.values[asked] - np.repeat(shifts, sizes_of(bounds)))
        own = np.exp(np.clip(logs, -_LARGEST, _LARGEST))
        theirs = self._theirs(places, np.repeat(shifts, sizes_of(edges)))
        sums = [np.bincount(at, np.repeat(way, sizes) * parts, len(places)) for way in own * counts]
        return Looks(places, edges, np.stack(sums) * theirs, at, parts, pairs, own, theirs)

    def top(self, recent: Mapping[str, float], now: int, count: int) -> list[str]:
        """The best neighbours of recent items, best first; equal ones by `Items.ties`."""
        places, scores = self.scores(recent, now)
        return [self.items.ids[place] for place in self.items.ranked(places, alike(scores), count)]

    def _theirs(self, places: Places, shifts: Floats) -> Floats:
        """float64 (n,): by what a pair with each is multiplied; 1 where the partner's own row has not come yet."""
        masses = self._masses.values.take(places)
        logs = np.clip(THEIRS * (shifts - masses), -_LARGEST, _LARGEST)
        return np.where(masses == decay.EMPTY, 1.0, np.exp(logs))

    def _row(self, place: int) -> _Row:
        """A row that was not read yet."""
        mass = self._masses.values[place]
        # An item without an event of its own has no mass that its pairs could be a part of.
        if place not in self._unread or mass == decay.EMPTY:
            return _NO_ROW
        partners = self._unread.pop(place)()
        parts = np.fromiter(partners.values(), np.float64, len(partners)) - mass
        row = _Row(self.items.places(partners), np.exp(np.clip(parts, -_LARGEST, _LARGEST)))
        self._rows[place] = row
        return row


ALIKE = 1e-8
"""Scores that differ by more than this part of them are not alike."""


def alike(scores: Floats) -> Floats:
    """Logs of scores, rounded: what differs by the order of adding alone stays equal. `scores`: above 0."""
    logs: Floats = np.log(scores)
    return logs.round(9)
