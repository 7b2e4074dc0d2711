"""The channels that need no index, and their fusion.

Channels speak different languages (a cosine, a count, a mass), so they are fused by rank: reciprocal-rank fusion
(Cormack, Clarke & Büttcher, SIGIR 2009), score(item) = Σ_channel weight / (60 + rank).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from streams.core.policy import Channel
from streams.core.profile import Profile, purchases

RRF_K = 60
"""Rank constant of the paper: how little the very first ranks stand out."""


class Candidate(NamedTuple):
    """An item with its fused score and what each channel gave of it; `ranks` are 1-based."""

    item: str
    score: float
    gains: dict[Channel, float]
    ranks: dict[Channel, int]


def fuse(channels: Mapping[Channel, Sequence[str]], weights: Mapping[Channel, float], count: int) -> list[Candidate]:
    """The `count` best of ranked lists (best first, no repeats within one), fused. Equal scores by item id."""
    scores: dict[str, float] = {}
    ranks = {}
    for channel, items in channels.items():
        weight = weights.get(channel, 0.0)
        if weight > 0:
            ranks[channel] = {item: rank for rank, item in enumerate(items, start=1)}
            for rank, item in enumerate(items, start=1):
                scores[item] = scores.get(item, 0.0) + weight / (RRF_K + rank)
    best = [item for _, item in sorted((-score, item) for item, score in scores.items())[:count]]
    return [
        Candidate(
            item,
            scores[item],
            {channel: weights[channel] / (RRF_K + places[item]) for channel, places in ranks.items() if item in places},
            {channel: places[item] for channel, places in ranks.items() if item in places},
        )
        for item in best
    ]


def boosted(fused: Sequence[Candidate], factors: Sequence[float]) -> list[Candidate]:
    """Candidates with their scores multiplied, best first; equal scores by item id."""
    changed = [
        candidate._replace(
            score=candidate.score * factor,
            gains={channel: gain * factor for channel, gain in candidate.gains.items()},
        )
        for candidate, factor in zip(fused, factors, strict=True)
    ]
    return sorted(changed, key=lambda candidate: (-candidate.score, candidate.item))


def merge(lists: Iterable[Sequence[str]]) -> list[str]:
    """One ranked list from several (one per interest): by best rank, earlier lists first at equal ranks."""
    best: dict[str, tuple[int, int]] = {}
    for order, items in enumerate(lists):
        for rank, item in enumerate(items):
            place = (rank, order)
            if item not in best or place < best[item]:
                best[item] = place
    return sorted(best, key=best.__getitem__)


def buy_again(profile: Profile, now: int) -> list[str]:
    """What the shopper buys, strongest habit first. `now` is event time, Unix milliseconds."""
    ranked = sorted((-strength, item) for item, strength in habit_strengths(profile, now).items())
    return [item for _, item in ranked]


def habit_strengths(profile: Profile, now: int) -> dict[str, float]:
    """Decayed number of purchases by item: personal frequency and recency. Bought once is half a habit."""
    return {
        item: count if profile.habits[item].purchases > 1 else 0.5 * count
        for item, count in purchases(profile, now).items()
    }
