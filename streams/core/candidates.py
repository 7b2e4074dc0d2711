"""Fusion's constant, and what a shopper buys again.

Channels speak different languages (a cosine, a count, a mass), so they are fused by rank: reciprocal-rank fusion
(Cormack, Clarke & Büttcher, SIGIR 2009), score(item) = Σ_channel weight / (60 + rank).
"""

from streams.core.items import tie
from streams.core.profile import Profile, purchases

RRF_K = 60
"""Rank constant of the paper: how little the very first ranks stand out."""


def buy_again(profile: Profile, now: int) -> list[str]:
    """What the shopper buys, strongest habit first. `now` is event time, Unix milliseconds."""
    strengths = habit_strengths(profile, now)
    return sorted(strengths, key=lambda item: (-strengths[item], tie(item)))


def habit_strengths(profile: Profile, now: int) -> dict[str, float]:
    """Decayed number of purchases by item: personal frequency and recency. Bought once is half a habit."""
    return {
        item: count if profile.habits[item].purchases > 1 else 0.5 * count
        for item, count in purchases(profile, now).items()
    }
