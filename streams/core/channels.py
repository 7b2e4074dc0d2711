"""The channels: what each of them brings for a shopper, and the candidates of many shoppers as flat arrays.

    nearest by interest ─► content ───┐
    popularity ─────────► popular ────┤
    within the segment ─► segment ────┼─► open to the shopper ─► Pool (owner, place, rank by channel, values)
    habits ─────────────► buy_again ──┤
    neighbourhood ──────► neighbours ─┤
    others' sessions ───► sessions ───┘

Channels speak different languages (a cosine, a count, a mass). Fusion therefore asks for ranks alone; the ranker gets
the values, too (`features`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core import profile as profiles
from streams.core.candidates import habit_strengths
from streams.core.eligible import Eligibility
from streams.core.events import Interaction
from streams.core.items import NONE, Items, Places
from streams.core.neighbourhood import ALIKE, ASKED_RHO, TIGHT_RHO, WIDE_RHO, Neighbourhood, alike
from streams.core.policy import Channel, Policy
from streams.core.profile import Profile
from streams.core.sessions import NOBODY, Alike, Sessions
from streams.core.trending import Board

Floats = npt.NDArray[np.float64]

ORDER = (Channel.CONTENT, Channel.POPULAR, Channel.BUY_AGAIN, Channel.NEIGHBOURS, Channel.SEGMENT, Channel.SESSIONS)
"""Of the columns of `Pool.ranks`."""

FILTERED = 4
"""So many times more is asked of the index where rules may drop some of it."""

INTENT = "intent"
"""Name of the short-term interest, whose cosine stands for itself; of the others the largest counts."""

RHOS = np.array([[ASKED_RHO], [WIDE_RHO], [TIGHT_RHO]])
"""float64 (3, 1): ways to look at a ring. The first one makes the channel, the others are features."""


class Near(NamedTuple):
    """The items nearest to one interest, best first: int64 (n,) places, float32 (n,) cosines."""

    interest: str
    places: Places
    cosines: npt.NDArray[np.float32]


class Ring(NamedTuple):
    """Recent interactions as columns, oldest first: int64 (n,) places, float64 (n,) weights, int64 (n,) Unix ms."""

    places: Places
    weights: Floats
    times: Places


@dataclass(frozen=True, slots=True)
class Stock:
    """What is known of all items, over the same places."""

    items: Items
    board: Board
    neighbourhood: Neighbourhood
    sessions: Sessions


@dataclass(frozen=True, slots=True)
class Visit:
    """A shopper for whom candidates are wanted.

    Attributes:
        profile: the shopper's.
        now: event time, Unix milliseconds.
        near: by interest.
        shown: item → how often it was shown and left alone, decayed.
        popular: the most popular items of the shopper's segment, best first; none without one.
        segment: of the shopper, in words for a key; empty for none.
        eligible: the rules for the shopper.
    """

    profile: Profile
    now: int
    near: Sequence[Near]
    shown: Mapping[str, float]
    popular: Places
    segment: str
    eligible: Eligibility


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the channels brought for one shopper.

    Attributes:
        places: int64 (n,), ascending.
        ranks: int16 (n, channels), 1-based by `ORDER`; 0 where a channel has not got the item.
        cosines: float32 (n, 3), to any interest (the largest), to the intent, to any other; 0 where it was not found.
        looks: float64 (n, ways - 1), scores as neighbours as parts of the largest, at large and just now.
        votes: float64 (n,), scores by others' sessions as parts of the largest.
        alike: those sessions.
        shut: bool (items,), whether something keeps an item from this shopper, or they have it.
        ring: the shopper's, all of it.
        nearest: int64 (m,), places of what is nearest to any interest, best first.
        habits: int64 (habits,), places of what was bought.
        strengths: float64 (habits,), decayed numbers of purchases; once is half, and 0 what was sent back.
    """

    places: Places
    ranks: npt.NDArray[np.int16]
    cosines: npt.NDArray[np.float32]
    looks: Floats
    votes: Floats
    alike: Alike
    shut: npt.NDArray[np.bool_]
    ring: Ring
    nearest: Places
    habits: Places
    strengths: Floats


