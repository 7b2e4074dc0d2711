"""What shoppers were for lately, and how much each of it counts: what neighbours and others' sessions are asked by."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from streams.core import ragged
from streams.core.channels import Floats, Ring, Visit
from streams.core.items import Items, Places
from streams.core.neighbourhood import ASKED_RHO, TIGHT_RHO, WIDE_RHO
from streams.core.sessions import KEEP, MET_KEEP, weighed

RHOS = np.array([[ASKED_RHO], [WIDE_RHO], [TIGHT_RHO]])
"""float64 (3, 1): ways to look at a ring. The first one makes the channel, the others are features."""


class Doings(NamedTuple):
    """What shoppers were for lately.

    Attributes:
        rings: all that each did.
        events: bounds of the interactions of positive weight, by shopper.
        items: int64 (events,), oldest first: which of `asked` each was about.
        asked: int64 (n,), the places of these, each once for a shopper.
        bounds: of what is asked, by shopper.
        looks: float64 (ways, n), what each counts, by `RHOS`.
        counts: float64 (n,), what each counts among others' sessions.
        met: float64 (n,), what each counts among what was met in them.
    """

    rings: list[Ring]
    events: Places
    items: Places
    asked: Places
    bounds: Places
    looks: Floats
    counts: Floats
    met: Floats


def doings_of(visits: Sequence[Visit], items: Items) -> Doings:
    """What some shoppers were for lately."""
    recent = list(chain.from_iterable(visit.profile.recent for visit in visits))
    # No `zip(*recent)`: it would make an object for every event, for the garbage collector to go through.
    places = items.places([item for item, _, _, _ in recent])
    weights = np.array([weight for _, _, weight, _ in recent], np.float64)
    times = np.array([time for _, _, _, time in recent], np.int64)
    bounds = ragged.bounds_of([len(visit.profile.recent) for visit in visits])
    columns = (ragged.parted(column, bounds) for column in (places, weights, times))
    rings = [Ring(*ring) for ring in zip(*columns, strict=True)]
    liked = np.flatnonzero(weights > 0)
    events = np.searchsorted(liked, bounds)
    owner = ragged.owners(events)
    newest_first = events[owner] + events[owner + 1] - 1 - np.arange(len(liked))
    rows = liked[newest_first]
    asked, each, at = ragged.distinct(places[rows], events, items.scratch)
    moments = np.zeros(len(rows), np.int64)
    np.cumsum(times[rows[1:]] != times[rows[:-1]], out=moments[1:])
    moments -= moments[events[owner]]
    ways = weights[rows] * RHOS**moments
    looks: Floats = np.stack([np.bincount(at, way, len(asked)).astype(np.float64) for way in ways])
    newer = ragged.turns(events)
    counts, met = (
        np.bincount(at, weighed(weights[rows], newer, keep), len(asked)).astype(np.float64) for keep in (KEEP, MET_KEEP)
    )
    return Doings(rings, events, at[newest_first], asked, each, looks, counts, met)
