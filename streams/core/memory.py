"""What is kept of a shopper beyond the ring of recent interactions: sums and extremes, bounded.

    habits   what was bought: how often, first and last time, decayed count
    past     what the shopper was otherwise for (viewed, clicked, put in the cart, …): decayed weight, last time
    against  what the shopper sent back or said no to: returns, and when last

All of it is sums and extremes over events, so neither the order of arrival nor the cut into batches matters, and what
two histories hold is added up to what one history of both would hold (`joined`), up to what the bounds cut off.

Decayed sums are kept as `streams.core.decay` keeps them, whose base is a half-life: two sums of different half-lives
cannot be compared. `rebased` carries a memory over to another half-life as well as it can be done.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from streams.core import decay
from streams.core.events import EventType, Interaction

HABITS = 256
"""Bought items kept; past that the one with the smallest decayed mass goes."""

PAST = 48
PAST_MOST = 64
"""Other items kept: a memory that grows past `PAST_MOST` keeps its `PAST` heaviest, so that newcomers have time."""

AGAINST = 64
"""Items turned down that are kept, those of the newest word."""

LASTING = frozenset({EventType.DISLIKE, EventType.RETURN, EventType.RATING})
"""A negative word of these types holds until a later positive one, however long it is ago."""


class Habit(NamedTuple):
    """What is kept of a bought item: how often, first and last time (Unix ms), log of decayed count."""

    purchases: int
    first: int
    last: int
    log_mass: float


class Past(NamedTuple):
    """What is kept of an item of interest: last time (Unix ms), log of decayed weight."""

    last: int
    log_mass: float


class Against(NamedTuple):
    """What is kept of an item turned down: how often it was sent back, last time of any such word (Unix ms)."""

    returns: int
    last: int


Habits = dict[str, Habit]
Pasts = dict[str, Past]
Againsts = dict[str, Against]

_Kept = TypeVar("_Kept")


def bought(habits: Habits, purchase: Interaction, half_life_ms: float) -> None:
    """Add a purchase of positive weight."""
    mass = decay.log_mass(purchase.weight, purchase.time, half_life_ms)
    _add(habits, purchase.item, Habit(1, purchase.time, purchase.time, mass), _habit)
    _cut_habits(habits)


def liked(past: Pasts, interaction: Interaction, half_life_ms: float) -> None:
    """Add an interaction of positive weight that is no purchase."""
    mass = decay.log_mass(interaction.weight, interaction.time, half_life_ms)
    _add(past, interaction.item, Past(interaction.time, mass), _past)
    _cut_past(past)


def turned_down(against: Againsts, interaction: Interaction) -> None:
    """Add an interaction of negative weight of a lasting type."""
    returns = int(interaction.type is EventType.RETURN)
    _add(against, interaction.item, Against(returns, interaction.time), _against)
    _cut_against(against)


def joined_habits(one: Habits, other: Habits) -> Habits:
    """The habits of two histories as of one."""
    return _joined(one, other, _habit, _cut_habits)


def joined_past(one: Pasts, other: Pasts) -> Pasts:
    """The pasts of two histories as of one."""
    return _joined(one, other, _past, _cut_past)


def joined_against(one: Againsts, other: Againsts) -> Againsts:
    """What was turned down in two histories as in one."""
    return _joined(one, other, _against, _cut_against)


def rebased(log_mass: float, last: int, old_ms: float, new_ms: float) -> float:
    """A mass under another half-life: of the decayed value that it had at `last` (Unix ms), as if it all came then."""
    return log_mass + last * (1.0 / new_ms - 1.0 / old_ms) * _LN2


_LN2 = decay.log_mass(1.0, 1, 1.0)


def _habit(one: Habit, other: Habit) -> Habit:
    return Habit(
        one.purchases + other.purchases,
        min(one.first, other.first),
        max(one.last, other.last),
        decay.add(one.log_mass, other.log_mass),
    )


def _past(one: Past, other: Past) -> Past:
    return Past(max(one.last, other.last), decay.add(one.log_mass, other.log_mass))


def _against(one: Against, other: Against) -> Against:
    return Against(one.returns + other.returns, max(one.last, other.last))


def _cut_habits(habits: Habits) -> None:
    while len(habits) > HABITS:
        del habits[min(habits, key=lambda item: (habits[item].log_mass, item))]


def _cut_past(past: Pasts) -> None:
    if len(past) > PAST_MOST:
        for item in sorted(past, key=lambda item: (-past[item].log_mass, item))[PAST:]:
            del past[item]


def _cut_against(against: Againsts) -> None:
    while len(against) > AGAINST:
        del against[min(against, key=lambda item: (against[item].last, item))]


def _add(kept: dict[str, _Kept], item: str, new: _Kept, both: Callable[[_Kept, _Kept], _Kept]) -> None:
    old = kept.get(item)
    kept[item] = new if old is None else both(old, new)


def _joined(
    one: Mapping[str, _Kept],
    other: Mapping[str, _Kept],
    both: Callable[[_Kept, _Kept], _Kept],
    cut: Callable[[dict[str, _Kept]], None],
) -> dict[str, _Kept]:
    kept = dict(one)
    for item, new in other.items():
        _add(kept, item, new, both)
    cut(kept)
    return kept
