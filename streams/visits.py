"""From shoppers to visits: their interests, and what the index has nearest to them.

profile ─► interests ─► vectors ─► index ─► Visit
"""

from collections.abc import Sequence
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
from streams.core.profile import Profile
from streams.core.rules import Rule
from streams.lessons import Moment
from streams.replicas import Replica

MIN_NORM = 1e-6
"""A weighted sum of unit vectors shorter than this has no direction left."""

_NOTHING: Places = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Shopper:
    """Whom to recommend to, as of event time `now` (Unix milliseconds).

    `key` is the id that the recommendation will have; without one nothing is explored. `user` is whose session is
    theirs, not another's.
    """

    profile: Profile
    now: int
    key: str | None = None
    user: str = ""


async def visits_of(shoppers: Sequence[Shopper | Moment], replica: Replica, policy: Policy) -> list[Visit]:
    """Ask the index on behalf of a few shoppers, by their profiles as of now."""
    asked, queries = await _queries(shoppers, replica, policy)
    found = await _nearest(len(shoppers), asked, queries, replica, policy)
    visits = []
    for shopper, near in zip(shoppers, found, strict=True):
        known, now = shopper.profile, shopper.now
        shown = profile.unanswered(known, now, replica.half_lives)
        eligible = Eligibility(policy.rules, replica.facts.__getitem__, known, now, policy.fatigue, shown)
        segment = replica.segment(known) if policy.channel_weights.get(Channel.SEGMENT) else ""
        popular = replica.popular(segment) if segment else _NOTHING
        visits.append(Visit(known, now, near, shown, popular, segment, eligible, shopper.user))
    few = {number for number, visit in enumerate(visits) if visit.eligible.drops and _lacks(visit, replica, policy)}
    if few:
        again = [number for number, (owner, _) in enumerate(asked) if owner in few]
        theirs = [asked[number] for number in again]
        found = await _nearest(len(shoppers), theirs, queries[again], replica, policy, policy.rules)
        visits = [replace(visit, near=found[n]) if n in few else visit for n, visit in enumerate(visits)]
    return visits


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


async def _queries(
    shoppers: Sequence[Shopper | Moment], replica: Replica, policy: Policy
) -> tuple[list[tuple[int, str]], Vectors]:
    """Whose interests have a direction, with their names, and the directions: float32 (n, dim)."""
    wanted = [
        (owner, interest)
        for owner, shopper in enumerate(shoppers)
        for interest in directions.asked(shopper.profile, shopper.now, policy.interests, replica.half_lives)
    ]
    vectors = await replica.vectors(list(chain.from_iterable(interest.items for _, interest in wanted)))
    bounds = ragged.bounds_of([len(interest.items) for _, interest in wanted])
    asked: list[tuple[int, str]] = []
    queries: list[Vectors] = []
    for (owner, whole), own in zip(wanted, ragged.parted(vectors, bounds), strict=True):
        for interest, rows in directions.divided(whole, own, policy.interests):
            asked.append((owner, interest.name))
            queries.append(np.array(interest.weights, np.float32) @ rows)
    together = ragged.joined([query[None] for query in queries], np.float32)
    directed = np.flatnonzero(np.linalg.norm(together, axis=-1) > MIN_NORM)
    if not len(directed):
        return [], together[:0]
    return [asked[number] for number in directed.tolist()], replica.steered(together[directed])


async def _nearest(
    shoppers: int,
    asked: Sequence[tuple[int, str]],
    queries: Vectors,
    replica: Replica,
    policy: Policy,
    rules: Sequence[Rule] = (),
) -> list[list[Near]]:
    """For each of so many shoppers, for each of their queries: the nearest items, of those that rules can leave."""
    found: list[list[Near]] = [[] for _ in range(shoppers)]
    if asked:
        where = replica.told.filter(rules) if rules else None
        lists, cosines = await replica.search(queries, _asked(policy), where)
        places = replica.items.places(chain.from_iterable(lists))
        own = ragged.parted(places, ragged.bounds_of([len(ids) for ids in lists]))
        for (owner, name), near, cosine in zip(asked, own, cosines, strict=True):
            found[owner].append(Near(name, near, cosine))
    return found


def _asked(policy: Policy) -> int:
    """How many items are asked for, of which some may not be shown."""
    return 2 * policy.pool * (FILTERED if policy.rules else 1)
