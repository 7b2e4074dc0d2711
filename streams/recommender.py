"""Profiles in, ranked and explained items out. No Kafka: used live, in replay and in evaluation.

shopper ─► draft (see `drafts`) ─► diversify ─► explore ─► explain ─► Slate
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from index.base import Vectors
from streams.core import channels, diversity, exploration
from streams.core.decay import log_mass
from streams.core.policy import Policy
from streams.core.ranking import Example
from streams.core.trending import HALF_LIFE_MS
from streams.drafts import Draft, Shopper, drafted, group_of, lookup
from streams.lessons import Moment
from streams.records import RecommendedItem
from streams.replicas import Replica
from streams.slates import Chosen, Explored, listed

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
    ids = [draft.ids(replica, draft.shortlist) for draft in made.drafts]
    if not ids:
        return [], made.examples
    vectors = await lookup(replica, chain.from_iterable(ids))
    chosen = [
        _chosen(shopper, draft, vectors(names), names, replica, policy)
        for shopper, draft, names in zip(shoppers, made.drafts, ids, strict=True)
    ]
    lists = listed(chosen, made, replica)
    slates = [Slate(items, draft.stage) for items, draft in zip(lists, made.drafts, strict=True)]
    return slates, made.examples


def _chosen(
    shopper: Shopper, draft: Draft, vectors: Vectors, names: Sequence[str], replica: Replica, policy: Policy
) -> Chosen:
    best = diversity.choose(draft.relevance[: len(names)], vectors, policy.size, policy.diversity, draft.caps)
    # An item may have left the shop while the vectors were fetched.
    places = np.array([place for place in best if replica.available(names[place])], np.int64)
    explored = _explored(shopper, draft, [names[place] for place in places.tolist()], replica, policy)
    return Chosen(draft, draft.order[places], draft.scores[places], vectors[places], explored)


def _explored(
    shopper: Shopper, draft: Draft, chosen: Sequence[str], replica: Replica, policy: Policy
) -> Explored | None:
    """Let a fresh item take the last place, now and then, and note the chance that whoever is there had."""
    if shopper.key is None or policy.exploration <= 0 or not chosen:
        return None
    others = [replica.facts[item] for item in chosen[:-1]]

    def fits(item: str) -> bool:
        if not replica.available(item):
            return False
        facts = replica.facts[item]
        for group, most in policy.caps.items():
            own, theirs = group_of(facts, group), [group_of(other, group) for other in others]
            if own is not None and theirs.count(own) >= most:
                return False
        return True

    # Most of the time it only matters whether there is anything to explore.
    count = exploration.DRAWN_FROM if exploration.due(policy.exploration, shopper.key) else 1
    least = exploration.LOG_FRESH + log_mass(1.0, shopper.now, HALF_LIFE_MS)
    fresh: Iterator[str] = channels.fresh(draft.visit, replica.stock, draft.candidates, least)
    nearest = []
    for item in fresh:
        if item not in chosen and fits(item):
            nearest.append(item)
            if len(nearest) == count:
                break
    drawn = exploration.draw(nearest, policy.exploration, shopper.key)
    return Explored(drawn.fresh, drawn.chance) if drawn.chance < 1.0 else None
