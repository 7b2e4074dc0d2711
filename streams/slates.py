"""What was chosen, as the items of recommendations: with places, scores and reasons.

    chosen ─┬─► what channels gave ─► shares ──────────────────────┐
            └─► pulls of what the shopper did ─► events to cite ───┴─► words ─► RecommendedItem

Everything but the words is worked out for all shoppers together, from what the channels have found already.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np

from index.base import Vectors
from streams.core import explain, ragged, ranking, sessions
from streams.core.channels import ORDER
from streams.core.decay import DAY_MS
from streams.core.events import EventType, Interaction
from streams.core.explain import Words, of_habit, rounded
from streams.core.features import ALIKE
from streams.core.items import Places
from streams.core.policy import Channel
from streams.core.ragged import NOWHERE
from streams.core.ranking import Floats
from streams.drafts import Draft, Drafted
from streams.records import Cited, Reason, RecommendedItem
from streams.replicas import Replica

_EVENTFUL = (Channel.CONTENT, Channel.NEIGHBOURS, Channel.SESSIONS)
"""Channels whose reasons cite what the shopper did, in the order of pulls."""

_WAY = {ORDER.index(channel): way for way, channel in enumerate(_EVENTFUL)}
_HABIT = ORDER.index(Channel.BUY_AGAIN)


class Explored(NamedTuple):
    """How the last place of a list was open to exploration: the item that was drawn for it, if one was; its chance."""

    fresh: str | None
    chance: float


class Chosen(NamedTuple):
    """The list of a shopper, before it is explained.

    Attributes:
        draft: from which it was chosen.
        rows: int64 (n,), of the candidates, in their order.
        scores: float64 (n,), above 0.
        vectors: float32 (n, dim).
        explored: of the last place; None where it was not open to exploration.
    """

    draft: Draft
    rows: Places
    scores: Floats
    vectors: Vectors
    explored: Explored | None


class _Reasons(NamedTuple):
    """Reasons one after another, as columns.

    Attributes:
        counts: by item, how many it has.
        columns, shares: the channel of each and its part.
        ranks: that the channel gave the item, 0 for none.
        first, second: numbers of the interactions that are cited, or `NOWHERE`; of a habit how often the item was
            bought, and when last, Unix milliseconds.
    """

    counts: list[int]
    columns: list[int]
    shares: list[float]
    ranks: list[int]
    first: list[int]
    second: list[int]


_Item = tuple[str, float, int]
"""Of a list: its id, its score, and how many reasons it has."""

_Told = tuple[int, float, int, int, int]
"""A reason as a row of `_Reasons`."""


def listed(chosen: Sequence[Chosen], drafted: Drafted, replica: Replica) -> list[list[RecommendedItem]]:
    """The entries of lists, of the shoppers in the order of the drafts."""
    bounds = ragged.bounds_of([len(one.rows) for one in chosen])
    begins = np.repeat(drafted.gathered.batch.starts[: len(chosen)], ragged.sizes_of(bounds))
    rows = begins + np.concatenate([one.rows for one in chosen])
    recent = [[event for event in one.draft.visit.profile.recent if event.weight > 0] for one in chosen]
    cited = _cited(chosen, rows, bounds, drafted, replica)
    names = replica.items.named(drafted.gathered.batch.place[rows])
    reasons = _reasons(chosen, rows, bounds, cited, drafted, replica)
    scores = rounded(np.concatenate([one.scores for one in chosen]), 6)
    items = zip(names, scores, reasons.counts, strict=True)
    told = zip(*reasons[1:], strict=True)
    return [_entries(one, events, items, told, replica) for one, events in zip(chosen, recent, strict=True)]


def _reasons(
    chosen: Sequence[Chosen], rows: Places, bounds: Places, cited: Places, drafted: Drafted, replica: Replica
) -> _Reasons:
    batch, habits = drafted.gathered.batch, drafted.gathered.habits
    ranks, gains = batch.ranks[rows], batch.parts[rows]
    if drafted.given is not None:
        gains = ranking.by_channel(drafted.given[rows], gains / gains.sum(axis=1, keepdims=True))
    sayable = ranks > 0
    sayable[:, ORDER.index(Channel.POPULAR)] = True
    bought = ragged.located(batch.place[rows], bounds, habits.places, habits.bounds, replica.items.scratch)
    sayable[:, _HABIT] = bought != NOWHERE
    content = np.array([bool(one.draft.visit.profile.past) for one in chosen])
    for own in (drafted.gathered.doings.events, habits.bounds):
        content |= ragged.sizes_of(own[: len(bounds)]) > 0
    for column, way in _WAY.items():
        sayable[:, column] = cited[0, way] != NOWHERE if way else np.repeat(content, ragged.sizes_of(bounds))
    shares = explain.shared(gains, ranks, sayable)
    items = np.repeat(np.arange(len(rows)), shares.counts)
    ways = np.array([_WAY.get(column, NOWHERE) for column in range(len(ORDER))])[shares.columns]
    rests_on = np.where(ways == NOWHERE, NOWHERE, cited[:, ways, items])
    some = np.flatnonzero(shares.columns == _HABIT)
    for line, numbers in zip(rests_on, (habits.purchases, habits.last), strict=True):
        line[some] = numbers[bought[items[some]]]
    given = ranks[items, shares.columns].tolist()
    return _Reasons(
        shares.counts.tolist(), shares.columns.tolist(), rounded(shares.shares, 4), given, *rests_on.tolist()
    )


def _cited(chosen: Sequence[Chosen], rows: Places, bounds: Places, drafted: Drafted, replica: Replica) -> Places:
    """The interactions that items rest on, by channel: int64 (CITED, ways, items).

    Of several with the same item it is the one of most weight just now by content, by others the newest.
    """
    shoppers, doings = len(chosen), drafted.gathered.doings
    events, edges = doings.events[: shoppers + 1], doings.bounds[: shoppers + 1]
    asked, weights, turns = doings.items[: events[-1]], doings.weights[: events[-1]], ragged.turns(events)
    newer = np.repeat(ragged.sizes_of(events), ragged.sizes_of(events)) - 1 - turns
    faded = weights * 0.5 ** (newer / replica.half_lives.intent)
    most = np.zeros(edges[-1])
    np.maximum.at(most, asked, faded)
    number = np.full((len(_EVENTFUL), edges[-1] + 1), NOWHERE)  # of the interaction; that of nothing is the last one
    number[:, asked] = turns  # of several the last one written stays
    best = np.flatnonzero(faded == most[asked])[::-1]
    number[0, asked[best]] = turns[best]
    owner, line = ragged.owners(bounds), ragged.turns(bounds)
    pulls = _pulls(chosen, most, rows, bounds, drafted, replica)
    strongest = explain.strongest(pulls)[:, :, owner, line]
    # Columns are numbered from the one that was asked for last.
    which = np.where(strongest == NOWHERE, NOWHERE, edges[1:][owner] - 1 - strongest)
    return number[np.arange(len(_EVENTFUL))[:, None], which]


def _pulls(
    chosen: Sequence[Chosen],
    faded: Floats,
    rows: Places,
    bounds: Places,
    drafted: Drafted,
    replica: Replica,
) -> Floats:
    """How what shoppers had pulls towards what was chosen.

    faded: float64 (asked,), what each item that was asked for weighs just now.

    Returns:
        float64 (ways, shoppers, lines, asked), the last of `Doings.asked` first: the item that was had first.
    """
    found, shoppers = drafted.gathered, len(chosen)
    looks, votes, edges = found.looks, found.votes, found.doings.bounds[: shoppers + 1]
    line, whose, asked = ragged.turns(bounds), ragged.owners(edges), found.doings.asked[: edges[-1]]
    column = edges[1:][whose] - 1 - np.arange(len(asked))
    shape = shoppers, int(ragged.sizes_of(bounds).max()), int(ragged.sizes_of(edges).max())
    pulls = np.zeros((len(_EVENTFUL), *shape))
    pulls[0] = _by_content(chosen, faded, rows, bounds, drafted, column, shape)
    lines = _numbered(found.among_looks[rows], line, len(looks.places))
    neighbours, had, strengths = looks.pull(lines != NOWHERE, len(asked))
    pulls[1, whose[had], lines[neighbours], column[had]] = strengths
    members = votes.members[: found.alike.edges[shoppers]]
    among = ragged.located(asked, edges, votes.places, votes.bounds, replica.items.scratch)
    lines = _numbered(found.among_votes[rows], line, len(votes.places))[members]
    columns = _numbered(among, column, len(votes.places))[members]
    pulls[2] = sessions.pull(found.alike, lines, columns, shape)
    return pulls


def _by_content(
    chosen: Sequence[Chosen],
    faded: Floats,
    rows: Places,
    bounds: Places,
    drafted: Drafted,
    column: Places,
    shape: tuple[int, int, int],
) -> Floats:
    """How much of what an item has for being alike each of what was had gave: float64 `shape`.

    column: int64 (asked,), where each of what was had is.
    """
    found, (vectors, _, tastes) = drafted.gathered, drafted.fetched
    edges = found.doings.bounds[: len(chosen) + 1]
    line, owner, whose = ragged.turns(bounds), ragged.owners(bounds), ragged.owners(edges)
    cosines = np.zeros(shape)
    for near, one, theirs in zip(cosines, chosen, ragged.parted(tastes, edges), strict=True):
        near[: len(one.rows), : len(theirs)] = (one.vectors @ vectors[theirs].T)[:, ::-1]
    cosines = cosines.round(6)  # what rounding leaves of a right angle is no reason
    now = np.zeros((len(chosen), 1, shape[2]))
    now[whose, 0, column] = faded
    if drafted.given is None:
        interests: Floats = cosines * now
        return interests
    place, had, sitting = np.full(shape[:2], NOWHERE), np.full(now.shape, NOWHERE), np.zeros(now.shape, np.bool_)
    place[owner, line], had[whose, 0, column] = found.batch.place[rows], found.doings.asked[: len(whose)]
    sitting[whose, 0, column] = found.doings.sitting[: len(whose)]
    gains = np.zeros((len(ALIKE), *shape[:2]))
    gains[:, owner, line] = [drafted.given[rows[:, None], columns].sum(axis=1) for columns in ALIKE]
    return explain.likeness(cosines, place[..., None] == had, now, sitting, gains)


def _numbered(places: Places, numbers: Places, count: int) -> Places:
    """int64 (count,): at places the numbers, else `NOWHERE`; those at `NOWHERE` are left out."""
    some = places != NOWHERE
    numbered = np.full(count, NOWHERE)
    numbered[places[some]] = numbers[some]
    return numbered


def _entries(
    chosen: Chosen, recent: Sequence[Interaction], items: Iterator[_Item], told: Iterator[_Told], replica: Replica
) -> list[RecommendedItem]:
    """The entries of one shopper: takes what is theirs of everybody's items and reasons."""
    draft = chosen.draft
    words = Words(draft.visit.profile, recent, replica.title, draft.visit.segment)
    cites: list[Cited | None] = [None] * len(recent)

    def cite(number: int) -> Cited:
        known = cites[number]
        if known is None:
            item, kind, _, time = recent[number]
            known = cites[number] = Cited(item, kind, time)
        return known

    entries = []
    for rank, (name, score, count) in enumerate(islice(items, len(chosen.rows)), start=1):
        reasons = []
        for column, share, given, first, second in islice(told, count):
            if column in _WAY:
                text = words.of_event(column, name, first)
                because = [] if first < 0 else [cite(first)] if second < 0 else [cite(first), cite(second)]
            elif column == _HABIT:
                text, because = of_habit(first, second // DAY_MS), [Cited(name, EventType.PURCHASE, second)]
            else:
                text, because = words.of_rank(column, given), []
            reasons.append(Reason(ORDER[column], share, text, because))
        entries.append(RecommendedItem(rank, name, score, reasons[0].channel, reasons))
    if chosen.explored is not None:
        entries[-1] = _explored(entries[-1], chosen.explored)
    return entries


def _explored(last: RecommendedItem, explored: Explored) -> RecommendedItem:
    """The last place of a list, which was open to exploration."""
    if explored.fresh is None:
        return msgspec.structs.replace(last, propensity=explored.chance)
    reasons = [Reason(Channel.FRESH, 1.0, "new here", [])]
    return RecommendedItem(last.rank, explored.fresh, last.score, Channel.FRESH, reasons, explored.chance)
