"""Live popularity: decayed weight of what all shoppers did with an item.

Each event partition keeps its own sums (one writer each), which anyone may add up. Negative and weightless events
do not count.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core import decay
from streams.core.events import Arrival

HALF_LIFE_MS = 14.0 * decay.DAY_MS
"""An event counts half as much after this time."""


class Popularity(NamedTuple):
    """Sum of one item within one partition: log of the forward-decayed weight, and the last offset in it."""

    offset: int = -1
    log_mass: float = decay.EMPTY


def fold(popularity: Popularity, arrivals: Iterable[Arrival]) -> Popularity:
    """Add an item's arrivals, in offset order; those at or below the offset were added before."""
    offset, mass = popularity
    for arrival in arrivals:
        if arrival.offset <= offset or arrival.interaction is None:
            continue
        offset = arrival.offset
        if arrival.interaction.weight > 0:
            mass = decay.add(mass, decay.log_mass(arrival.interaction.weight, arrival.interaction.time, HALF_LIFE_MS))
    return Popularity(offset, mass)


class Board:
    """Popularity over all partitions: what is doing best now.

    Holds float64 (items, partitions) log masses; the ranking is renewed when it is asked for after a change.
    All masses decay alike, so the ranking needs no clock. Equal masses are ranked by item id.
    """

    def __init__(self, partitions: int) -> None:
        self._masses = np.full((1024, partitions), decay.EMPTY)
        self._totals = np.full(1024, decay.EMPTY)
        self._places: dict[str, int] = {}
        self._items: list[str] = []
        self._ranking: list[str] = []
        self._stale = False

    def update(self, item: str, partition: int, log_mass: float) -> None:
        """Set an item's sum within one partition."""
        place = self.place(item)
        self._masses[place, partition] = log_mass
        self._totals[place] = np.logaddexp.reduce(self._masses[place])
        self._stale = True

    def place(self, item: str) -> int:
        """The place of an item, by which `among` knows it; it gets one when it is first spoken of."""
        place = self._places.get(item)
        if place is None:
            place = self._places[item] = len(self._items)
            self._items.append(item)
            if place == len(self._totals):
                self._masses = np.vstack((self._masses, np.full_like(self._masses, decay.EMPTY)))
                self._totals = np.concatenate((self._totals, np.full_like(self._totals, decay.EMPTY)))
        return place

    def total(self, item: str) -> float:
        """Log mass of an item over all partitions; `decay.EMPTY` for one never seen."""
        place = self._places.get(item)
        return decay.EMPTY if place is None else float(self._totals[place])

    def top(self, count: int) -> list[str]:
        """The most popular items, best first; items without mass are left out."""
        if self._stale or count > len(self._ranking):
            self._ranking = [item for item, _ in self.among(np.arange(len(self._items)), count)]
            self._stale = False
        return self._ranking[:count]

    def among(self, places: npt.NDArray[np.int64], count: int) -> list[tuple[str, float]]:
        """The most popular of the items at some places with their log masses, best first; those without are left out.

        places: int64 (n,), no place twice.
        """
        # Rounded, so that sums which differ by the order of adding alone stay equal and are ranked by id.
        totals = np.round(self._totals[places], 9)
        least = decay.EMPTY
        if count < len(totals):
            least = np.partition(totals, len(totals) - count)[len(totals) - count]
        best = np.flatnonzero((totals >= least) & (totals > decay.EMPTY))
        ranked = sorted((-float(totals[at]), self._items[places[at]]) for at in best)
        return [(item, -negated) for negated, item in ranked[:count]]
