"""What exploring is worth, told by the recommendations that a shop sent: never exploring against always doing so.

One place of a recommendation is open to exploration, and the chance of whoever is there is logged. A look is such a
place; its reward is 1 if the shopper dealt with the item within `WITHIN_MS`.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from streams.core.decay import DAY_MS
from streams.core.policy import Channel
from streams.evaluation.log import Log
from streams.evaluation.offpolicy import ENOUGH, Estimate, OffPolicy, estimate
from streams.records import Recommendation

WITHIN_MS = 7 * DAY_MS


class Exploration(NamedTuple):
    """What became of the looks.

    Attributes:
        fresh: how many were explored.
        never, always: what the place would have earned if none, or all of them, were.
    """

    fresh: int
    never: OffPolicy
    always: OffPolicy

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"looks": self.never.looks, "explored": self.fresh} | {
            name: {"effective": round(one.effective, 1), "ips": _plain(one.ips), "snips": _plain(one.snips)}
            for name, one in (("never", self.never), ("always", self.always))
        }

    def in_words(self) -> str:
        """One line for people."""
        parts = [
            f"{name} {one.snips.value:.4f} [{one.snips.interval.low:.4f}, {one.snips.interval.high:.4f}]"
            if one.snips
            else f"{name} unknown ({one.effective:.0f} effective looks, {ENOUGH:.0f} are needed)"
            for name, one in (("never", self.never), ("always", self.always))
        ]
        return (
            f"Exploration: {self.fresh:,} of {self.never.looks:,} last places explored. Share of them that the shopper "
            f"dealt with within a week, if exploring were done (SNIPS): {', '.join(parts)}"
        )


def judge(sent: Iterable[Recommendation], log: Log) -> Exploration:
    """Judge exploration.

    Args:
        sent: recommendations; one that was sent again counts once.
        log: what shoppers did.
    """
    dealt: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in log.events:
        if event.item is not None and event.weight > 0:
            dealt[event.user, event.item].append(event.time)
    looks = {one.id: one for one in sent if one.items and one.items[-1].propensity is not None}
    rates = {one.policy: 1.0 - _chance(one) for one in looks.values() if not _explored(one)}
    rewards, chances, fresh = [], [], []
    for one in looks.values():
        if one.policy not in rates:
            continue  # nothing tells how often that policy explores
        times = dealt[one.user, one.items[-1].item]
        later = bisect_right(times, one.time)
        rewards.append(float(later < len(times) and times[later] <= one.time + WITHIN_MS))
        chances.append(_chance(one))
        fresh.append(_explored(one))
    was_fresh, shown = np.array(fresh, np.bool_), np.array(chances, np.float64)
    rate = np.array([rates[one.policy] for one in looks.values() if one.policy in rates], np.float64)
    told = np.array(rewards, np.float64)
    never, always = (~was_fresh).astype(np.float64), np.where(was_fresh, shown / np.maximum(rate, 1e-12), 0.0)
    return Exploration(
        int(was_fresh.sum()), estimate(told, shown, never), estimate(told, shown, np.minimum(always, 1.0))
    )


def _chance(recommendation: Recommendation) -> float:
    return recommendation.items[-1].propensity or 0.0


def _explored(recommendation: Recommendation) -> bool:
    return recommendation.items[-1].channel == Channel.FRESH


def _plain(found: Estimate | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {"value": round(found.value, 6), "low": round(found.interval.low, 6), "high": round(found.interval.high, 6)}
