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
from streams.core.items import Items

OWN = 0.3
THEIRS = 0.2
"""Exponents of the two items' masses that a pair's weight is divided by: 0.5 and 0.5 would be the cosine. Measured on
purchases: dividing by less spares popular neighbours, which are popular for a reason."""

ASKED_RHO = 0.8
"""How much less a recent item counts for each moment that is newer."""

WIDE_RHO, TIGHT_RHO = 0.95, 0.6
"""The same for two other looks at a ring: at what the shopper deals with at large, and at what they deal with now."""

Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_LARGEST = 300.0
"""Of a logarithm: what lies centuries before or ahead of whoever asks must not leave the range of a float64."""


class _Row(NamedTuple):
    """An item's neighbours: its place, theirs, and the weight of each pair as a part of the item's own mass."""

    place: int
    partners: Places
    parts: Floats


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
        asked = [place for item in recent if (place := self.items.find(item)) is not None]
        counts = [count for item, count in recent.items() if self.items.find(item) is not None]
        places, scores = self.looks(asked, np.array([counts], np.float64), now)
        return places, scores[0]

    def looks(self, asked: Sequence[int], counts: Floats, now: int) -> tuple[Places, Floats]:
        """Every neighbour of some places, scored by several ways to count these.

        Args:
            asked: n places, each once.
            counts: float64 (ways, n), what each counts, above 0.
            now: event time, Unix milliseconds.

        Returns:
            int64 (m,) places, each once, and float64 (ways, m) scores above 0.
        """
        known = [(column, row) for column, place in enumerate(asked) if (row := self._row(place)) is not None]
        if not known:
            return np.zeros(0, np.int64), np.zeros((len(counts), 0))
        rows = [row for _, row in known]
        sizes = [len(row.partners) for row in rows]
        partners = np.concatenate([row.partners for row in rows])
        parts = np.concatenate([row.parts for row in rows])
        own = self._own(rows, now) * counts[:, [column for column, _ in known]]
        places, inverse = self.items.distinct(partners)
        sums = [np.bincount(inverse, way, len(places)) for way in np.repeat(own, sizes, axis=1) * parts]
        return places, np.stack(sums) * self._theirs(places, now)

    def top(self, recent: Mapping[str, float], now: int, count: int) -> list[str]:
        """The best neighbours of recent items, best first; equal ones by `Items.ties`."""
        places, scores = self.scores(recent, now)
        return [self.items.ids[place] for place in self.items.ranked(places, alike(scores), count)]

    def pull(self, items: Places, recent: Places, now: int) -> Floats:
        """How similar each of different items is to each recent one: float64 (len(items), len(recent))."""
        asked, inverse = np.unique(recent, return_inverse=True)
        known = [(column, row) for column, place in enumerate(asked.tolist()) if (row := self._row(place)) is not None]
        pulls = np.zeros((len(items), len(asked)))
        if known:
            rows = [row for _, row in known]
            sizes = [len(row.partners) for row in rows]
            partners = np.concatenate([row.partners for row in rows])
            wanted, lines = self.items.located(partners, items)
            partners, parts = partners[wanted], np.concatenate([row.parts for row in rows])[wanted]
            own = np.repeat(self._own(rows, now), sizes)[wanted]
            columns = np.repeat([column for column, _ in known], sizes)[wanted]
            pulls[lines, columns] = parts * own * self._theirs(partners, now)
        return pulls[:, inverse]

    def _own(self, rows: Sequence[_Row], now: int) -> Floats:
        """float64 (n,): what a part of each row's mass weighs, divided by the mass's power."""
        masses = self._masses.values[[row.place for row in rows]] - _shift(now)
        return np.exp(np.clip((1.0 - OWN) * masses, -_LARGEST, _LARGEST))

    def _theirs(self, places: Places, now: int) -> Floats:
        """float64 (n,): by what a pair with each is multiplied; 1 where the partner's own row has not come yet."""
        masses = self._masses.values[places]
        logs = np.clip(THEIRS * (_shift(now) - masses), -_LARGEST, _LARGEST)
        return np.where(masses == decay.EMPTY, 1.0, np.exp(logs))

    def _row(self, place: int) -> _Row | None:
        row = self._rows.get(place)
        if row is not None or place not in self._unread:
            return row
        mass = self._masses.values[place]
        # An item without an event of its own has no mass that its pairs could be a part of.
        if mass > decay.EMPTY:
            partners = self._unread.pop(place)()
            places = self.items.places(partners)
            parts = np.fromiter(partners.values(), np.float64, len(partners)) - mass
            row = self._rows[place] = _Row(place, places, np.exp(np.clip(parts, -_LARGEST, _LARGEST)))
        return row


ALIKE = 1e-8
"""Scores that differ by more than this part of them are not alike."""


def alike(scores: Floats) -> Floats:
    """Logs of scores, rounded: what differs by the order of adding alone stays equal. `scores`: above 0."""
    logs: Floats = np.log(scores)
    return logs.round(9)


def _shift(now: int) -> float:
    """The log mass of one event of weight 1 at a time, Unix milliseconds."""
    return decay.log_mass(1.0, now, HALF_LIFE_MS)
