"""From shoppers to ranked candidates: channels, features, the ranker or fusion.

profile ─► visit (see `visits`) ─► channels ─► features ─┬─► ranker (or fusion) ─► Draft
└─► Example, if something was done just then
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from streams import lessons
from streams.core import ragged, ranking
from streams.core.channels import ORDER, Batch, Candidates, Visit
from streams.core.coldstart import Stage
from streams.core.diversity import Cap
from streams.core.features import Fetched, Seen, buckets, features
from streams.core.gathering import Gathered, gather
from streams.core.items import Places
from streams.core.policy import Channel, Policy
from streams.core.ranking import Contexts, Example, Floats
from streams.core.rules.syntax import Group
from streams.lessons import Moment
from streams.replicas import Facts, Replica
from streams.visits import Shopper, visits_of

SHORTLIST = 2
"""Diversification chooses from this many times the size of the recommendation; with caps, from thrice as many."""

_SEGMENT = ORDER.index(Channel.SEGMENT)
_OF_ALL = Channel.POPULAR, Channel.SEGMENT, Channel.DISCOVERED, Channel.ARRIVALS
_PERSONAL = np.array([channel not in _OF_ALL for channel in ORDER])
"""Which channels ask what a shopper did."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A slate in the making.

    Attributes:
        visit: what was asked on behalf of the shopper.
        candidates: what the channels brought.
        order: int64 (n,), rows of the candidates, best first.
        scores: float64 (n,), above 0, in that order, boosts among them.
        relevance: float64 (shortlist,), what diversity is traded against, in that order; the first is 1.
        fused: float64 (n, channels), by row and `channels.ORDER`, what each channel gave of the fused score.
        given: float64 (n, features), by row, what each feature gave of the logit; None where fusion ranks.
        shortlist: how many of the best are chosen from.
        caps: what must not be exceeded, over the shortlist.
        stage: of the cold-start ladder.
    """

    visit: Visit
    candidates: Candidates
    order: Places
    scores: Floats
    relevance: Floats
    fused: Floats
    given: Floats | None
    shortlist: int
    caps: list[Cap]
    stage: Stage

    def ids(self, replica: Replica, count: int | None = None) -> list[str]:
        """Item ids, best first; of the best `count`."""
        return replica.items.named(self.candidates.places[self.order[:count]])

    def ranks(self, row: int) -> dict[Channel, int]:
        """The ranks that channels gave the candidate of a row, 1-based."""
        return {channel: int(rank) for channel, rank in zip(ORDER, self.candidates.ranks[row], strict=True) if rank}


class Drafted(NamedTuple):
    """What is known before anything is chosen.

    Attributes:
        drafts: for shoppers.
        examples: of moments; None where one teaches nothing.
        given: float64 (candidates of the shoppers, features), what each feature gave; None where fusion ranks.
        gathered: what the channels found for all of them, shoppers first.
        fetched: the vectors of all that.
    """

    drafts: list[Draft]
    examples: list[Example | None]
    given: Floats | None
    gathered: Gathered
    fetched: Fetched


async def drafted(
    shoppers: Sequence[Shopper], moments: Sequence[Moment], replica: Replica, policy: Policy, most: int = 0
) -> Drafted:
    """Ask the channels and the ranker on behalf of a few shoppers, and of those whose doings at a time teach it.

    most: candidates of an example.
    """
    visits = await visits_of([*shoppers, *moments], replica, policy)
    gathered = gather(visits, replica.stock, policy)
    batch = gathered.batch
    places, starts = batch.place, batch.starts.tolist()
    fetched = await _fetched(gathered, replica)
    learnt = replica.ranker.serving() if policy.ranker else None
    given, seen = None, None
    if (learnt is not None or moments) and len(places):
        seen = features(gathered, visits, replica.stock, fetched)
    if learnt is not None and seen is not None and shoppers:
        end = starts[len(shoppers)]
        history, away = np.array([buckets(visit) for visit in visits[: len(shoppers)]], np.int64).T
        contexts = Contexts(history, away, seen.had[:end])
        given = ranking.contributions(learnt, contexts, batch.owner[:end], seen.matrix[:end])
    drafts = _drafts(visits[: len(shoppers)], gathered, given, replica, policy)
    examples: list[Example | None] = []
    for number, (moment, visit) in enumerate(zip(moments, visits[len(shoppers) :], strict=True), start=len(shoppers)):
        rows = slice(starts[number], starts[number + 1])
        if seen is not None:
            ids = replica.items.named(places[rows])
            examples.append(lessons.example(moment, visit, ids, Seen(seen.matrix[rows], seen.had[rows]), most))
        else:
            examples.append(None)
    return Drafted(drafts, examples, given, gathered, fetched)


async def _fetched(found: Gathered, replica: Replica) -> Fetched:
    """Ask the index for vectors, for each once: much of what is recommended is so to many."""
    wanted, count = np.concatenate((found.batch.place, found.doings.asked)), len(found.batch.place)
    places, _, rows = ragged.distinct(wanted, ragged.bounds_of([len(wanted)]), replica.items.scratch)
    return Fetched(await replica.vectors(replica.items.named(places)), rows[:count], rows[count:])


def _drafts(
    visits: Sequence[Visit], gathered: Gathered, given: Floats | None, replica: Replica, policy: Policy
) -> list[Draft]:
    batch = gathered.batch
    bounds, stages = batch.starts[: len(visits) + 1], _stages(batch, len(visits))
    if given is None:
        scores = batch.fused[: bounds[-1]].copy()
    else:
        logits = given.sum(axis=1)
        scores = np.exp(logits - np.repeat(ragged.maxima(logits, bounds), ragged.sizes_of(bounds)))
    items, facts, caps = replica.items, replica.facts, policy.caps
    place = batch.place[: bounds[-1]]
    for visit, begin, end in zip(visits, bounds.tolist(), bounds[1:].tolist(), strict=False):
        if visit.eligible.boosts:
            scores[begin:end] *= visit.eligible.factors(items.named(place[begin:end]))
    ranked = ragged.ranked(scores, items.ties.values[place], bounds)
    orders = ragged.parted(ranked - np.repeat(bounds[:-1], ragged.sizes_of(bounds)), bounds)
    most = SHORTLIST * policy.size * (3 if caps else 1)
    gave = [None] * len(visits) if given is None else ragged.parted(given, bounds)
    columns = (ragged.parted(column, bounds) for column in (scores[ranked], batch.parts))
    rows = zip(visits, gathered.candidates[: len(visits)], orders, *columns, gave, stages, strict=True)
    drafts = []
    for visit, candidates, order, score, fused, own, stage in rows:
        best = score[:most]
        described = [facts[item] for item in items.named(candidates.places[order[:most]])] if caps else []
        capped = [Cap([group_of(fact, group) for fact in described], count) for group, count in caps.items()]
        relevance = _relevance(best)
        shortlist = len(best)
        drafts.append(Draft(visit, candidates, order, score, relevance, fused, own, shortlist, capped, stage))
    return drafts


def _relevance(scores: Floats) -> Floats:
    """How far above the last one of the shortlist each of it is, by the log of its score: by logit, if it is learnt."""
    if not len(scores):
        return scores
    logs = np.log(np.maximum(scores, 1e-300))
    depth = logs[0] - logs[-1]
    return 1.0 - (logs[0] - logs) / depth if depth > 0 else np.ones(len(logs))


def _stages(batch: Batch, shoppers: int) -> list[Stage]:
    """The rung that each shopper's candidates are from."""
    bounds = batch.starts[: shoppers + 1]
    some = ragged.maxima(batch.ranks[: bounds[-1]].T, bounds) > 0
    personal = some[_PERSONAL].any(axis=0).tolist()
    segments = some[_SEGMENT].tolist()
    return [
        Stage.PROFILE if own else Stage.SEGMENT if segment else Stage.POPULARITY
        for own, segment in zip(personal, segments, strict=True)
    ]


def group_of(facts: Facts, group: Group) -> str | None:
    """The category or the brand of an item, for caps."""
    return facts.category if group is Group.CATEGORY else facts.brand
