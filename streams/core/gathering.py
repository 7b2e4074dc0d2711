"""Asking every channel on behalf of many shoppers at once.

    recent interactions ─► Doings ─┬─► neighbourhood ─► Looks ──┐
                                   └─► sessions ─► Votes ───────┤
    nearest, popular, segment, habits ──────────────────────────┴─► what is open, the best of each ─► Candidates

What is summed, compared and sorted is so for all shoppers together; what each may not be shown is marked in one array
that they share, one after another, so nothing costs as much as there are items.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core import profile as profiles
from streams.core import ragged
from streams.core.candidates import habit_strengths
from streams.core.channels import INTENT, ORDER, Candidates, Floats, Ring, Stock, Visit, merged
from streams.core.items import Items, Places
from streams.core.neighbourhood import ALIKE, ASKED_RHO, TIGHT_RHO, WIDE_RHO, Looks, alike
from streams.core.policy import Channel, Policy
from streams.core.sessions import KEEP, MET_KEEP, Alike, Votes, weighed

RHOS = np.array([[ASKED_RHO], [WIDE_RHO], [TIGHT_RHO]])
"""float64 (3, 1): ways to look at a ring. The first one makes the channel, the others are features."""

_LOOKED_AT = 512
"""Of an order at a time, where rules are asked for each."""

_TINY = 1e-300
"""Divided by where there is nothing to be a part of."""

Flags = npt.NDArray[np.bool_]

_NOTHING: Places = np.zeros(0, np.int64)
_LISTED = tuple(
    ORDER.index(channel) for channel in (Channel.CONTENT, Channel.POPULAR, Channel.SEGMENT, Channel.DISCOVERED)
)
"""Of the channels that have an order already."""

_BEST = (Channel.NEIGHBOURS, Channel.SESSIONS, Channel.BUY_AGAIN)
"""Channels of which scores are compared, in the order of what they are compared by."""


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


class Gathered(NamedTuple):
    """What the channels brought for some shoppers, and what it came of.

    Attributes:
        candidates: by shopper.
        bounds: of the candidates, by shopper.
        doings, looks, alike, votes: of all shoppers.
        among_looks, among_votes: int64 (candidates,), which of the neighbours and of what others had each is, or
            `NOWHERE`.
    """

    candidates: list[Candidates]
    bounds: Places
    doings: Doings
    looks: Looks
    alike: Alike
    votes: Votes
    among_looks: Places
    among_votes: Places


class _Open(NamedTuple):
    """What each shopper may be shown.

    Attributes:
        lists: by shopper and channel, places, best first; of the channels that need no more than a look.
        nearest: by shopper, places, best first.
        barred: by shopper, places.
        shut: of places that were asked about, which ones are not open.
    """

    lists: list[list[Places]]
    nearest: list[Places]
    barred: list[Places]
    shut: list[Flags]


def gather(visits: Sequence[Visit], stock: Stock, policy: Policy) -> Gathered:
    """Ask every channel of the policy on behalf of some shoppers."""
    items, weights = stock.items, policy.channel_weights
    nows = [visit.now for visit in visits]
    doings = _doings(visits, items)
    looks = stock.neighbourhood.looks(doings.asked, doings.bounds, doings.looks, nows)
    asked, ends, counts = doings.asked, doings.bounds, doings.counts
    if not weights.get(Channel.SESSIONS):
        asked, ends, counts = _NOTHING, np.zeros_like(ends), np.zeros(0)
    held = stock.sessions.held(asked, ends)
    others = stock.sessions.alike(held, counts, nows)
    votes = stock.sessions.votes(others, stock.neighbourhood.masses, nows)
    habits = items.places(list(chain.from_iterable(visit.profile.habits for visit in visits)))
    bought = ragged.bounds_of([len(visit.profile.habits) for visit in visits])
    strengths = _strengths(visits, bought)
    sources = [(looks.places, looks.bounds), (votes.places, votes.bounds), (habits, bought)]
    opened = _opened(visits, stock, policy, sources)
    scores = looks.scores[0], votes.scores, strengths
    for channel, (places, bounds), score, shut in zip(_BEST, sources, scores, opened.shut, strict=True):
        if weights.get(channel):
            best, column = (
                _best(visits, places, bounds, np.where(shut, 0.0, score), items, policy, channel),
                ORDER.index(channel),
            )
            for lists, listed in zip(opened.lists, best, strict=True):
                lists[column] = listed
    flat = list(chain.from_iterable(opened.lists))
    lengths = ragged.bounds_of([len(one) for one in flat])
    listed = ragged.joined(flat, np.int64)
    places, bounds, at = ragged.distinct(listed, lengths[:: len(ORDER)], items.scratch, ascending=True)
    ranks = np.zeros((len(places), len(ORDER)), np.int16)
    ranks[at, ragged.owners(lengths) % len(ORDER)] = ragged.turns(lengths) + 1
    cosines = _cosines(places, bounds, visits, items)
    among_looks = ragged.located(places, bounds, looks.places, looks.bounds, items.scratch)
    among_votes = ragged.located(places, bounds, votes.places, votes.bounds, items.scratch)
    parts = _parts(looks.scores[1:], looks.bounds, among_looks, bounds).T
    shares = _parts(votes.scores[None], votes.bounds, among_votes, bounds)[0]
    met = np.zeros(len(places))
    if weights.get(Channel.SESSIONS):
        met = stock.sessions.met(held, doings.met, places, bounds)
        met /= np.maximum(ragged.maxima(met, bounds), _TINY)[ragged.owners(bounds)]
    of_items = (ragged.parted(column, bounds) for column in (places, ranks, cosines, parts, shares, met))
    of_habits = (ragged.parted(column, bought) for column in (habits, strengths))
    columns = (*of_items, opened.barred, doings.rings, opened.nearest, *of_habits)
    found = [Candidates(*row) for row in zip(*columns, strict=True)]
    return Gathered(found, bounds, doings, looks, others, votes, among_looks, among_votes)


def _strengths(visits: Sequence[Visit], bought: Places) -> Floats:
    """How strong habits are, 0 for what was sent back: see `candidates.habit_strengths`. float64 (habits,)."""
    strengths = np.zeros(bought[-1])
    for visit, own in zip(visits, ragged.parted(strengths, bought), strict=True):
        kept = habit_strengths(visit.profile, visit.now)
        own[:] = (
            list(kept.values()) if len(kept) == len(own) else [kept.get(item, 0.0) for item in visit.profile.habits]
        )
    return strengths


def _doings(visits: Sequence[Visit], items: Items) -> Doings:
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


def _opened(visits: Sequence[Visit], stock: Stock, policy: Policy, sources: Sequence[tuple[Places, Places]]) -> _Open:
    """Go through the shoppers: what is open to each of all that was found."""
    items, popular, discovered = stock.items, stock.board.order(), stock.discoveries.order()
    on = [bool(policy.channel_weights.get(channel)) for channel in ORDER]
    excluded = items.places(policy.excluded)
    turned_down = [profiles.rejected(visit.profile) | profiles.in_cart(visit.profile) for visit in visits]
    barred = _places(turned_down, items)
    owned = _owned(visits, *sources[-1], items)
    closed = ~items.available.values
    closed[excluded] = True
    shut = closed.copy()
    opened = _Open([], [], [], [np.empty(len(places), np.bool_) for places, _ in sources])
    spans = [bounds.tolist() for _, bounds in sources]

    def first(visit: Visit, order: Places) -> Places:
        if not visit.eligible.drops:
            return _first(order, shut, policy.pool)
        kept = visit.eligible.kept(items.ids[place] for place in _each_open(order, shut))
        return items.places(islice(kept, policy.pool))

    def look(source: int, number: int) -> None:
        begin, end = spans[source][number : number + 2]
        opened.shut[source][begin:end] = shut.take(sources[source][0][begin:end])

    for number, visit in enumerate(visits):
        shut[barred[number]] = True
        look(2, number)  # what the shopper has can be bought again
        shut[owned[number]] = True
        look(0, number)
        look(1, number)
        nearest = merged([near.places for near in visit.near], items)
        lists = [_NOTHING] * len(ORDER)
        for column, listed in zip(_LISTED, (nearest, popular, visit.popular, discovered), strict=True):
            if on[column]:
                lists[column] = first(visit, listed)
        opened.lists.append(lists)
        opened.nearest.append(nearest)
        gone = np.concatenate((barred[number], owned[number]))
        shut[gone] = closed[gone]
        opened.barred.append(np.concatenate((gone, excluded)) if len(excluded) else gone)
    return opened


def _places(names: Sequence[Collection[str]], items: Items) -> list[Places]:
    """The places of what is each shopper's."""
    return ragged.parted(items.places(chain.from_iterable(names)), ragged.bounds_of([len(own) for own in names]))


