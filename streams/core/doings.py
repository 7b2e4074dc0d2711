"""What shoppers did, as columns: what they were for lately and how much each of it counts, and what they buy."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core import decay, ragged
from streams.core.channels import Floats, Visit
from streams.core.decay import HOUR_MS
from streams.core.items import Items, Places
from streams.core.neighbourhood import TIGHT_RHO, WIDE_RHO
from streams.core.sessions import KEEP, MET_KEEP, weighed

RHOS = np.array([[WIDE_RHO], [TIGHT_RHO]])
"""float64 (2, 1): how much less a recent item counts for each moment that is newer, in two looks at a ring."""

SITTING_MS = HOUR_MS // 2
"""What was done so long before the newest, or less, is of the same sitting: the third look is at that alone."""


class Doings(NamedTuple):
    """What shoppers were for lately: interactions of positive weight, oldest first.

    Attributes:
        newest: int64 (shoppers,), when each did anything last, Unix milliseconds; 0 for never.
        events: bounds of the interactions, by shopper.
        places, weights, times: int64, float64 and int64 (events,).
        items: int64 (events,), which of `asked` each was about.
        asked: int64 (n,), the places of these, each once for a shopper.
        bounds: of what is asked, by shopper.
        looks: float64 (3, n), what each counts, by `RHOS` and in the sitting; 0 for what is not of that. The first look
            makes the channel, all are features.
        counts: float64 (n,), what each counts among others' sessions.
        met: float64 (n,), what each counts among what was met in them.
    """

    newest: Places
    events: Places
    places: Places
    weights: Floats
    times: Places
    items: Places
    asked: Places
    bounds: Places
    looks: Floats
    counts: Floats
    met: Floats

    @property
    def sitting(self) -> npt.NDArray[np.bool_]:
        """Bool (n,): what of this is of the present sitting."""
        sitting: npt.NDArray[np.bool_] = self.looks[-1] > 0
        return sitting


def doings_of(visits: Sequence[Visit], items: Items) -> Doings:
    """What some shoppers were for lately."""
    recent = list(chain.from_iterable(visit.profile.recent for visit in visits))
    # No `zip(*recent)`: it would make an object for every event, for the garbage collector to go through.
    places = items.places([item for item, _, _, _ in recent])
    weights = np.array([weight for _, _, weight, _ in recent], np.float64)
    times = np.array([time for _, _, _, time in recent], np.int64)
    bounds = ragged.bounds_of([len(visit.profile.recent) for visit in visits])
    newest = np.array([visit.profile.recent[-1].time if visit.profile.recent else 0 for visit in visits], np.int64)
    liked = np.flatnonzero(weights > 0)
    events = np.searchsorted(liked, bounds)
    places, weights, times = places[liked], weights[liked], times[liked]
    owner = ragged.owners(events)
    rows = events[owner] + events[owner + 1] - 1 - np.arange(len(liked))  # newest first
    asked, each, at = ragged.distinct(places[rows], events, items.scratch)
    moments = np.zeros(len(rows), np.int64)
    np.cumsum(times[rows[1:]] != times[rows[:-1]], out=moments[1:])
    moments -= moments[events[owner]]
    sitting = times[rows] >= times[events[owner + 1] - 1] - SITTING_MS
    ways = weights[rows] * np.concatenate((RHOS**moments, sitting[None]))
    looks: Floats = np.stack([np.bincount(at, way, len(asked)).astype(np.float64) for way in ways])
    newer = ragged.turns(events)
    counts, met = (
        np.bincount(at, weighed(weights[rows], newer, keep), len(asked)).astype(np.float64) for keep in (KEEP, MET_KEEP)
    )
    return Doings(newest, events, places, weights, times, at[rows], asked, each, looks, counts, met)


class Habits(NamedTuple):
    """What shoppers buy.

    Attributes:
        bounds: of what was bought, by shopper.
        places: int64 (n,).
        purchases, first, last: float64 (n,), whole: see `memory.Habit`.
        returns: float64 (n,), how often it was sent back.
        strengths: float64 (n,), decayed numbers of purchases; once is half, and 0 what was sent back.
    """

    bounds: Places
    places: Places
    purchases: Floats
    first: Floats
    last: Floats
    returns: Floats
    strengths: Floats


def habits_of(visits: Sequence[Visit], items: Items) -> Habits:
    """What some shoppers buy: see `candidates.habit_strengths`."""
    habits = [visit.profile.habits for visit in visits]
    bounds = ragged.bounds_of([len(own) for own in habits])
    places = items.places(list(chain.from_iterable(habits)))
    numbers = chain.from_iterable(chain.from_iterable(own.values() for own in habits))
    purchases, first, last, masses = np.fromiter(numbers, np.float64, 4 * len(places)).reshape(-1, 4).T
    returns = np.zeros(len(places))
    for visit, own in zip(visits, ragged.parted(returns, bounds), strict=True):
        if against := visit.profile.against:
            own[:] = [against[item].returns if item in against else 0 for item in visit.profile.habits]
    units = [decay.log_mass(1.0, visit.now, visit.profile.habits_ms) for visit in visits]
    counts = np.exp(masses - np.repeat(units, ragged.sizes_of(bounds)))
    kept = np.where(returns > 0, counts * np.maximum(purchases - returns, 0.0) / purchases, counts)
    return Habits(bounds, places, purchases, first, last, returns, np.where(purchases > 1, kept, 0.5 * kept))
