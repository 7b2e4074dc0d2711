"""Profiles in, ranked and explained items out. No Kafka: used live, in replay and in evaluation.

profile ─► interests ─► index ─────► content ──┐
│                    board ─────► popular ──┼─► allowed ─► fuse by rank ─► diversify ─► explain
├────────────► neighbourhood ───► neighbours┤
└─────────────────────────────► buy_again ──┘
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from index.base import Vectors
from streams.core import candidates, diversity, explain, exploration, neighbourhood, profile
from streams.core import interests as directions
from streams.core.candidates import Candidate
from streams.core.coldstart import Stage
from streams.core.diversity import Cap
from streams.core.eligible import Eligibility
from streams.core.explain import Cause
from streams.core.policy import Channel, Policy
from streams.core.profile import Interest, Profile
from streams.core.rules.syntax import Group
from streams.records import Cited, Reason, RecommendedItem
from streams.replicas import Facts, Replica

SHORTLIST = 2
"""Diversification chooses from this many times the size of the recommendation; with caps, from thrice as many."""

FILTERED = 4
"""So many times more is asked of index and neighbours where rules may drop some of it."""

TOGETHER = 64
"""Shoppers that share their questions to the index."""

Lookup = Callable[[Sequence[str]], Vectors]
"""Vectors of items, float32 (len(items), dim), of those that were fetched."""

MIN_NORM = 1e-6
"""A weighted sum of unit vectors shorter than this has no direction left."""


@dataclass(frozen=True, slots=True)
class Shopper:
    """Whom to recommend to, as of event time `now` (Unix milliseconds).

    `key` is the id that the recommendation will have; without one nothing is explored.
    """

    profile: Profile
    now: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Slate:
    """A recommendation before it is addressed: items with reasons, and the cold-start stage."""

    items: list[RecommendedItem]
    stage: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A slate in the making.

    Attributes:
        channels: what each brought of what may be shown, best first.
        eligible: the rules of the policy for this shopper.
        shortlist: the best candidates.
        caps: what must not be exceeded.
        segment: of the shopper, whose popularity was asked; empty for none.
        fresh: items that are hardly known yet and may be shown, those nearest to the shopper's interests first.
        stage: of the cold-start ladder.
    """

    channels: dict[Channel, list[str]]
    eligible: Eligibility
    shortlist: list[Candidate]
    caps: list[Cap]
    segment: str
    fresh: Iterator[str]
    stage: Stage


async def recommend(shoppers: Sequence[Shopper], replica: Replica, policy: Policy) -> list[Slate]:
    """One slate per shopper, all by the model that serves at the call."""
    replica = replica.pinned()
    slates: list[Slate] = []
    for start in range(0, len(shoppers), TOGETHER):
        slates += await _together(shoppers[start : start + TOGETHER], replica, policy)
    return slates


async def _together(shoppers: Sequence[Shopper], replica: Replica, policy: Policy) -> list[Slate]:
    """Slates of a few shoppers: the index is asked three times for all of them."""
    drafts, tastes = await drafted(shoppers, replica, policy)
    listed = await _lookup(replica, (candidate.item for draft in drafts for candidate in draft.shortlist))
    return [
        _slate(shopper, draft, listed([candidate.item for candidate in draft.shortlist]), tastes, replica, policy)
        for shopper, draft in zip(shoppers, drafts, strict=True)
    ]


async def drafted(shoppers: Sequence[Shopper], replica: Replica, policy: Policy) -> tuple[list[Draft], Lookup]:
    """Drafts of a few shoppers, and the vectors of what they had to do with."""
    wanted = [
        directions.asked(shopper.profile, shopper.now, policy.interests, replica.half_lives) for shopper in shoppers
    ]
    tastes = await _lookup(
        replica,
        chain(
            (item for interests in wanted for interest in interests for item in interest.items),
            (interaction.item for shopper in shoppers for interaction in shopper.profile.recent),
        ),
    )
    wanted = [directions.divided(interests, tastes, policy.interests) for interests in wanted]
    found = await _nearest(wanted, tastes, replica, policy)
    # The rules of one policy may drop whatever is popular: then all of it is looked at, in order, until it is enough.
    popular = replica.board.top(len(replica.facts) if policy.rules else 2 * policy.pool)
    drafts = [_draft(shopper, near, popular, replica, policy) for shopper, near in zip(shoppers, found, strict=True)]
    return drafts, tastes


async def _lookup(replica: Replica, items: Iterable[str]) -> Lookup:
    """Fetch the vectors of items at once, to be picked from as often as wanted."""
    places = {item: place for place, item in enumerate(dict.fromkeys(items))}
    vectors = await replica.vectors(list(places))

    def pick(wanted: Sequence[str]) -> Vectors:
        return vectors[[places[item] for item in wanted]]

    return pick


async def _nearest(
    wanted: Sequence[Sequence[Interest]], tastes: Lookup, replica: Replica, policy: Policy
) -> list[list[list[str]]]:
    """For each shopper, for each interest that has a direction: the nearest items."""
    found: list[list[list[str]]] = [[] for _ in wanted]
    owners, queries = [], []
    for owner, interests in enumerate(wanted):
        for interest in interests:
            query = np.asarray(interest.weights, np.float32) @ tastes(interest.items)
            if np.linalg.norm(query) > MIN_NORM:
                owners.append(owner)
                queries.append(query)
    if queries:
        steered = replica.steered(np.stack(queries))
        for owner, items in zip(owners, await replica.nearest(steered, _asked(policy)), strict=True):
            found[owner].append(items)
    return found


def _asked(policy: Policy) -> int:
    """How many items are asked for, of which some may not be shown."""
    return 2 * policy.pool * (FILTERED if policy.rules else 1)