def _owned(visits: Sequence[Visit], habits: Places, bought: Places, items: Items) -> list[Places]:
    """The places of what each shopper has: of what was bought, most of the time all."""
    owned = ragged.parted(habits, bought)
    for number, visit in enumerate(visits):
        had = profiles.owned(visit.profile)
        if len(had) < len(owned[number]):
            owned[number] = items.places(had)
    return owned


def _first(order: Places, shut: Flags, count: int) -> Places:
    """The first `count` of an order that are open, looked for no farther than it takes."""
    end = 2 * count
    while True:
        some = order[:end]
        left = some[~shut[some]]
        if len(left) >= count or end >= len(order):
            return left[:count]
        end *= 4


def _each_open(order: Places, shut: Flags) -> Iterator[int]:
    """All of an order that are open, looked for as they are asked for: it may be as long as a shop is large."""
    for begin in range(0, len(order), _LOOKED_AT):
        some = order[begin : begin + _LOOKED_AT]
        yield from some[~shut[some]].tolist()


def _best(
    visits: Sequence[Visit],
    places: Places,
    bounds: Places,
    scores: Floats,
    items: Items,
    policy: Policy,
    channel: Channel,
) -> list[Places]:
    """The places of each shopper that score best, best first; equal ones by `Items.ties`. A score of 0 is none."""
    sizes = ragged.sizes_of(bounds)
    # Rules are asked for as many as it takes, in their order.
    least = ragged.leasts(scores, bounds, policy.pool)
    least[[visit.eligible.drops for visit in visits]] = -np.inf
    some = np.flatnonzero((scores >= np.repeat((1.0 - ALIKE) * least, sizes)) & (scores > 0))
    owner = ragged.owners(bounds)[some]
    places, scores = places[some], scores[some]
    if channel is not Channel.BUY_AGAIN:
        scores = alike(scores)
    ranked = places[np.lexsort((items.ties.values[places], -scores, owner))]
    edges = np.searchsorted(owner, np.arange(len(bounds))).tolist()
    lists = []
    for visit, begin, end in zip(visits, edges, edges[1:], strict=False):
        order = ranked[begin:end]
        if visit.eligible.drops:
            kept = visit.eligible.kept(items.ids[place] for place in order.tolist())
            order = items.places(islice(kept, policy.pool))
        lists.append(order[: policy.pool])
    return lists


