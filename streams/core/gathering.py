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
from streams.core.candidates import RRF_K
from streams.core.channels import ORDER, Batch, Candidates, Floats, Stock, Visit, merged
from streams.core.decay import HOUR_MS
from streams.core.doings import Doings, Habits, doings_of, habits_of
from streams.core.items import Items, Places
from streams.core.neighbourhood import ALIKE, Looks, alike
from streams.core.policy import Channel, Policy
from streams.core.sessions import Alike, Held, Votes
from streams.core.trending import arrivals

_LOOKED_AT = 512
"""Of an order at a time, where rules are asked for each."""

Flags = npt.NDArray[np.bool_]

_NOTHING: Places = np.zeros(0, np.int64)
_LISTED = tuple(
    ORDER.index(channel)
    for channel in (Channel.CONTENT, Channel.POPULAR, Channel.SEGMENT, Channel.DISCOVERED, Channel.ARRIVALS)
)
"""Of the channels that have an order already."""

_ARRIVALS = ORDER.index(Channel.ARRIVALS)

_BEST = (Channel.NEIGHBOURS, Channel.SESSIONS, Channel.BUY_AGAIN)
"""Channels of which scores are compared, in the order of what they are compared by."""


class Gathered(NamedTuple):
    """What the channels brought for some shoppers, and what it came of.

    Attributes:
        batch: the candidates of all shoppers.
        candidates: by shopper.
        doings, habits, looks, held, alike, votes: of all shoppers.
        among_looks, among_votes: int64 (candidates,), which of the neighbours and of what others had each is, or
            `NOWHERE`.
    """

    batch: Batch
    candidates: list[Candidates]
    doings: Doings
    habits: Habits
    looks: Looks
    held: Held
    alike: Alike
    votes: Votes
    among_looks: Places
    among_votes: Places


class _Open(NamedTuple):
    """What each shopper may be shown.

    Attributes:
        lists: by shopper and channel, places, best first; of the channels that need no more than a look.
        nearest: by shopper, places, best first.
        shut: of places that were asked about, which ones are not open.
    """

    lists: list[list[Places]]
    nearest: list[Places]
    shut: list[Flags]


def gather(visits: Sequence[Visit], stock: Stock, policy: Policy) -> Gathered:
    """Ask every channel of the policy on behalf of some shoppers."""
    items, weights = stock.items, policy.channel_weights
    nows = [visit.now for visit in visits]
    doings = doings_of(visits, items)
    looks = stock.neighbourhood.looks(doings.asked, doings.bounds, doings.looks, nows)
    asked, ends, counts = doings.asked, doings.bounds, doings.counts
    if not weights.get(Channel.SESSIONS):
        asked, ends, counts = _NOTHING, np.zeros_like(ends), np.zeros(0)
    held = stock.sessions.held(asked, ends, [visit.user for visit in visits])
    others = stock.sessions.alike(held, counts, nows)
    votes = stock.sessions.votes(others, stock.neighbourhood.masses, nows)
    habits = habits_of(visits, items)
    sources = [(looks.places, looks.bounds), (votes.places, votes.bounds), (habits.places, habits.bounds)]
    opened = _opened(visits, stock, policy, sources, habits)
    scores = looks.scores[0], votes.scores, habits.strengths
    for channel, (places, bounds), score, shut in zip(_BEST, sources, scores, opened.shut, strict=True):
        if weights.get(channel):
            best = _best(visits, places, bounds, np.where(shut, 0.0, score), items, policy, channel)
            for lists, listed in zip(opened.lists, best, strict=True):
                lists[ORDER.index(channel)] = listed
    places, bounds, ranks, shares = _ranked(opened.lists, policy, items)
    among_looks = ragged.located(places, bounds, looks.places, looks.bounds, items.scratch)
    among_votes = ragged.located(places, bounds, votes.places, votes.bounds, items.scratch)
    batch = Batch(ragged.owners(bounds), places, bounds, ranks, shares, shares.sum(axis=1))
    columns = ragged.parted(places, bounds), ragged.parted(ranks, bounds), opened.nearest
    found = [Candidates(*row) for row in zip(*columns, strict=True)]
    return Gathered(batch, found, doings, habits, looks, held, others, votes, among_looks, among_votes)


