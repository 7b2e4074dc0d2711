"""An anonymous shopper logs in: what they did before and after belongs to the user's history.

    anonymous partition                              user's partition
    events ─► Profile, alias ─► Move ─► (shop.merges.v1, by user) ─► fold ─► Joined ─┐
                                                     events ──────► Profile ─────────┴─► whole ─► recommendations

The first login moves all that the anonymous profile holds; every later event of the anonymous shopper moves by itself,
to whom they logged in as last. The anonymous profile stays what it was: pairs and popularity are counted there, once.

**Two rows.** A user's own events and what has moved to them come from two logs, whose order to each other nobody keeps.
Each log has a row of its own, so each row is a function of one log; they are put together whenever a profile is
wanted (`whole`). Sums, extremes and rings ordered by time do not ask for order: `whole` is the profile that one history
of all events would have, up to what the bounds cut off, the order of what happened at equal times, and which of the
event ids are the last.

**Once.** A move stands for one event, with its offset in its partition. Moves of a partition arrive in offset order but
for repetitions, so a row keeps the highest offset of each partition, and what is not above it is a repetition.

A producer that sends one event under both ids has sent two events.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.core.events import Alias, Arrival, EventType
from streams.core.halflives import HALF_LIVES, HalfLives
from streams.core.profile import Profile, absorb, united

IDS = 256
"""Anonymous ids of a user that are remembered, those that moved last."""


class Move(NamedTuple):
    """What an event of an anonymous shopper brings to the user that they are.

    `offset` is that of the event; `event`, `type`, `time`, `item` are its own, `timestamp` its record's; times in Unix
    milliseconds.
    """

    offset: int
    shopper: str
    event: str
    type: EventType
    time: int
    timestamp: int
    item: str | None
    profile: Profile


@dataclass(frozen=True, slots=True)
class Joined:
    """What has moved to a user.

    Attributes:
        offset: the newest record of the merges in it.
        applied: by partition of the events, the offset of the newest event in it.
        ids: the anonymous ids it came from, by when they last moved, with the partitions of their events.
        profile: what they did.
    """

    offset: int = -1
    applied: dict[int, int] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    profile: Profile = field(default_factory=Profile)


def moves(
    before: Profile, new: Iterable[Arrival], half_lives: HalfLives = HALF_LIVES
) -> Iterator[tuple[Alias, Arrival, Profile]]:
    """What a shopper's new arrivals bring to users: to whom, by which arrival, and what.

    Args:
        before: the shopper's profile before them.
        new: what `profile.fresh` let through, in offset order.
        half_lives: as the shopper's profile is folded with.
    """
    held, alias = before, before.alias
    for arrival in new:
        first = arrival.login is not None and alias is None
        alias = arrival.login or alias
        if alias is None:
            held = absorb(held, [arrival], arrival.offset, half_lives)
        else:
            yield alias, arrival, absorb(held if first else Profile(), [arrival], arrival.offset, half_lives)


def fold(row: Joined, origin: int, given: Sequence[Move], offset: int) -> Joined:
    """Add the moves of one record, which came from the partition `origin` of the events; it is at `offset`."""
    applied, ids, profile = dict(row.applied), dict(row.ids), row.profile
    for move in given:
        if move.offset <= applied.get(origin, -1):
            continue
        applied[origin] = move.offset
        ids.pop(move.shopper, None)
        ids[move.shopper] = origin
        if len(ids) > IDS:
            del ids[next(iter(ids))]
        profile = united(profile, move.profile)
    return Joined(max(offset, row.offset), applied, ids, profile)


def whole(own: Profile, joined: Joined) -> Profile:
    """The user's profile, of their own events and what has moved to them; as of the offset of their own."""
    return united(own, joined.profile) if joined.profile.seen else own