def _cosines(places: Places, bounds: Places, visits: Sequence[Visit], items: Items) -> npt.NDArray[np.float32]:
    """float32 (candidates, 3): see `Candidates.cosines`."""
    cosines = np.zeros((3, len(places)), np.float32)
    near = [near for visit in visits for near in visit.near]
    sizes = [len(one.places) for one in near]
    edges = ragged.bounds_of(sizes)[ragged.bounds_of([len(visit.near) for visit in visits])]
    at = ragged.located(ragged.joined([one.places for one in near], np.int64), edges, places, bounds, items.scratch)
    values = ragged.joined([one.cosines for one in near], np.float32)
    intent = np.repeat(np.array([one.interest == INTENT for one in near], np.bool_), sizes)
    for row, those in enumerate((np.ones_like(intent), intent, ~intent)):
        hits = np.flatnonzero(those & (at != ragged.NOWHERE))
        np.maximum.at(cosines[row], at[hits], values[hits])
    return np.ascontiguousarray(cosines.T)


def _parts(scores: Floats, bounds: Places, at: Places, edges: Places) -> Floats:
    """Scores of candidates as parts of the largest of their shopper: float64 (ways, candidates)."""
    parts = np.zeros((len(scores), len(at)))
    hits = np.flatnonzero(at != ragged.NOWHERE)
    parts[:, hits] = scores[:, at[hits]] / ragged.maxima(scores, bounds)[:, ragged.owners(edges)[hits]]
    return parts
