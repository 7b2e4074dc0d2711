"""What the baselines know: counts and trails of the past, items by their places in the catalogue."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from streams.core.decay import DAY_MS
from streams.evaluation.log import EventSet

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

HALF_LIFE_MS = 5.0 * DAY_MS
"""Of decayed popularity: an event counts 1/e after about a week."""


class Query(NamedTuple):
    """Whom to recommend to, when (Unix ms), and what must not be in the list: int64 catalogue places."""

    user: str
    time: int
    barred: Places


class Learner(Protocol):
    """Follows the log, a moment at a time."""

    def learn(self, sets: Sequence[EventSet]) -> None:
        """Take in the sets of one moment, after everybody has predicted them."""
        ...

    async def settle(self) -> None:
        """Finish whatever `learn` put off: somebody is about to be asked."""
        ...


class Past:
    """Counts of events that speak for an item; others are passed over, as are items that the catalogue lacks."""

    def __init__(self, places: Mapping[str, int]) -> None:
        """Nothing yet. `places`: item id → place in the catalogue."""
        self.places = places
        self.counts: Floats = np.zeros(len(places))
        """Events of each item."""
        self.decayed: Floats = np.zeros(len(places))
        """The same, each halved every `HALF_LIFE_MS`; right in proportion, which is all a ranking needs."""
        self.trails: dict[str, list[int]] = defaultdict(list)
        """Items of a user, oldest first."""
        self.baskets: dict[str, dict[int, int]] = defaultdict(dict)
        """Of a user: item → number of sets that it was in."""
        self._time = 0

    def learn(self, sets: Sequence[EventSet]) -> None:
        """See `Learner`."""
        time = sets[0].time
        self.decayed *= 0.5 ** ((time - self._time) / HALF_LIFE_MS)
        self._time = time
        for happened in sets:
            items = spoken_for(happened, self.places)
            if items:
                np.add.at(self.counts, items, 1.0)
                np.add.at(self.decayed, items, 1.0)
                self.trails[happened.user].extend(items)
                basket = self.baskets[happened.user]
                for item in dict.fromkeys(items):
                    basket[item] = basket.get(item, 0) + 1

    async def settle(self) -> None:
        """Nothing was put off."""


def spoken_for(happened: EventSet, places: Mapping[str, int]) -> list[int]:
    """Catalogue places of the items that a set speaks for, one per event."""
    items = (event.item for event in happened.events if event.item is not None and event.weight > 0)
    return [places[item] for item in items if item in places]
