"""One place for an item of which little is known, now and then, with the chance that it had: to learn without guessing.

Without it, items that nobody has dealt with are found by content alone, and nothing is ever learned of them. Chances
are drawn from the recommendation's id, so a recommendation that is made again shows the same, and are recorded with
what was shown, so that another policy can be judged from it (see `streams.evaluation.offpolicy`).
"""

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

FRESH = 5.0
"""An item is fresh while the decayed weight of its events is below this: five purchases."""

LOG_FRESH = math.log(FRESH)

DRAWN_FROM = 10
"""The nearest fresh items, from which one is drawn, each with the same chance."""


class Draw(NamedTuple):
    """What takes the place that is open to exploration.

    `fresh` is None where the place stays with whoever has it; `chance` is that of what takes the place.
    """

    fresh: str | None
    chance: float


def due(rate: float, key: str) -> bool:
    """Whether a fresh item takes the place, if there is one. See `draw`."""
    return _number(key) < rate


def draw(nearest: Sequence[str], rate: float, key: str) -> Draw:
    """Decide who takes the place.

    Args:
        nearest: fresh items that may be shown and are not shown anyway, the nearest to the shopper's interests first.
        rate: how often a fresh item takes the place, 0 to 1.
        key: the recommendation's id. Everything is drawn from it.
    """
    open_to = list(dict.fromkeys(nearest))[:DRAWN_FROM]
    if not open_to or rate <= 0.0:
        return Draw(None, 1.0)
    number = _number(key)
    if number >= rate:
        return Draw(None, 1.0 - rate)
    return Draw(open_to[min(int(number / rate * len(open_to)), len(open_to) - 1)], rate / len(open_to))


def _number(key: str) -> float:
    """From 0 to 1, by a key."""
    return int.from_bytes(blake2b(f"explore\0{key}".encode(), digest_size=8).digest(), "little") / 2**64
