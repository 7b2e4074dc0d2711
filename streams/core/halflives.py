"""After how long what a shopper did counts half as much."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from streams.core import decay

HABIT_HALF_LIFE_MS = 60.0 * decay.DAY_MS
"""A purchase counts half as much after this time."""

INTENT_HALF_LIFE = 6.0
"""Short-term intent: an interaction counts half as much after this many newer ones."""

IMPRESSION_HALF_LIFE_MS = 3.0 * decay.DAY_MS
"""An impression that led to nothing counts half as much after this time."""


class HalfLives(NamedTuple):
    """After how long what a shopper did counts half as much; `math.inf` for never.

    `habits_ms` of purchases and of all that is remembered for long, `intent` of recent interactions, in newer ones,
    `impressions_ms` of impressions that led to nothing.
    """

    habits_ms: float = HABIT_HALF_LIFE_MS
    intent: float = INTENT_HALF_LIFE
    impressions_ms: float = IMPRESSION_HALF_LIFE_MS


HALF_LIVES = HalfLives()
"""Unless the settings say otherwise."""


def half_lives(changes: Mapping[str, float | None]) -> HalfLives:
    """`HALF_LIVES` with changes by name; None for never.

    `habits` and `impressions` are in days, `intent` in newer interactions.

    Raises:
        ValueError: for an unknown name, or a half-life that is not positive.
    """
    units = {
        "habits": ("habits_ms", decay.DAY_MS),
        "intent": ("intent", 1),
        "impressions": ("impressions_ms", decay.DAY_MS),
    }
    changed = HALF_LIVES
    for name, given in changes.items():
        if name not in units:
            raise ValueError(f"unknown half-life {name!r}; known: {', '.join(units)}")
        if given is not None and not 0.0 < given < math.inf:
            raise ValueError(f"the half-life of {name!r} is {given}, wanted more than 0, or null for never")
        field_name, unit = units[name]
        changed = changed._replace(**{field_name: math.inf if given is None else float(given) * unit})
    return changed