def _opened(
    visits: Sequence[Visit], stock: Stock, policy: Policy, sources: Sequence[tuple[Places, Places]], habits: Habits
) -> _Open:
    """Go through the shoppers: what is open to each of all that was found."""
    items, popular, discovered = stock.items, stock.board.order(), stock.discoveries.order()
    on = [bool(policy.channel_weights.get(channel)) for channel in ORDER]
    excluded = items.places(policy.excluded)
    turned_down = [profiles.rejected(visit.profile) | profiles.in_cart(visit.profile) for visit in visits]
    barred = _places(turned_down, items)
    had = np.flatnonzero(habits.returns < habits.purchases)
    owned = ragged.parted(habits.places[had], np.searchsorted(had, habits.bounds))
    closed = ~items.available.values
    closed[excluded] = True
    shut = closed.copy()
    opened = _Open([], [], [np.empty(len(places), np.bool_) for places, _ in sources])
    spans = [bounds.tolist() for _, bounds in sources]

    def first(visit: Visit, order: Places) -> Places:
        if not visit.eligible.drops:
            return _first(order, shut, policy.pool)
        kept = visit.eligible.kept(items.ids[place] for place in _each_open(order, shut))
        return items.places(islice(kept, policy.pool))

    def look(source: int, number: int) -> None:
        begin, end = spans[source][number : number + 2]
        opened.shut[source][begin:end] = shut.take(sources[source][0][begin:end])

    hours = [visit.now // HOUR_MS * HOUR_MS for visit in visits]
    arrived = {hour: arrivals(stock.board, hour) for hour in set(hours)} if on[_ARRIVALS] else {}
    for number, visit in enumerate(visits):
        shut[barred[number]] = True
        look(2, number)  # what the shopper has can be bought again
        shut[owned[number]] = True
        look(0, number)
        look(1, number)
        nearest = merged([near.places for near in visit.near], items)
        nearest = nearest[~shut[nearest]]
        lists = [_NOTHING] * len(ORDER)
        new = arrived.get(hours[number], _NOTHING)
        for column, listed in zip(_LISTED, (nearest, popular, visit.popular, discovered, new), strict=True):
            if on[column]:
                lists[column] = first(visit, listed)
        opened.lists.append(lists)
        opened.nearest.append(nearest)
        gone = np.concatenate((barred[number], owned[number]))
        shut[gone] = closed[gone]
    return opened


def _places(names: Sequence[Collection[str]], items: Items) -> list[Places]:
    """The places of what is each shopper's."""
    return ragged.parted(items.places(chain.from_iterable(names)), ragged.bounds_of([len(own) for own in names]))


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
    edges = np.searchsorted(owner, np.arange(len(bounds)))
    lists = ragged.parted(places[ragged.ranked(scores, items.ties.values[places], edges)], edges)
    for number, visit in enumerate(visits):
        if visit.eligible.drops:
            kept = visit.eligible.kept(items.named(lists[number]))
            lists[number] = items.places(islice(kept, policy.pool))
    return [order[: policy.pool] for order in lists]


def _ranked(
    lists: Sequence[Sequence[Places]], policy: Policy, items: Items
) -> tuple[Places, Places, npt.NDArray[np.int16], Floats]:
    """What any channel lists for each shopper, once and ascending, its bounds, its ranks and parts: see `Batch`."""
    flat = list(chain.from_iterable(lists))
    lengths = ragged.bounds_of([len(one) for one in flat])
    listed = ragged.joined(flat, np.int64)
    places, bounds, at = ragged.distinct(listed, lengths[:: len(ORDER)], items.scratch, ascending=True)
    channel, rank = ragged.owners(lengths) % len(ORDER), ragged.turns(lengths) + 1
    ranks, parts = np.zeros((len(places), len(ORDER)), np.int16), np.zeros((len(places), len(ORDER)))
    ranks[at, channel] = rank
    weights = np.array([policy.channel_weights.get(one, 0.0) for one in ORDER])
    parts[at, channel] = weights[channel] / (RRF_K + rank)
    return places, bounds, ranks, parts
