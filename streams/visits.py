"""From shoppers to visits: their interests, and what the index has nearest to them.

profile ─► interests ─► vectors ─► index ─► Visit
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np

from index.base import Vectors
from streams.core import channels, profile, ragged
from streams.core import interests as directions
from streams.core.channels import FILTERED, Near, Visit
from streams.core.eligible import Eligibility
from streams.core.items import Places
from streams.core.policy import Channel, Policy
from streams.core.profile import Interest, Profile
from streams.core.rules import Rule
from streams.lessons import Moment
from streams.replicas import Replica

Lookup = Callable[[Sequence[str]], Vectors]
"""Vectors of items, float32 (len(items), dim), of those that were fetched."""

MIN_NORM = 1e-6
"""A weighted sum of unit vectors shorter than this has no direction left."""

_NOTHING: Places = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Shopper:
    """Whom to recommend to, as of event time `now` (Unix milliseconds).

    `key` is the id that the recommendation will have; without one nothing is explored.
    """

    profile: Profile
    now: int
    key: str | None = None


async def visits_of(
    shoppers: Sequence[Shopper | Moment], replica: Replica, policy: Policy
) -> tuple[list[Visit], Lookup]:
    """Ask the index on behalf of a few shoppers, by their profiles as of now."""
    wanted = [
        directions.asked(shopper.profile, shopper.now, policy.interests, replica.half_lives) for shopper in shoppers
    ]
    tastes = await _lookup(
        replica,
        chain(
            chain.from_iterable(interest.items for interests in wanted for interest in interests),
            (item for shopper in shoppers for item, _, _, _ in shopper.profile.recent),
        ),
    )
    wanted = [directions.divided(interests, tastes, policy.interests) for interests in wanted]
    found = await _nearest(wanted, tastes, replica, policy)
    visits = []
    for shopper, near in zip(shoppers, found, strict=True):
        known, now = shopper.profile, shopper.now
        shown = profile.unanswered(known, now, replica.half_lives)
        eligible = Eligibility(policy.rules, replica.facts.__getitem__, known, now, policy.fatigue, shown)
        segment = replica.segment(known) if policy.channel_weights.get(Channel.SEGMENT) else ""
        popular = replica.popular(segment) if segment else _NOTHING
        visits.append(Visit(known, now, near, shown, popular, segment, eligible))
    few = [number for number, visit in enumerate(visits) if visit.eligible.drops and _lacks(visit, replica, policy)]
    if few:
        found = await _nearest([wanted[number] for number in few], tastes, replica, policy, policy.rules)
        for number, near in zip(few, found, strict=True):
            visits[number] = replace(visits[number], near=near)
    return visits, tastes


def _lacks(visit: Visit, replica: Replica, policy: Policy) -> bool:
    """Whether the rules leave a shopper too few of the nearest items, and there are items farther away."""
    if not any(len(near.places) == _asked(policy) for near in visit.near):
        return False
    known, items = visit.profile, replica.items
    barred = profile.rejected(known) | profile.in_cart(known) | profile.owned(known) | policy.excluded
    order = channels.merged([near.places for near in visit.near], items)
    open_to = (items.ids[place] for place in order[items.available.values[order]])
    kept = visit.eligible.kept(item for item in open_to if item not in barred)
    return next(islice(kept, policy.pool - 1, None), None) is None


async def _lookup(replica: Replica, items: Iterable[str]) -> Lookup:
    """Fetch the vectors of items at once, to be picked from as often as wanted."""
    different = list(dict.fromkeys(items))
    places = dict(zip(different, range(len(different)), strict=True))
    vectors = await replica.vectors(different)

    def pick(wanted: Sequence[str]) -> Vectors:
        rows = np.fromiter(map(places.__getitem__, wanted), np.int64, len(wanted))
        picked: Vectors = vectors.take(rows, axis=0)
        return picked

    return pick


async def _nearest(
    wanted: Sequence[Sequence[Interest]], tastes: Lookup, replica: Replica, policy: Policy, rules: Sequence[Rule] = ()
) -> list[list[Near]]:
    """For each shopper, for each interest that has a direction: the nearest items, of those that rules can leave."""
    found: list[list[Near]] = [[] for _ in wanted]
    asked: list[tuple[int, str]] = []
    queries: list[Vectors] = []
    for owner, interests in enumerate(wanted):
        for interest in interests:
            asked.append((owner, interest.name))
            queries.append(np.array(interest.weights, np.float32) @ tastes(interest.items))
    if not queries:
        return found
    together = np.stack(queries)
    directed = np.flatnonzero(np.linalg.norm(together, axis=1) > MIN_NORM)
    if len(directed):
        asked = [asked[number] for number in directed.tolist()]
        steered = replica.steered(together[directed])
        where = replica.told.filter(rules) if rules else None
        lists, cosines = await replica.search(steered, _asked(policy), where)
        places = replica.items.places(chain.from_iterable(lists))
        own = ragged.parted(places, ragged.bounds_of([len(ids) for ids in lists]))
        for (owner, name), near, cosine in zip(asked, own, cosines, strict=True):
            found[owner].append(Near(name, near, cosine))
    return found


def _asked(policy: Policy) -> int:
    """How many items are asked for, of which some may not be shown."""
    return 2 * policy.pool * (FILTERED if policy.rules else 1)
