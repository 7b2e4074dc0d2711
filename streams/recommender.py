"""Profiles in, ranked and explained items out. No Kafka: used live, in replay and in evaluation.

profile ─► interests ─► index ─────► content ──┐
│                    board ─────► popular ──┼─► allowed ─► fuse by rank ─► diversify ─► explain
└─────────────────────────────► buy_again ──┘
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from streams.core import candidates, diversity, explain, profile
from streams.core.candidates import Candidate
from streams.core.policy import Channel, Policy
from streams.core.profile import Interest, Profile
from streams.records import Cited, Reason, RecommendedItem
from streams.replicas import Replica

SHORTLIST = 3
"""Diversification chooses from this many times the size of the recommendation."""

MIN_NORM = 1e-6
"""A weighted sum of unit vectors shorter than this has no direction left."""


@dataclass(frozen=True, slots=True)
class Shopper:
    """Whom to recommend to, as of event time `now` (Unix milliseconds)."""

    profile: Profile
    now: int


@dataclass(frozen=True, slots=True)
class Slate:
    """A recommendation before it is addressed: items with reasons, and the cold-start stage."""

    items: list[RecommendedItem]
    stage: str


def recommend(shoppers: Sequence[Shopper], replica: Replica, policy: Policy) -> list[Slate]:
    """One slate per shopper. The index is asked once for all of them."""
    wanted = [profile.interests(shopper.profile, shopper.now) for shopper in shoppers]
    found = _nearest(wanted, replica, policy)
    popular = replica.board.top(2 * policy.pool)
    return [
        _slate(shopper, nearest, popular, replica, policy) for shopper, nearest in zip(shoppers, found, strict=True)
    ]


def _nearest(wanted: Sequence[Sequence[Interest]], replica: Replica, policy: Policy) -> list[list[list[str]]]:
    """For each shopper, for each interest that has a direction: the nearest items."""
    found: list[list[list[str]]] = [[] for _ in wanted]
    owners, queries = [], []
    for owner, interests in enumerate(wanted):
        for interest in interests:
            query = np.asarray(interest.weights, np.float32) @ replica.vectors(interest.items)
            if np.linalg.norm(query) > MIN_NORM:
                owners.append(owner)
                queries.append(query)
    if queries:
        for owner, items in zip(owners, replica.nearest(np.stack(queries), 2 * policy.pool), strict=True):
            found[owner].append(items)
    return found


def _slate(shopper: Shopper, nearest: list[list[str]], popular: list[str], replica: Replica, policy: Policy) -> Slate:
    refused = profile.rejected(shopper.profile) | profile.in_cart(shopper.profile) | policy.excluded
    bought = shopper.profile.habits

    def allowed(items: Sequence[str], *, known: bool) -> list[str]:
        good = (i for i in items if i not in refused and (known or i not in bought) and replica.available(i))
        return list(islice(good, policy.pool))

    channels = {
        Channel.CONTENT: allowed(candidates.merge(nearest), known=False),
        Channel.POPULAR: allowed(popular, known=False),
        Channel.BUY_AGAIN: allowed(candidates.buy_again(shopper.profile, shopper.now), known=True),
    }
    shortlist = candidates.fuse(channels, policy.channel_weights, SHORTLIST * policy.size)
    vectors = replica.vectors([candidate.item for candidate in shortlist])
    chosen = diversity.choose(
        np.array([candidate.score for candidate in shortlist]),
        vectors,
        policy.size,
        policy.diversity,
        [replica.facts[candidate.item].category for candidate in shortlist],
        policy.max_per_category,
    )
    personal = bool(channels[Channel.CONTENT] or channels[Channel.BUY_AGAIN])
    items = _explained([shortlist[place] for place in chosen], vectors[chosen], shopper, replica)
    return Slate(items, "profile" if personal else "popularity")


def _explained(
    chosen: Sequence[Candidate], vectors: npt.NDArray[np.float32], shopper: Shopper, replica: Replica
) -> list[RecommendedItem]:
    recent = [interaction for interaction in shopper.profile.recent if interaction.weight > 0]
    pulls = explain.pull(vectors, replica.vectors([interaction.item for interaction in recent]), recent)
    items = []
    for rank, (candidate, row) in enumerate(zip(chosen, pulls, strict=True), start=1):
        causes = explain.causes(candidate, shopper.profile, recent, row, replica.title)
        reasons = [
            Reason(
                cause.channel, round(cause.share, 4), cause.text, [Cited(i.item, i.type, i.time) for i in cause.because]
            )
            for cause in causes
        ]
        items.append(RecommendedItem(rank, candidate.item, round(candidate.score, 6), reasons[0].channel, reasons))
    return items
