"""What goes with what a shopper had: the rows of all items as one similarity, for looking up.

    similarity(x, y) = pair(x, y) / ((mass(x) + 1) ^ OWN · (mass(y) + 1) ^ THEIRS)     all decayed to the time of asking
    score(y)         = Σ over recent x of what x counts · similarity(x, y)

(Sarwar et al., "Item-based collaborative filtering recommendation algorithms", WWW 2001; Deshpande & Karypis,
"Item-based top-N recommendation algorithms", TOIS 2004.) The one event added to each mass keeps what was seen once
from beating what was seen often.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from streams.core import decay
from streams.core.cooccurrence import HALF_LIFE_MS
from streams.core.events import Interaction

OWN = 0.5
THEIRS = 0.3
"""Exponents of the two items' masses that a pair's weight is divided by: 0.5 and 0.5 would be the cosine. Popular
neighbours are spared a part of it."""

ASKED = 50
"""Recent items whose neighbours are looked up."""

ASKED_RHO = 0.9
"""How much less a recent item counts for each moment that is newer."""

_LARGEST = 700.0
"""Log of about the largest float64: for pairs that lie centuries ahead of whoever asks."""

Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


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
        self._rows: dict[int, tuple[Places, Floats]] = {}

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
            int64 (n,) places, ascending, and float64 (n,) scores. The recent items may be among them.
        """
        found = [(row, weight) for item, weight in recent.items() if (row := self._row(item)) is not None]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0)
        partners = np.concatenate([places for (_, places, _), _ in found])
        sizes = [len(places) for (_, places, _), _ in found]
        owners = np.repeat(np.array([place for (place, _, _), _ in found]), sizes)
        counts = np.concatenate([logs for (_, _, logs), _ in found])
        similar = self._similarity(owners, partners, counts, now) * np.repeat([weight for _, weight in found], sizes)
        places, inverse = np.unique(partners, return_inverse=True)
        return places, np.bincount(inverse, similar, len(places)).astype(np.float64, copy=False)

    def top(self, recent: Mapping[str, float], now: int, count: int) -> list[str]:
        """The best neighbours of recent items, best first; equal ones by item id."""
        places, scores = self.scores(recent, now)
        # Rounded, so that scores which differ by the order of adding alone stay equal and are ranked by id.
        places, scores = places[scores > 0], scores[scores > 0]
        rounded = np.round(np.log(scores), 9)
        if count < len(rounded):
            enough = np.flatnonzero(rounded >= np.partition(rounded, len(rounded) - count)[len(rounded) - count])
            places, rounded = places[enough], rounded[enough]
        ranked = sorted((-score, self.items[place]) for place, score in zip(places, rounded, strict=True))
        return [item for _, item in ranked[:count]]

    def pull(self, items: Sequence[str], recent: Sequence[str], now: int) -> Floats:
        """How similar each item is to each recent one: float64 (len(items), len(recent))."""
        wanted = np.array([self._places.get(item, -1) for item in items], np.int64)
        pulls = np.zeros((len(wanted), len(recent)))
        for column, item in enumerate(recent):
            if (row := self._row(item)) is not None:
                place, partners, counts = row
                at, among = np.nonzero(wanted[:, None] == partners)
                owners = np.full(len(at), place)
                pulls[at, column] = self._similarity(owners, partners[among], counts[among], now)
        return pulls

    def _similarity(self, owners: Places, partners: Places, counts: Floats, now: int) -> Floats:
        """float64 (n,): of each owner and partner with the log weight of the pair."""
        shift = now / HALF_LIFE_MS * math.log(2.0)
        own = OWN * np.logaddexp(0.0, self._masses[owners] - shift)
        theirs = THEIRS * np.logaddexp(0.0, self._masses[partners] - shift)
        return np.exp(np.minimum(counts - shift - own - theirs, _LARGEST))

    def _row(self, item: str) -> tuple[int, Places, Floats] | None:
        place = self._places.get(item)
        if place is None:
            return None
        if (read := self._unread.pop(place, None)) is not None:
            partners = read()
            places = np.fromiter((self._place(partner) for partner in partners), np.int64, len(partners))
            self._rows[place] = places, np.fromiter(partners.values(), np.float64, len(partners))
        row = self._rows.get(place)
        return None if row is None else (place, *row)

    def _place(self, item: str) -> int:
        place = self._places.get(item)
        if place is None:
            place = self._places[item] = len(self.items)
            self.items.append(item)
            if place == len(self._masses):
                self._masses = np.concatenate((self._masses, np.full_like(self._masses, decay.EMPTY)))
        return place
