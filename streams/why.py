"""Why an item is in a shopper's list, or where on the way it was dropped: a trace of the recommender itself.

catalogue ─► bars and rules ─► channels ─► score and shortlist ─► caps and diversity ─► list
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from streams.core import profile as profiles
from streams.core.policy import Channel, Policy
from streams.core.rules import written
from streams.drafts import Draft, drafted, group_of
from streams.recommender import recommend
from streams.records import RecommendedItem
from streams.replicas import Replica
from streams.visits import Shopper


class End(StrEnum):
    """Where an item's way ended. The values are stable names."""

    LISTED = "listed"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"
    TURNED_DOWN = "turned-down"
    IN_CART = "in-cart"
    EXCLUDED = "excluded"
    RULE = "rule"
    NO_CANDIDATE = "no-candidate"
    CUT = "cut"
    CAP = "cap"
    DIVERSITY = "diversity"


@dataclass(frozen=True, slots=True)
class Trace:
    """An item's way through the recommender.

    Attributes:
        end: where it ended.
        words: the same for people.
        channels: which of them brought it, with the rank that it had there.
        score: None where it got none.
        rank: its place by score among the candidates, from 1; None where it got none.
        candidates: how many there were.
        shown: how often, decayed, the shopper was shown it since they last did something for it.
        faded: what that left of its score, 1 for all.
        boost: what rules multiplied its score by, 1 for none.
        entry: its place in the list, with the reasons; None where it is not in there.
    """

    end: End
    words: str
    channels: dict[Channel, int]
    score: float | None
    rank: int | None
    candidates: int
    shown: float
    faded: float
    boost: float
    entry: RecommendedItem | None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "end": self.end.value,
            "words": self.words,
            "channels": {channel.value: rank for channel, rank in self.channels.items()},
            "score": self.score,
            "rank_by_score": self.rank,
            "candidates": self.candidates,
            "shown_in_vain": round(self.shown, 4),
            "faded": round(self.faded, 6),
            "boost": round(self.boost, 6),
            "rank": self.entry.rank if self.entry else None,
            "reasons": [reason.text for reason in self.entry.reasons] if self.entry else [],
        }


async def why(shopper: Shopper, item: str, replica: Replica, policy: Policy) -> Trace:
    """Trace an item. What exploration showed once is not asked for: it says nothing of the item."""
    replica = replica.pinned()
    (draft,) = (await drafted([shopper], (), replica, policy)).drafts
    (slate,) = await recommend([shopper], replica, policy)
    entries = {entry.item: entry for entry in slate.items}
    places = {name: place for place, name in enumerate(draft.ids(replica))}
    if item not in places:
        end, words = _barred(shopper, item, draft, replica, policy)
        return Trace(end, words, {}, None, None, len(places), 0.0, 1.0, 1.0, None)
    rank, score = places[item] + 1, float(draft.scores[places[item]])
    if item in entries:
        end, words = End.LISTED, f"number {entries[item].rank} of the list"
    elif rank > draft.shortlist:
        least = draft.scores[draft.shortlist - 1]
        end = End.CUT
        words = f"its score {score:.6f} is below {least:.6f}, that of the last one on the shortlist"
    else:
        end, words = _passed_over(item, rank, list(entries), replica, policy)
    ranks = draft.ranks(int(draft.order[rank - 1]))
    shown = profiles.unanswered(shopper.profile, shopper.now, replica.half_lives).get(item, 0.0)
    faded = policy.fatigue**shown
    boost = float(draft.visit.eligible.factors([item])[0]) / faded if faded else 1.0
    return Trace(end, words, ranks, round(score, 6), rank, len(places), shown, faded, boost, entries.get(item))


def _barred(shopper: Shopper, item: str, draft: Draft, replica: Replica, policy: Policy) -> tuple[End, str]:
    """Why an item is no candidate."""
    known = shopper.profile
    if item not in replica.facts:
        return End.UNKNOWN, "the catalogue has no such item"
    if not replica.available(item):
        return End.UNAVAILABLE, "the catalogue says that it is not available"
    if item in profiles.rejected(known):
        return End.TURNED_DOWN, "the newest thing that the shopper said of it was negative"
    if item in profiles.in_cart(known):
        return End.IN_CART, "it is in the shopper's cart"
    if item in policy.excluded:
        return End.EXCLUDED, f"the policy {policy.name} excludes it"
    if rule := draft.visit.eligible.dropped_by(item):
        return End.RULE, f"a rule of the policy {policy.name} drops it: {written(rule)}"
    if item in known.habits and not policy.channel_weights.get(Channel.BUY_AGAIN):
        return End.NO_CANDIDATE, "the shopper has bought it, and the policy does not recommend to buy again"
    return End.NO_CANDIDATE, f"no channel has it among its best {policy.pool}"


def _passed_over(item: str, rank: int, listed: list[str], replica: Replica, policy: Policy) -> tuple[End, str]:
    """Why an item of the shortlist is not in the list."""
    for group, most in policy.caps.items():
        own = group_of(replica.facts[item], group)
        if own is not None and [group_of(replica.facts[other], group) for other in listed].count(own) >= most:
            return End.CAP, f"the list has {most} of its {group.value} already, and the policy allows no more"
    return End.DIVERSITY, (
        f"number {rank} by score, on the shortlist; others score higher or are less like what is in the list "
        f"(diversity {policy.diversity:g})"
    )
