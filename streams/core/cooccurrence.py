"""Which items go together: streaming co-occurrence in what one shopper does, decayed.

    event + the shopper's ring before it ──► Delta ──► (repartitioned by item) ──► fold ──► Neighbours, one row an item

**What is a pair.** An event of positive weight pairs its item with the `WINDOW` distinct other items that lie nearest
to it in time in the shopper's ring as it is when the event arrives. A pair weighs

    closeness = (1 - APART) · 2 ^ (-time between them / SITTING) + APART · 2 ^ (-time between them / LASTING)
    weight    = sqrt(weight of the one · weight of the other) · closeness / sqrt(sum of the event's closenesses)

so what is done in one sitting goes together, and what is days apart a little; and of many partners each says less, as
each item of a long session does by the root of its length (`core/sessions`). Partners are those of before, so of a long
basket the first lines' pairs weigh the most. Each pair counts for both items, at the time of the later event. The
item's own mass is the sum of its events' weights.

**Late and out-of-order events** count by event time like all others: their neighbours are those around them in time.
Only what is in the ring can be a neighbour, so which pairs there are depends on the order of arrival where events
come late, as far as the bounds of ring and window go.

**Once.** A delta is a function of the ring before the event and of the event, so a redelivered event has the delta
that it had. A row keeps the highest offset applied of each origin (partition of the events); deltas of an origin
arrive in offset order but for repetitions, so whatever is not above it is a repetition and changes nothing.

**What the bound cuts off.** A row that grows past `MOST` partners keeps its `KEPT` heaviest. So a partner that was
dropped weighed less than each of `KEPT` others, that is at most 1 / (KEPT + 1) of the row; if it comes back it begins
at nothing (Manku & Motwani, "Approximate frequency counts over data streams", VLDB 2002: lossy counting). As everything
decays, what is new outgrows what was, and up to `MOST - KEPT` newcomers are given time to do so.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.core import decay
from streams.core.events import Arrival, Interaction
from streams.core.profile import remember

WINDOW = 10
"""Partners of one event at most. Measured: with 50, and rows of 300 partners, lists are no better for it."""

SITTING_MS = decay.HOUR_MS / 3.0
"""In one sitting: closeness falls by half in this time."""

LASTING_MS = 30.0 * decay.DAY_MS
"""The same of what brings a shopper back."""

APART = 0.1
"""How close two events are between which more than a sitting lies."""

HALF_LIFE_MS = 120.0 * decay.DAY_MS
"""A pair counts half as much after this time."""

KEPT = 100
MOST = 150
"""A row holds at most `MOST` partners; past that the `KEPT` heaviest are kept."""


class Delta(NamedTuple):
    """What one event adds: its weight to the item's own mass, a weight to each pair of it and a partner.

    `offset` is that of the event, `time` its time in Unix milliseconds.
    """

    offset: int
    time: int
    item: str
    weight: float
    partners: tuple[str, ...]
    weights: tuple[float, ...]


class Share(NamedTuple):
    """The part of a delta that one item's row has to add. `origin` is the partition of the event."""

    origin: int
    offset: int
    time: int
    weight: float
    partners: tuple[str, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """An item's row.

    Attributes:
        offset: the newest record of the pairs in it.
        log_mass: log of the decayed weight of the item's own events.
        applied: by origin, the offset of the newest event in it.
        partners: log of the decayed weight of the pairs with each partner.
    """

    offset: int = -1
    log_mass: float = decay.EMPTY
    applied: dict[int, int] = field(default_factory=dict)
    partners: dict[str, float] = field(default_factory=dict)


def deltas(recent: Sequence[Interaction], new: Iterable[Arrival]) -> list[Delta]:
    """What a shopper's new arrivals add, one after the other.

    Args:
        recent: the shopper's ring before them.
        new: what `profile.fresh` let through, in offset order.
    """
    ring = list(recent)
    found = []
    for arrival in new:
        if arrival.interaction is None:
            continue
        if arrival.interaction.weight > 0:
            found.append(_delta(ring, arrival.offset, arrival.interaction))
        remember(ring, arrival.interaction)
    return found


def _delta(ring: Sequence[Interaction], offset: int, event: Interaction) -> Delta:
    partners: dict[str, float] = {}
    total = 0.0
    for other in _around(ring, event.time):
        if other.weight <= 0 or other.item == event.item or other.item in partners:
            continue
        close = _closeness(abs(event.time - other.time))
        partners[other.item] = math.sqrt(event.weight * other.weight) * close
        total += close
        if len(partners) == WINDOW:
            break
    root = math.sqrt(total) or 1.0  # what lies centuries apart is not close at all
    weights = tuple(weight / root for weight in partners.values())
    return Delta(offset, event.time, event.item, event.weight, tuple(partners), weights)


def _closeness(gap: int) -> float:
    """How close two events are in time: 1 for no `gap`, in milliseconds, and less for any."""
    together: float = (1.0 - APART) * 0.5 ** (gap / SITTING_MS) + APART * 0.5 ** (gap / LASTING_MS)
    return together


def _around(ring: Sequence[Interaction], time: int) -> Iterator[Interaction]:
    """The ring's interactions by their distance in time, of equal ones the newer first."""
    if not ring or ring[-1].time <= time:
        return reversed(ring)
    newer = bisect_right(ring, time, key=lambda kept: kept.time)
    nearest = sorted(range(len(ring)), key=lambda place: (abs(ring[place].time - time), place < newer, -place))
    return (ring[place] for place in nearest)


def shares(origin: int, delta: Delta, mine: Callable[[str], bool]) -> Iterator[tuple[str, Share]]:
    """A delta as its items' rows have to add it, by item, of those items that are `mine`."""
    if mine(delta.item):
        yield delta.item, Share(origin, delta.offset, delta.time, delta.weight, delta.partners, delta.weights)
    for partner, weight in zip(delta.partners, delta.weights, strict=True):
        if mine(partner):
            yield partner, Share(origin, delta.offset, delta.time, 0.0, (delta.item,), (weight,))


def fold(row: Neighbours, given: Iterable[Share], offset: int) -> Neighbours:
    """Add shares to a row, in the order of their records, the last of which is at `offset`."""
    mass, applied, partners = row.log_mass, dict(row.applied), dict(row.partners)
    for share in given:
        if share.offset <= applied.get(share.origin, -1):
            continue
        applied[share.origin] = share.offset
        if share.weight > 0:
            mass = decay.add(mass, decay.log_mass(share.weight, share.time, HALF_LIFE_MS))
        for partner, weight in zip(share.partners, share.weights, strict=True):
            if weight > 0:  # a weight may be too small for a float
                added = decay.log_mass(weight, share.time, HALF_LIFE_MS)
                partners[partner] = decay.add(partners.get(partner, decay.EMPTY), added)
        if len(partners) > MOST:
            heaviest = sorted(partners.items(), key=lambda pair: (-pair[1], pair[0]))
            partners = dict(heaviest[:KEPT])
    return Neighbours(max(offset, row.offset), mass, applied, partners)
