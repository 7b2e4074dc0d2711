"""A shopper's profile: a pure function of the shopper's events.

    events ──► fold ──► Profile ──► interests ──► weighted items ──► (vectors are looked up by the caller)
                          │ recent:  ring of the last interactions, by event time
                          │ shown:   ring of the last impressions, for what is shown again and again
                          │ habits, past, against: what was bought, liked and turned down (`streams.core.memory`)
                          │ seen:    ids of the last events, so that a producer's duplicate counts once
                          │ attributes: the newest of what events told of the shopper, for segments
                          └ alias:   whom an anonymous shopper has logged in as (`streams.core.merging`)

A profile holds items, never vectors: a late embedding or a new model needs no rewriting of rows, every
contribution can be named and removed, and a replay gives the same bytes.

**Late and out-of-order events.** An event counts by its own time, not by its arrival: it takes its place in the
rings by event time (at equal times, by arrival), unless they are full of newer ones; the rest is sums and extremes,
which do not ask for order. So any order of arrival gives the same profile, up to what the bounds cut off.

**Duplicates.** An arrival at or below the profile's offset was applied before (a redelivery) and changes nothing; so
does one whose event id is among the last `SEEN` ids (a producer's retry under a new offset).

**Half-lives.** The one of habits is part of every sum that is kept, so a profile says which one it was folded with; the
others are only asked for when a profile is read.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import NamedTuple, TypeVar

from streams.core import decay, memory
from streams.core.coldstart import learn
from streams.core.events import Alias, Arrival, Attributes, EventType, Interaction
from streams.core.halflives import HABIT_HALF_LIFE_MS, HALF_LIVES, HalfLives
from streams.core.memory import Against, Habit, Past

RING = 50
"""Recent interactions kept."""

SHOWN = 100
"""Impressions kept: those of about five lists of 20."""

_WEIGHT = itemgetter(Interaction._fields.index("weight"))
_CART, _UNCART, _PURCHASE = EventType.CART, EventType.UNCART, EventType.PURCHASE

LONG = "long-term"
"""Name of the interest in what a shopper is for in the long run."""

SEEN = 64
"""Event ids remembered for dropping a producer's duplicates."""


class Impression(NamedTuple):
    """That a shopper was shown an item. `time` in Unix milliseconds."""

    item: str
    time: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A shopper as of a source offset. `recent` and `shown` are ordered by event time, newest last.

    `habits_ms` is the half-life that `habits` and `past` were folded with.
    """

    offset: int = -1
    recent: tuple[Interaction, ...] = ()
    habits: dict[str, Habit] = field(default_factory=dict)
    seen: tuple[int, ...] = ()
    attributes: Attributes = field(default_factory=dict)
    past: dict[str, Past] = field(default_factory=dict)
    against: dict[str, Against] = field(default_factory=dict)
    shown: tuple[Impression, ...] = ()
    alias: Alias | None = None
    habits_ms: float = HABIT_HALF_LIFE_MS


_Timed = TypeVar("_Timed", Interaction, Impression)


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
    # As many ids are known at each arrival as if it came alone: what a duplicate is must not depend on the batches.
    window = deque(profile.seen, maxlen=SEEN)
    known = set(window)
    twice = len(known) < len(window)  # of an id that is known from two histories, one may go
    new = []
    for arrival in arrivals:
        if arrival.offset <= profile.offset:
            continue
        mark = fingerprint(arrival.event)
        if mark not in known:
            oldest = window[0] if len(window) == SEEN else None
            window.append(mark)
            if oldest is not None and not (twice and oldest in window):
                known.discard(oldest)
            known.add(mark)
            new.append(arrival)
    return new


def fold(profile: Profile, arrivals: Sequence[Arrival], half_lives: HalfLives = HALF_LIVES) -> Profile:
    """Apply a shopper's arrivals, in offset order. Returns the same object when all were applied before."""
    return absorb(profile, fresh(profile, arrivals), arrivals[-1].offset, half_lives) if arrivals else profile


def absorb(profile: Profile, new: Iterable[Arrival], offset: int, half_lives: HalfLives = HALF_LIVES) -> Profile:
    """Apply what `fresh` let through of a shopper's arrivals, the last of which is at `offset`."""
    return absorbed(profile, new, offset, half_lives).profile


