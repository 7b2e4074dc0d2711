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
from streams.core.events import Interaction

OWN = 0.3
THEIRS = 0.2
"""Exponents of the two items' masses that a pair's weight is divided by: 0.5 and 0.5 would be the cosine. Measured on
purchases: dividing by less spares popular neighbours, which are popular for a reason."""

ASKED = 50
"""Recent items whose neighbours are looked up."""

ASKED_RHO = 0.8
"""How much less a recent item counts for each moment that is newer."""

Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_LARGEST = 300.0
"""Of a logarithm: what lies centuries before or ahead of whoever asks must not leave the range of a float64."""


class _Row(NamedTuple):
    """An item's neighbours: its place, theirs, and the weight of each pair as a part of the item's own mass."""

    place: int
    partners: Places
    parts: Floats


def asked(recent: Sequence[Interaction]) -> dict[str, float]:
    """The items of a shopper's ring whose neighbours matter, with what each counts, newest first."""
    weights: dict[str, float] = {}
    moment, moments = None, -1
    for interaction in reversed(recent):
        if interaction.weight > 0:
            if interaction.time != moment:
                moment, moments = interaction.time, moments + 1
            if interaction.item not in weights:
                if len(weights) == ASKED:
                    break
                weights[interaction.item] = 0.0
            weights[interaction.item] += interaction.weight * ASKED_RHO**moments
    return weights


class Neighbourhood:
    """The rows of all items.

    Items are known by their places, which count up as items come. A row is read when it is asked for first: of those
    that pass by, most are replaced before anybody asks.
    """

    def __init__(self) -> None:
        self.items: list[str] = []
        """By place."""
        self._places: dict[str, int] = {}
        self._masses: Floats = np.full(1024, decay.EMPTY)
        self._unread: dict[int, Callable[[], Mapping[str, float]]] = {}
        self._rows: dict[int, _Row] = {}

    def __len__(self) -> int:
        return len(self._unread) + len(self._rows)

    def update(self, item: str, log_mass: float, partners: Callable[[], Mapping[str, float]]) -> None:
        """Set an item's mass and its partners, which are called for when somebody asks."""
        place = self._place(item)
        self._masses[place] = log_mass
        self._unread[place] = partners
        self._rows.pop(place, None)

    def scores(self, recent: Mapping[str, float], now: int) -> tuple[Places, Floats]:
        """Every neighbour of recent items, with the sum of its similarities to them.

        Args:
            recent: item → what it counts, above 0.
            now: event time, Unix milliseconds.

        Returns:
            int64 (n,) places, ascending, and float64 (n,) scores above 0. The recent items may be among them.
        """
        rows, counts = self._known(recent)
        if not rows:
            return np.zeros(0, np.int64), np.zeros(0)
        own = self._own(rows, now) * counts
        partners = np.concatenate([row.partners for row in rows])
        parts = np.concatenate([row.parts for row in rows]) * np.repeat(own, [len(row.partners) for row in rows])
        sums = np.bincount(partners, parts, len(self.items))
        places = np.flatnonzero(sums)
        return places, sums[places] * self._theirs(places, now)

    def top(self, recent: Mapping[str, float], now: int, count: int) -> list[str]:
        """The best neighbours of recent items, best first; equal ones by item id."""
        places, scores = self.scores(recent, now)
        # Rounded, so that scores which differ by the order of adding alone stay equal and are ranked by id.
        rounded = np.round(np.log(scores), 9)
        if count < len(rounded):
            enough = np.flatnonzero(rounded >= np.partition(rounded, len(rounded) - count)[len(rounded) - count])
            places, rounded = places[enough], rounded[enough]
        ranked = sorted((-score, self.items[place]) for place, score in zip(places, rounded, strict=True))
        return [item for _, item in ranked[:count]]

    def pull(self, items: Sequence[str], recent: Sequence[str], now: int) -> Floats:
        """How similar each of different items is to each recent one: float64 (len(items), len(recent))."""
        lines = [self._place(item) for item in items]
        known = [(column, row) for column, item in enumerate(recent) if (row := self._row(item)) is not None]
        pulls = np.zeros((len(items), len(recent)))
        if not known:
            return pulls
        line_of = np.full(len(self.items), -1)
        line_of[lines] = np.arange(len(items))
        rows = [row for _, row in known]
        sizes = [len(row.partners) for row in rows]
        partners = np.concatenate([row.partners for row in rows])
        wanted = np.flatnonzero(line_of[partners] >= 0)
        partners, parts = partners[wanted], np.concatenate([row.parts for row in rows])[wanted]
        own = np.repeat(self._own(rows, now), sizes)[wanted]
        columns = np.repeat([column for column, _ in known], sizes)[wanted]
        pulls[line_of[partners], columns] = parts * own * self._theirs(partners, now)
        return pulls

    def _known(self, recent: Mapping[str, float]) -> tuple[list[_Row], list[float]]:
        """Rows of the recent items that have any, and what each counts."""
        found = [(row, count) for item, count in recent.items() if (row := self._row(item)) is not None]
        return [row for row, _ in found], [count for _, count in found]

    def _own(self, rows: Sequence[_Row], now: int) -> Floats:
        """float64 (n,): what a part of each row's mass weighs, divided by the mass's power."""
        masses = self._masses[[row.place for row in rows]] - _shift(now)
        return np.exp(np.clip((1.0 - OWN) * masses, -_LARGEST, _LARGEST))

    def _theirs(self, places: Places, now: int) -> Floats:
        """float64 (n,): by what a pair with each is multiplied; 1 where the partner's own row has not come yet."""
        masses = self._masses[places]
        logs = np.clip(THEIRS * (_shift(now) - masses), -_LARGEST, _LARGEST)
        return np.where(masses == decay.EMPTY, 1.0, np.exp(logs))

    def _row(self, item: str) -> _Row | None:
        place = self._places.get(item)
        if place is None:
            return None
        # An item without an event of its own has no mass that its pairs could be a part of.
        if self._masses[place] > decay.EMPTY and (read := self._unread.pop(place, None)) is not None:
            partners = read()
            places = np.fromiter(map(self._place, partners), np.int64, len(partners))
            parts = np.fromiter(partners.values(), np.float64, len(partners)) - self._masses[place]
            self._rows[place] = _Row(place, places, np.exp(np.clip(parts, -_LARGEST, _LARGEST)))
        return self._rows.get(place)

    def _place(self, item: str) -> int:
        place = self._places.get(item)
        if place is None:
            place = self._places[item] = len(self.items)
            self.items.append(item)
            if place == len(self._masses):
                self._masses = np.concatenate((self._masses, np.full_like(self._masses, decay.EMPTY)))
        return place


def _shift(now: int) -> float:
    """The log mass of one event of weight 1 at a time, Unix milliseconds."""
    return decay.log_mass(1.0, now, HALF_LIFE_MS)