def _draft(shopper: Shopper, nearest: list[list[str]], popular: list[str], replica: Replica, policy: Policy) -> Draft:
    refused = profile.rejected(shopper.profile) | profile.in_cart(shopper.profile) | policy.excluded
    bought = profile.owned(shopper.profile)
    eligible = Eligibility(
        policy.rules, replica.facts.__getitem__, shopper.profile, shopper.now, policy.fatigue, replica.half_lives
    )

    def open_to(items: Iterable[str], *, known: bool) -> Iterator[str]:
        good = (i for i in items if i not in refused and (known or i not in bought) and replica.available(i))
        return eligible.kept(good)

    def allowed(items: Iterable[str], *, known: bool) -> list[str]:
        return list(islice(open_to(items, known=known), policy.pool))

    near = candidates.merge(nearest)
    segment = replica.segment(shopper.profile) if policy.channel_weights.get(Channel.SEGMENT) else ""
    asked = neighbourhood.asked(shopper.profile.recent)
    channels = {
        Channel.CONTENT: allowed(near, known=False),
        Channel.POPULAR: allowed(popular, known=False),
        Channel.BUY_AGAIN: allowed(candidates.buy_again(shopper.profile, shopper.now), known=True),
        Channel.NEIGHBOURS: allowed(replica.neighbourhood.top(asked, shopper.now, _asked(policy)), known=False),
    }
    if segment:
        channels[Channel.SEGMENT] = allowed(replica.boards[segment].top(len(replica.facts)), known=False)
    shortlist = ranked(channels, eligible, policy, SHORTLIST * policy.size * (3 if policy.caps else 1))
    facts = [replica.facts[candidate.item] for candidate in shortlist]
    caps = [Cap([group_of(fact, group) for fact in facts], most) for group, most in policy.caps.items()]
    fresh = open_to((item for item in near if replica.fresh(item, shopper.now)), known=False)
    return Draft(channels, eligible, shortlist, caps, segment, fresh, _stage(channels))


def ranked(
    channels: Mapping[Channel, Sequence[str]], eligible: Eligibility, policy: Policy, count: int
) -> list[Candidate]:
    """The best candidates that channels brought, by their scores, those that the rules prefer among them."""
    if not eligible.boosts:
        return candidates.fuse(channels, policy.channel_weights, count)
    fused = candidates.fuse(channels, policy.channel_weights, sum(map(len, channels.values())))
    return candidates.boosted(fused, eligible.factors([candidate.item for candidate in fused]).tolist())[:count]


def _stage(channels: Mapping[Channel, Sequence[str]]) -> Stage:
    if any(items for channel, items in channels.items() if channel not in (Channel.POPULAR, Channel.SEGMENT)):
        return Stage.PROFILE
    return Stage.SEGMENT if channels.get(Channel.SEGMENT) else Stage.POPULARITY


def _explored(
    shopper: Shopper, draft: Draft, picked: list[Candidate], replica: Replica, policy: Policy
) -> float | None:
    """Let a fresh item take the last place, now and then. Returns the chance that whoever is there had."""
    if shopper.key is None or policy.exploration <= 0 or not picked:
        return None
    others, last = [replica.facts[candidate.item] for candidate in picked[:-1]], picked[-1]

    def fits(item: str) -> bool:
        facts = replica.facts[item]
        for group, most in policy.caps.items():
            own, theirs = group_of(facts, group), [group_of(other, group) for other in others]
            if own is not None and theirs.count(own) >= most:
                return False
        return True

    shown = {candidate.item for candidate in picked}
    # Most of the time it only matters whether there is anything to explore.
    count = exploration.DRAWN_FROM if exploration.due(policy.exploration, shopper.key) else 1
    nearest = list(islice((item for item in draft.fresh if item not in shown and fits(item)), count))
    drawn = exploration.draw(nearest, policy.exploration, shopper.key)
    if drawn.fresh is not None:
        picked[-1] = Candidate(drawn.fresh, last.score, {Channel.FRESH: last.score}, {Channel.FRESH: 1})
    return None if drawn.chance == 1.0 else drawn.chance


def group_of(facts: Facts, group: Group) -> str | None:
    """The category or the brand of an item, for caps."""
    return facts.category if group is Group.CATEGORY else facts.brand


def _slate(shopper: Shopper, draft: Draft, vectors: Vectors, tastes: Lookup, replica: Replica, policy: Policy) -> Slate:
    scores = np.array([candidate.score for candidate in draft.shortlist])
    chosen = diversity.choose(scores, vectors, policy.size, policy.diversity, draft.caps)
    recent = [interaction for interaction in shopper.profile.recent if interaction.weight > 0]
    picked = [draft.shortlist[place] for place in chosen]
    chance = _explored(shopper, draft, picked, replica, policy)
    had = [interaction.item for interaction in recent]
    near = explain.pull(vectors[chosen], tastes(had), recent, replica.half_lives.intent)
    beside = replica.neighbourhood.pull([candidate.item for candidate in picked], had, shopper.now)
    items = []
    for rank, (candidate, *row) in enumerate(zip(picked, near, beside, strict=True), start=1):
        pulls = dict(zip((Channel.CONTENT, Channel.NEIGHBOURS), row, strict=True))
        causes = explain.causes(candidate, shopper.profile, recent, pulls, replica.title, draft.segment)
        reasons = [_reason(cause) for cause in causes]
        propensity = chance if rank == len(picked) else None
        items.append(
            RecommendedItem(rank, candidate.item, round(candidate.score, 6), reasons[0].channel, reasons, propensity)
        )
    return Slate(items, draft.stage)


def _reason(cause: Cause) -> Reason:
    cited = [Cited(event.item, event.type, event.time) for event in cause.because]
    return Reason(cause.channel, round(cause.share, 4), cause.text, cited)