class Absorbed(NamedTuple):
    """A profile, and the offsets of the arrivals that went into it last by which the shopper discovered an item.

    An item is discovered by a positive event of a shopper who did anything before its time, and was never for the item
    as far as is remembered.
    """

    profile: Profile
    discoveries: frozenset[int] = frozenset()


def absorbed(profile: Profile, new: Iterable[Arrival], offset: int, half_lives: HalfLives = HALF_LIVES) -> Absorbed:
    """The same as `absorb`, with what was discovered: a function of the arrivals, however they are cut."""
    if offset <= profile.offset:
        return Absorbed(profile)
    profile = rebased(profile, half_lives.habits_ms)
    recent, shown, seen = list(profile.recent), list(profile.shown), list(profile.seen)
    habits, past, against = dict(profile.habits), dict(profile.past), dict(profile.against)
    attributes, alias = profile.attributes, profile.alias
    discoveries = []
    for arrival in new:
        seen.append(fingerprint(arrival.event))
        attributes = learn(attributes, arrival.told)
        alias = arrival.login or alias
        interaction = arrival.interaction
        if interaction is None:
            continue
        if interaction.type is EventType.IMPRESSION:
            _insert(shown, Impression(interaction.item, interaction.time), SHOWN)
        known = interaction.item in habits or interaction.item in past
        if interaction.weight > 0 and not known and _been_here(recent, interaction.time):
            discoveries.append(arrival.offset)
        remember(recent, interaction)
        if interaction.weight > 0 and interaction.type is EventType.PURCHASE:
            memory.bought(habits, interaction, profile.habits_ms)
        elif interaction.weight > 0:
            memory.liked(past, interaction, profile.habits_ms)
        elif interaction.weight < 0 and interaction.type in memory.LASTING:
            memory.turned_down(against, interaction)
    after = Profile(
        offset, tuple(recent), habits, tuple(seen[-SEEN:]), attributes, past, against, tuple(shown), alias,
        profile.habits_ms,
    )  # fmt: skip
    return Absorbed(after, frozenset(discoveries))


def _been_here(recent: Sequence[Interaction], time: int) -> bool:
    """Whether a shopper with these recent interactions did anything before a time."""
    return bool(recent) and (recent[0].time < time or len(recent) == RING)


def remember(recent: list[Interaction], interaction: Interaction) -> None:
    """Insert by event time, after those of the same time; drop the oldest past the bound.

    Impressions that weigh nothing stay out: a list of 20 would push out what the shopper did.
    """
    if interaction.weight or interaction.type is not EventType.IMPRESSION:
        _insert(recent, interaction, RING)


def rebased(profile: Profile, habits_ms: float) -> Profile:
    """The profile with its sums under another half-life of habits; the same object where it is the one it has."""
    old = profile.habits_ms
    if old == habits_ms:
        return profile
    return replace(
        profile,
        habits={
            item: habit._replace(log_mass=memory.rebased(habit.log_mass, habit.last, old, habits_ms))
            for item, habit in profile.habits.items()
        },
        past={
            item: past._replace(log_mass=memory.rebased(past.log_mass, past.last, old, habits_ms))
            for item, past in profile.past.items()
        },
        habits_ms=habits_ms,
    )


def united(one: Profile, other: Profile) -> Profile:
    """What two histories made, as of one history of both; offset and alias are those of `one`.

    The half-life is that of `one`, unless there is nothing in it. Equal to the fold of all their events, up to what the
    bounds cut off, the order of what happened at equal times, and which event ids are the last.
    """
    if one.seen:
        other = rebased(other, one.habits_ms)
    return replace(
        one,
        habits_ms=other.habits_ms,
        recent=_merged(one.recent, other.recent)[-RING:],
        habits=memory.joined_habits(one.habits, other.habits),
        seen=(*other.seen, *one.seen)[-SEEN:],
        attributes=learn(one.attributes, other.attributes),
        past=memory.joined_past(one.past, other.past),
        against=memory.joined_against(one.against, other.against),
        shown=_merged(one.shown, other.shown)[-SHOWN:],
    )


def _insert(ring: list[_Timed], new: _Timed, most: int) -> None:
    ring.insert(bisect_right(ring, new.time, key=lambda kept: kept.time), new)
    if len(ring) > most:
        del ring[0]


def _merged(one: tuple[_Timed, ...], other: tuple[_Timed, ...]) -> tuple[_Timed, ...]:
    return tuple(sorted(other + one, key=lambda kept: kept.time)) if one and other else one or other


