"""How recommendations are made: which channels, how many, how diverse. Data, not code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from streams.core.rules import Rule
from streams.core.rules.syntax import Group
from streams.core.rules.verdict import caps


class Channel(StrEnum):
    """Where candidates come from. The values are the wire names."""

    CONTENT = "content"
    POPULAR = "popular"
    BUY_AGAIN = "buy_again"
    NEIGHBOURS = "neighbours"
    SEGMENT = "segment"
    SESSIONS = "sessions"
    DISCOVERED = "discovered"
    ARRIVALS = "arrivals"
    FRESH = "fresh"
    """By exploration alone, which `Policy.exploration` sets."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A named way to recommend.

    Attributes:
        name: stamped on every recommendation, part of its id.
        size: items in a recommendation.
        pool: candidates taken from each channel.
        channel_weights: weight of a channel in the fusion; a channel without one is off.
        diversity: λ of MMR, 0 to 1: 1 ranks by score alone, less trades score for difference.
        max_per_category: at most so many items of one (finest) category; None for no cap.
        excluded: items never recommended.
        exploration: share of the recommendations whose last place goes to an item that is hardly known yet.
        interests: long-term interests that a shopper has at most, each with a direction of its own; 0 for one mean of
            all that the shopper was ever for, instead of long-term and recent interests.
        fatigue: what every impression that led to nothing leaves of an item's score, more than 0; 1: all of it.
        rules: what is left out, preferred or capped, in their order.
        ranker: let the learnt ranker order the candidates, once it has proved better than fusion.
    """

    name: str = "default"
    size: int = 20
    pool: int = 60
    channel_weights: Mapping[Channel, float] = field(
        # A habit stays ahead of an item that all the others agree on: their weights together are no more than its own.
        default_factory=lambda: {
            Channel.CONTENT: 0.25,
            Channel.POPULAR: 0.25,
            Channel.BUY_AGAIN: 1.6,
            Channel.NEIGHBOURS: 0.25,
            Channel.SEGMENT: 0.25,
            Channel.SESSIONS: 0.25,
            Channel.DISCOVERED: 0.25,
            Channel.ARRIVALS: 0.1,
        }
    )
    diversity: float = 0.8
    max_per_category: int | None = None
    excluded: frozenset[str] = frozenset()
    exploration: float = 0.05
    interests: int = 1
    fatigue: float = 0.9
    rules: tuple[Rule, ...] = ()
    ranker: bool = True

    @property
    def caps(self) -> dict[Group, int]:
        """The strictest cap of each group that has one."""
        found = caps(self.rules)
        if self.max_per_category is not None:
            found[Group.CATEGORY] = min(self.max_per_category, found.get(Group.CATEGORY, self.max_per_category))
        return found
