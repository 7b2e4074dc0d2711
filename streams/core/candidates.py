"""The channels that need no index, and their fusion.

Channels speak different languages (a cosine, a count, a mass), so they are fused by rank: reciprocal-rank fusion
(Cormack, Clarke & Büttcher, SIGIR 2009), score(item) = Σ_channel weight / (60 + rank).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from streams.core import decay
from streams.core.policy import Channel
from streams.core.profile import HABIT_HALF_LIFE_MS, Habit, Profile

RRF_K = 60
"""Rank constant of the paper: how little the very first ranks stand out."""


class Candidate(NamedTuple):
    """An item with its fused score and what each channel gave of it; `ranks` are 1-based."""

    item: str
    score: float
    gains: dict[Channel, float]
    ranks: dict[Channel, int]


def fuse(channels: Mapping[Channel, Sequence[str]], weights: Mapping[Channel, float]) -> list[Candidate]:
    """Fuse ranked lists (best first, no repeats within one). Best first; equal scores by item id."""
    gains: dict[str, dict[Channel, float]] = {}
    ranks: dict[str, dict[Channel, int]] = {}
    for channel, items in channels.items():
        weight = weights.get(channel, 0.0)
        if weight <= 0:
            continue
        for rank, item in enumerate(items, start=1):
            gains.setdefault(item, {})[channel] = weight / (RRF_K + rank)
            ranks.setdefault(item, {})[channel] = rank
    fused = [Candidate(item, sum(gain.values()), gain, ranks[item]) for item, gain in gains.items()]
    fused.sort(key=lambda candidate: (-candidate.score, candidate.item))
    return fused


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
    scores = {item: habit_strength(habit, now) for item, habit in profile.habits.items()}
    return sorted(scores, key=lambda item: (-scores[item], item))


def habit_strength(habit: Habit, now: int) -> float:
    """Decayed number of purchases: personal frequency and recency. Bought once is half a habit."""
    strength = decay.value_at(habit.log_mass, now, HABIT_HALF_LIFE_MS)
    return strength if habit.purchases > 1 else 0.5 * strength