def gather(visit: Visit, stock: Stock, policy: Policy) -> Candidates:
    """Ask every channel of the policy on behalf of one shopper."""
    items, profile, weights = stock.items, visit.profile, policy.channel_weights
    habits = items.places(profile.habits)
    kept = habit_strengths(profile, visit.now)
    strengths = np.array([kept.get(item, 0.0) for item in profile.habits])
    barred = items.places(profiles.rejected(profile) | profiles.in_cart(profile) | policy.excluded)
    ring, nearest = ring_of(profile.recent, items), merged([near.places for near in visit.near])
    places, scores = _looks(ring, stock, visit.now)
    others = stock.sessions.alike(ring.places, ring.weights, visit.now) if weights.get(Channel.SESSIONS) else NOBODY
    crowd, votes = stock.sessions.scores(others, stock.neighbourhood.masses, visit.now)
    had = profiles.owned(profile)
    owned = habits if len(had) == len(habits) else items.places(had)
    closed = ~items.available.values
    closed[barred] = True
    shut = closed.copy()
    shut[owned] = True

    def first(order: Places, shut: npt.NDArray[np.bool_]) -> Places:
        if not visit.eligible.drops:
            return _open(order, shut, policy.pool)
        left = order[~shut[order]]
        kept = visit.eligible.kept(items.ids[place] for place in left)
        return items.places(islice(kept, policy.pool))

    def best(places: Places, scores: Floats) -> Places:
        left = np.flatnonzero(~shut[places])
        if not visit.eligible.drops:
            left = left[_largest(scores[left], policy.pool)]
        return first(items.ranked(places[left], alike(scores[left]), len(left)), shut)

    lists: list[Places] = [np.zeros(0, np.int64)] * len(ORDER)
    if weights.get(Channel.CONTENT):
        lists[0] = first(nearest, shut)
    if weights.get(Channel.POPULAR):
        lists[1] = first(stock.board.order(), shut)
    if weights.get(Channel.BUY_AGAIN):
        lists[2] = first(items.ranked(habits[strengths > 0], strengths[strengths > 0], len(habits)), closed)
    if weights.get(Channel.NEIGHBOURS):
        lists[3] = best(places, scores[0])
    if weights.get(Channel.SEGMENT):
        lists[4] = first(visit.popular, shut)
    if weights.get(Channel.SESSIONS):
        lists[5] = best(crowd, votes)
    found, inverse = np.unique(np.concatenate(lists), return_inverse=True)
    ranks = np.zeros((len(found), len(ORDER)), np.int16)
    begin = 0
    for column, listed in enumerate(lists):
        ranks[inverse[begin : begin + len(listed)], column] = np.arange(1, len(listed) + 1)
        begin += len(listed)
    cosines, looks = _cosines(found, visit.near, items), _parts(found, places, scores[1:], items)
    parts = _parts(found, crowd, votes[None], items)[:, 0]
    return Candidates(found, ranks, cosines, looks, parts, others, shut, ring, nearest, habits, strengths)


def ring_of(recent: Sequence[Interaction], items: Items) -> Ring:
    """A ring of interactions as columns."""
    names, _, weights, times = zip(*recent, strict=True) if recent else ((), (), (), ())
    return Ring(items.places(names), np.array(weights, np.float64), np.array(times, np.int64))


def _open(order: Places, shut: npt.NDArray[np.bool_], count: int) -> Places:
    """The first `count` of an order that are open, looked for no farther than it takes."""
    end = 2 * count
    while True:
        left = order[:end][~shut[order[:end]]]
        if len(left) >= count or end >= len(order):
            return left[:count]
        end *= 4


def _largest(scores: Floats, count: int) -> Places:
    """Where the largest `count` scores are, and those that are `alike` the least of them: int64 (at least count,)."""
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.flatnonzero(scores >= (1.0 - ALIKE) * np.partition(scores, len(scores) - count)[len(scores) - count])


def fresh(visit: Visit, stock: Stock, candidates: Candidates, log_fresh: float) -> Iterator[str]:
    """Items that are hardly known yet and open to a shopper, those nearest to the interests first.

    `log_fresh`: log mass of popularity below which an item is hardly known.
    """
    order = candidates.nearest
    left = order[~candidates.shut[order] & (stock.board.totals[order] < log_fresh)]
    return visit.eligible.kept(stock.items.ids[place] for place in left)


def merged(lists: Sequence[Places]) -> Places:
    """One ranked list from several: by best rank, earlier lists first at equal ranks."""
    if len(lists) < 2:
        return lists[0] if lists else np.zeros(0, np.int64)
    turns = zip_longest(*(one.tolist() for one in lists), fillvalue=NONE)
    places = dict.fromkeys(chain.from_iterable(turns))
    places.pop(NONE, None)
    return np.fromiter(places, np.int64, len(places))


def _looks(ring: Ring, stock: Stock, now: int) -> tuple[Places, Floats]:
    """Neighbours of the ring, looked at in every way: int64 (n,) places, float64 (ways, n) scores."""
    newest_first = np.flatnonzero(ring.weights > 0)[::-1]
    times = ring.times[newest_first]
    moments = np.zeros(len(times), np.int64)
    np.cumsum(times[1:] != times[:-1], out=moments[1:])
    places, inverse = stock.items.distinct(ring.places[newest_first])
    ways = ring.weights[newest_first] * RHOS**moments
    counts: Floats = np.stack([np.bincount(inverse, way, len(places)).astype(np.float64) for way in ways])
    return stock.neighbourhood.looks(places.tolist(), counts, now)


def _cosines(found: Places, near: Sequence[Near], items: Items) -> npt.NDArray[np.float32]:
    cosines = np.zeros((len(found), 3), np.float32)
    for interest, places, values in near:
        at, those = items.located(found, places)
        cosines[at, 0] = np.maximum(cosines[at, 0], values[those])
        column = 1 if interest == INTENT else 2
        cosines[at, column] = np.maximum(cosines[at, column], values[those])
    return cosines


def _parts(found: Places, places: Places, scores: Floats, items: Items) -> Floats:
    parts = np.zeros((len(found), len(scores)))
    at, those = items.located(found, places)
    if len(at):
        parts[at] = (scores[:, those] / scores.max(axis=1, keepdims=True)).T
    return parts