def interests(profile: Profile, now: int, half_lives: HalfLives = HALF_LIVES) -> list[Interest]:
    """The directions to search in: what the shopper is after just now, and what they are for in the long run.

    The latter is what they keep buying, and what else they were for, once that goes beyond the recent interactions.
    `now` is event time in Unix milliseconds. An interest without items is left out.
    """
    found = []
    intent: dict[str, float] = {}
    fading = _fading(half_lives.intent, len(profile.recent))
    for (item, _, weight, _), faded in zip(reversed(profile.recent), fading, strict=True):
        if weight:
            intent[item] = intent.get(item, 0.0) + weight * faded
    if max(intent.values(), default=0.0) > 0:
        found.append(Interest("intent", list(intent), list(intent.values())))
    beyond = not profile.past.keys() <= intent.keys()
    if weights := long_term(profile, now) if beyond else purchases(profile, now):
        found.append(Interest(LONG, list(weights), list(weights.values())))
    return found


@lru_cache(maxsize=4 * RING)
def _fading(half_life: float, count: int) -> tuple[float, ...]:
    """What interactions count, the newest first, by how many are newer."""
    return tuple(0.5 ** (age / half_life) for age in range(count))


def purchases(profile: Profile, now: int) -> dict[str, float]:
    """How often, decayed to `now`, each item was bought and not sent back. Items of which none is left are left out."""
    counts = decay.values_at([mass for _, _, _, mass in profile.habits.values()], now, profile.habits_ms)
    if not profile.against:
        return dict(zip(profile.habits, counts, strict=True))
    left: dict[str, float] = {}
    for count, (item, habit) in zip(counts, profile.habits.items(), strict=True):
        word = profile.against.get(item)
        if word is None or not word.returns:
            left[item] = count
        elif word.returns < habit.purchases:
            left[item] = count * (habit.purchases - word.returns) / habit.purchases
    return left


def owned(profile: Profile) -> Set[str]:
    """What the shopper has bought and not sent back, as far as it is remembered."""
    back = {
        item
        for item, word in profile.against.items()
        if item in profile.habits and word.returns >= profile.habits[item].purchases
    }
    return profile.habits.keys() - back if back else profile.habits.keys()


def long_term(profile: Profile, now: int) -> dict[str, float]:
    """Everything that the shopper was ever for, as far as it is remembered: item → decayed weight at `now`."""
    weights = purchases(profile, now)
    values = decay.values_at([mass for _, mass in profile.past.values()], now, profile.habits_ms)
    for item, value in zip(profile.past, values, strict=True):
        weights[item] = weights.get(item, 0.0) + value
    return weights


def rejected(profile: Profile) -> set[str]:
    """Items the shopper turned down: the newest thing said of them was negative.

    Any word counts while it is among the recent ones; one of a lasting type holds for as long as it is remembered.
    """
    if not profile.against and min(map(_WEIGHT, profile.recent), default=0.0) >= 0:
        return set()  # of most shoppers
    newest = {item: weight for item, _, weight, _ in profile.recent if weight}
    turned_down = {item for item, weight in newest.items() if weight < 0}
    return turned_down.union(
        item for item, word in profile.against.items() if item not in newest and word.last > _last_for(profile, item)
    )


def in_cart(profile: Profile) -> set[str]:
    """Items put into the cart and neither taken out nor bought since."""
    cart: set[str] = set()
    for item, kind, _, _ in profile.recent:
        if kind is _CART:
            cart.add(item)
        elif kind is _UNCART or kind is _PURCHASE:
            cart.discard(item)
    return cart


def unanswered(profile: Profile, now: int, half_lives: HalfLives = HALF_LIVES) -> dict[str, float]:
    """How often, decayed, each item was shown since the shopper last did anything for it. Items never so are left out.

    `now` is event time in Unix milliseconds; impressions after it count whole.
    """
    counts: dict[str, float] = {}
    for item, time in profile.shown:
        if time > _last_for(profile, item):
            count = 0.5 ** (max(now - time, 0) / half_lives.impressions_ms)
            counts[item] = counts.get(item, 0.0) + count
    return counts


def _last_for(profile: Profile, item: str) -> int:
    """When the shopper last did anything for an item, Unix milliseconds; -1 for never, as far as it is remembered."""
    habit, past = profile.habits.get(item), profile.past.get(item)
    return max(habit.last if habit else -1, past.last if past else -1)
