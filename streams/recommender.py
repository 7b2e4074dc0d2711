"""Profiles in, ranked and explained items out. No Kafka: used live, in replay and in evaluation.

shopper ─► draft (see `drafts`) ─► diversify ─► explore ─► explain ─► Slate
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from index.base import Vectors
from streams.core import channels, diversity, exploration, ragged
from streams.core.decay import log_mass
from streams.core.diversity import Shortlist
from streams.core.items import Places
from streams.core.policy import Policy
from streams.core.ranking import Example
from streams.core.trending import HALF_LIFE_MS
from streams.drafts import Draft, drafted, group_of
from streams.lessons import Moment
from streams.records import RecommendedItem
from streams.replicas import Replica
from streams.slates import Chosen, Explored, listed
from streams.visits import Shopper

__all__ = ["Shopper", "Slate", "recommend", "recommend_and_learn"]

TOGETHER = 64
"""Shoppers that share their questions to the index."""


@dataclass(frozen=True, slots=True)
class Slate:
    """A recommendation before it is addressed: items with reasons, and the cold-start stage."""

    items: list[RecommendedItem]
    stage: str


async def recommend(shoppers: Sequence[Shopper], replica: Replica, policy: Policy) -> list[Slate]:
    """One slate per shopper, all by the model that serves at the call."""
    slates, _ = await recommend_and_learn(shoppers, (), replica, policy)
    return slates


async def recommend_and_learn(
    shoppers: Sequence[Shopper], moments: Sequence[Moment], replica: Replica, policy: Policy, most: int = 0
) -> tuple[list[Slate], list[Example | None]]:
    """One slate per shopper, all by the model that serves at the call, and what moments teach the ranker.

    Args:
        shoppers: whom to recommend to.
        moments: what was done, and by whom.
        replica: the shared state.
        policy: how candidates are chosen.
        most: candidates of an example, what was chosen apart.

    Returns:
        Slates and examples; None for a moment that teaches nothing.
    """
    replica = replica.pinned()
    slates: list[Slate] = []
    examples: list[Example | None] = []
    for start in range(0, max(len(shoppers), len(moments)), TOGETHER):
        some = slice(start, start + TOGETHER)
        made = await _together(shoppers[some], moments[some], replica, policy, most)
        slates += made[0]
        examples += made[1]
    return slates, examples


async def _together(
    shoppers: Sequence[Shopper], moments: Sequence[Moment], replica: Replica, policy: Policy, most: int
) -> tuple[list[Slate], list[Example | None]]:
    """Slates of a few shoppers, and examples: the index is asked three times for all of them."""
    made = await drafted(shoppers, moments, replica, policy, most)
    if not made.drafts:
        return [], made.examples
    vectors, rows, _ = made.fetched
    candidates = ragged.parted(rows, made.gathered.batch.starts)
    near = [vectors[own[draft.order[: draft.shortlist]]] for own, draft in zip(candidates, made.drafts, strict=False)]
    shortlists = [Shortlist(draft.relevance, own, draft.caps) for draft, own in zip(made.drafts, near, strict=True)]
    best = diversity.choose(shortlists, policy.size, policy.diversity)
    chosen = [
        _chosen(shopper, draft, np.array(places, np.int64), own, replica, policy)
        for shopper, draft, places, own in zip(shoppers, made.drafts, best, near, strict=True)
    ]
    lists = listed(chosen, made, replica)
    slates = [Slate(items, draft.stage) for items, draft in zip(lists, made.drafts, strict=True)]
    return slates, made.examples


def _chosen(shopper: Shopper, draft: Draft, best: Places, vectors: Vectors, replica: Replica, policy: Policy) -> Chosen:
    """The list of a shopper. best: int64 (n,), places in the shortlist; vectors: float32 (shortlist, dim)."""
    places = draft.candidates.places[draft.order[best]]
    # An item may have left the shop while its vector was fetched.
    there = replica.items.available.values[places]
    best, places = best[there], places[there]
    explored = _explored(shopper, draft, places, replica, policy)
    return Chosen(draft, draft.order[best], draft.scores[best], vectors[best], explored)


def _explored(shopper: Shopper, draft: Draft, chosen: Places, replica: Replica, policy: Policy) -> Explored | None:
    """Let a fresh item take the last place, now and then, and note the chance that whoever is there had."""
    if shopper.key is None or policy.exploration <= 0 or not len(chosen):
        return None
    names = replica.items.named(chosen)

    def fits(item: str) -> bool:
        if not replica.available(item):
            return False
        facts = replica.facts[item]
        for group, most in policy.caps.items():
            own, theirs = group_of(facts, group), [group_of(replica.facts[other], group) for other in names[:-1]]
            if own is not None and theirs.count(own) >= most:
                return False
        return True

    # Most of the time it only matters whether there is anything to explore.
    count = exploration.DRAWN_FROM if exploration.due(policy.exploration, shopper.key) else 1
    least = exploration.LOG_FRESH + log_mass(1.0, shopper.now, HALF_LIFE_MS)
    fresh: Iterator[str] = channels.fresh(draft.visit, replica.stock, draft.candidates, least)
    nearest = []
    for item in fresh:
        if item not in names and fits(item):
            nearest.append(item)
            if len(nearest) == count:
                break
    drawn = exploration.draw(nearest, policy.exploration, shopper.key)
    return Explored(drawn.fresh, drawn.chance) if drawn.fresh is not None or drawn.chance < 1.0 else None
