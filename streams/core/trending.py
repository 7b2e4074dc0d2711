"""Live popularity: decayed weight of what all shoppers did with an item, and of what they discovered it with.

Each event partition keeps its own sums (one writer each), which anyone may add up. Negative and weightless events
do not count. A *discovery* is an event by which a shopper who has been here before comes to an item that they never had
to do with (`profile.absorbed`): what is popular with those who have it already says little to those who have not.
"""

from collections.abc import Container, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core import decay
from streams.core.events import Arrival
from streams.core.items import NEVER, Items

HALF_LIFE_MS = 7.0 * decay.DAY_MS
"""An event counts half as much after this time."""

DISCOVERY_HALF_LIFE_MS = 14.0 * decay.DAY_MS
"""A discovery counts half as much after this time: there are fewer of them."""

NEW_MS = 30.0 * decay.DAY_MS
"""An item is new for this long after the first event."""

SETTLED = 10.0
"""An item has arrived when the decayed weight of its events is this: ten purchases. Popularity speaks for it then."""

HEAD_START_DAYS = 3.0
"""Added to the age of what is new, or a single event would be the quickest of all."""

ARRIVALS = 500
"""So many are in the order at most."""

FEW = 8
"""An order is mended, not made anew, where fewer than one in so many items changed."""


class Popularity(NamedTuple):
    """Sums of one item within one partition.

    Attributes:
        offset: the last one in it.
        log_mass: log of the forward-decayed weight of its events.
        log_found: the same of its discoveries.
        first: time of the earliest event, Unix milliseconds; `NEVER` before there is one.
    """

    offset: int = -1
    log_mass: float = decay.EMPTY
    log_found: float = decay.EMPTY
    first: int = NEVER


def fold(popularity: Popularity, arrivals: Iterable[Arrival], discoveries: Container[int] = ()) -> Popularity:
    """Add an item's arrivals, in offset order; those at or below the offset were added before.

    discoveries: offsets of those among them that are.
    """
    offset, mass, found, first = popularity
    for arrival in arrivals:
        if arrival.offset <= offset or arrival.interaction is None:
            continue
        offset = arrival.offset
        _, _, weight, time = arrival.interaction
        if weight > 0:
            mass, first = decay.add(mass, decay.log_mass(weight, time, HALF_LIFE_MS)), min(first, time)
            if offset in discoveries:
                found = decay.add(found, decay.log_mass(weight, time, DISCOVERY_HALF_LIFE_MS))
    return Popularity(offset, mass, found, first)


class Board:
    """Popularity over all partitions: what is doing best now.

    Holds float64 (items, partitions) log masses, and their totals to nine places; the ranking is mended when it is
    asked for after a change. All masses decay alike, so it needs no clock. Equal ones are ranked by `Items.ties`.
    """

    def __init__(self, partitions: int, items: Items | None = None) -> None:
        """Nothing popular yet. `items`: whose places these are; its own without any."""
        self.items = Items() if items is None else items
        self._masses = self.items.column(np.float64, decay.EMPTY, partitions)
        self._totals = self.items.column(np.float64, decay.EMPTY)
        self._order = np.zeros(0, np.int64)
        self._changed: set[int] = set()

    def update(self, item: str, partition: int, log_mass: float) -> None:
        """Set an item's sum within one partition."""
        place = self.items.place(item)
        self._masses.values[place, partition] = log_mass
        # Rounded, so that sums which differ by the order of adding alone are equal.
        self._totals.values[place] = np.round(np.logaddexp.reduce(self._masses.values[place]), 9)
        self._changed.add(place)

    @property
    def totals(self) -> npt.NDArray[np.float64]:
        """Log mass over all partitions by place, at least one for every item; `decay.EMPTY` for one never seen."""
        return self._totals.values

    def total(self, item: str) -> float:
        """Log mass of an item over all partitions; `decay.EMPTY` for one never seen."""
        place = self.items.find(item)
        return decay.EMPTY if place is None else float(self.totals[place])

    def order(self) -> npt.NDArray[np.int64]:
        """The places of all items with mass, the most popular first."""
        if self._changed:
            self._order = self._mended(np.fromiter(self._changed, np.int64, len(self._changed)))
            self._changed.clear()
        return self._order

    def _mended(self, changed: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The order with some places put where they belong now: sorting all of a large shop takes milliseconds."""
        if FEW * len(changed) < len(self._order):
            moved = np.zeros(len(self.items), np.bool_)
            moved[changed] = True
            kept, put = self._order[~moved[self._order]], self.among(changed, len(changed))
            descending, wanted = -self.totals[kept], -self.totals[put]
            at = np.searchsorted(descending, wanted)
            if not np.any(descending[np.minimum(at, len(kept) - 1)] == wanted):  # equal ones are a sort's work
                return np.insert(kept, at, put)
        return self.among(np.arange(len(self.items)), len(self.items))

    def top(self, count: int) -> list[str]:
        """The most popular items, best first; items without mass are left out."""
        return self.items.named(self.order()[:count])

    def among(self, places: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
        """The most popular of some places, best first; those without mass are left out.

        places: int64 (n,), no place twice.
        """
        totals = self.totals[places]
        some = totals > decay.EMPTY
        return self.items.ranked(places[some], totals[some], count)


def arrivals(board: Board, now: int) -> npt.NDArray[np.int64]:
    """The places of what is new here and already wanted, by decayed weight / (age + a head start): the quickest first.

    Others know an item by what was done with it; of these little was, though it may be much for the days that they are
    here. It takes as long as there are items, so whoever asks for many asks as of an hour.

    now: Unix milliseconds.
    """
    items, masses = board.items, board.totals
    ages = now - np.minimum(items.first.values, now)
    settled = decay.log_mass(SETTLED, now, HALF_LIFE_MS)
    new = np.flatnonzero((ages < NEW_MS) & (masses > decay.EMPTY) & (masses < settled))
    speeds = masses[new] - np.log(ages[new] / decay.DAY_MS + HEAD_START_DAYS)
    return items.ranked(new, speeds.round(9), ARRIVALS)
