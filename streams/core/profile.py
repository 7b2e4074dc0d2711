"""A shopper's profile: a pure function of the shopper's events.

    events ──► fold ──► Profile ──► interests ──► weighted items ──► (vectors are looked up by the caller)
                          │ recent: ring of the last interactions, by event time
                          │ habits: what was bought, how often, when last, for buying again
                          │ seen:   ids of the last events, so that a producer's duplicate counts once
                          └ attributes: the newest of what events told of the shopper, for segments

A profile holds items, never vectors: a late embedding or a new model needs no rewriting of rows, every
contribution can be named and removed, and a replay gives the same bytes.

**Late and out-of-order events.** An event counts by its own time, not by its arrival: it takes its place in the
ring by event time (at equal times, by arrival), unless the ring is full of newer ones; habits are sums and extremes,
which do not ask for order. So any order of arrival gives the same profile, up to what the bounds cut off.

**Duplicates.** An arrival at or below the profile's offset was applied before (a redelivery) and changes nothing; so
does one whose event id is among the last `SEEN` ids (a producer's retry under a new offset).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from streams.core import decay
from streams.core.coldstart import learn
from streams.core.events import Arrival, Attributes, EventType, Interaction

RING = 50
"""Recent interactions kept."""

HABITS = 256
"""Bought items kept; past that the one with the smallest decayed mass goes."""

SEEN = 64
"""Event ids remembered for dropping a producer's duplicates."""

HABIT_HALF_LIFE_MS = 60.0 * decay.DAY_MS
"""A purchase counts half as much after this time."""

INTENT_HALF_LIFE = 6.0
"""Short-term intent: an interaction counts half as much after this many newer ones."""


class Habit(NamedTuple):
    """What is kept of a bought item: how often, first and last time (Unix ms), log of decayed count."""

    purchases: int
    first: int
    last: int
    log_mass: float


@dataclass(frozen=True, slots=True)
class Profile:
    """A shopper as of a source offset. `recent` is ordered by event time, newest last."""

    offset: int = -1
    recent: tuple[Interaction, ...] = ()
    habits: dict[str, Habit] = field(default_factory=dict)
    seen: tuple[int, ...] = ()
    attributes: Attributes = field(default_factory=dict)


class Interest(NamedTuple):
    """A direction of taste: items with weights (they may be negative). The caller makes a vector of it."""

    name: str
    items: list[str]
    weights: list[float]


def fingerprint(event_id: str) -> int:
    """A 64-bit fingerprint of an event id, the same on every machine."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "little")


def fresh(profile: Profile, arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Those of a shopper's arrivals, in offset order, that are no duplicates of anything applied before."""
    known = set(profile.seen)
    new = []
    for arrival in arrivals:
        if arrival.offset <= profile.offset:
            continue
        mark = fingerprint(arrival.event)
        if mark not in known:
            known.add(mark)
            new.append(arrival)
    return new


def fold(profile: Profile, arrivals: Sequence[Arrival]) -> Profile:
    """Apply a shopper's arrivals, in offset order. Returns the same object when all were applied before."""
    return absorb(profile, fresh(profile, arrivals), arrivals[-1].offset) if arrivals else profile


def absorb(profile: Profile, new: Iterable[Arrival], offset: int) -> Profile:
    """Apply what `fresh` let through of a shopper's arrivals, the last of which is at `offset`."""
    if offset <= profile.offset:
        return profile
    recent = list(profile.recent)
    habits = dict(profile.habits)
    seen = list(profile.seen)
    attributes = profile.attributes
    for arrival in new:
        seen.append(fingerprint(arrival.event))
        attributes = learn(attributes, arrival.told)
        if arrival.interaction is not None:
            remember(recent, arrival.interaction)
            if arrival.interaction.type is EventType.PURCHASE and arrival.interaction.weight > 0:
                _bought(habits, arrival.interaction)
    return Profile(offset, tuple(recent), habits, tuple(seen[-SEEN:]), attributes)


def remember(recent: list[Interaction], interaction: Interaction) -> None:
    """Insert by event time, after those of the same time; drop the oldest past the bound."""
    recent.insert(bisect_right(recent, interaction.time, key=lambda kept: kept.time), interaction)
    if len(recent) > RING:
        del recent[0]


def _bought(habits: dict[str, Habit], purchase: Interaction) -> None:
    mass = decay.log_mass(purchase.weight, purchase.time, HABIT_HALF_LIFE_MS)
    old = habits.get(purchase.item)
    if old is None:
        habits[purchase.item] = Habit(1, purchase.time, purchase.time, mass)
    else:
        habits[purchase.item] = Habit(
            old.purchases + 1,
            min(old.first, purchase.time),
            max(old.last, purchase.time),
            decay.add(old.log_mass, mass),
        )
    if len(habits) > HABITS:
        del habits[min(habits, key=lambda item: (habits[item].log_mass, item))]


def interests(profile: Profile, now: int) -> list[Interest]:
    """The directions to search in: what the shopper is after just now, and what they keep buying.

    `now` is event time in Unix milliseconds. An interest without items is left out.
    """
    found = []
    intent: dict[str, float] = {}
    for age, interaction in enumerate(reversed(profile.recent)):
        if interaction.weight:
            weight = interaction.weight * 0.5 ** (age / INTENT_HALF_LIFE)
            intent[interaction.item] = intent.get(interaction.item, 0.0) + weight
    if any(weight > 0 for weight in intent.values()):
        found.append(Interest("intent", list(intent), list(intent.values())))
    if profile.habits:
        masses = (habit.log_mass for habit in profile.habits.values())
        weights = decay.values_at(masses, now, HABIT_HALF_LIFE_MS)
        found.append(Interest("habits", list(profile.habits), weights))
    return found


def rejected(profile: Profile) -> set[str]:
    """Items the shopper turned down: the newest thing said of them was negative."""
    newest: dict[str, float] = {}
    for interaction in profile.recent:
        if interaction.weight:
            newest[interaction.item] = interaction.weight
    return {item for item, weight in newest.items() if weight < 0}


def in_cart(profile: Profile) -> set[str]:
    """Items put into the cart and neither taken out nor bought since."""
    cart: set[str] = set()
    for interaction in profile.recent:
        if interaction.type is EventType.CART:
            cart.add(interaction.item)
        elif interaction.type in (EventType.UNCART, EventType.PURCHASE):
            cart.discard(interaction.item)
    return cart
