"""One shopper, followed: what they bought, what is recommended now, what changed."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from streams.demo.dataset import Basket
from streams.records import Recommendation

DWELL_S = 3.0
"""A recommendation is shown for at least so long, to be read."""

PACE_S = 5.0
"""The shopper to follow by default buys about this often."""

SOON_S = 3.0
"""... and for the first time within so many seconds."""


class Moment(NamedTuple):
    """A basket with the recommendation from before it, and the one that answers it."""

    basket: Basket
    before: Recommendation | None
    after: Recommendation


class Scene(NamedTuple):
    """What is shown: a moment, and the recommendation that was shown before (None: nothing was)."""

    moment: Moment
    previous: Recommendation | None


class Following:
    """Shows the newest moment of a shopper, but none too short to be read; moments may be passed over."""

    def __init__(self, user: str) -> None:
        self.user = user
        self._newest: Moment | None = None
        self._scene: Scene | None = None
        self._since = -math.inf

    def add(self, moment: Moment) -> None:
        """The shopper has bought, and the answer has come."""
        self._newest = moment

    def scene(self, now: float) -> Scene | None:
        """What to show at a time in seconds; None until something happened."""
        if self._newest is not None and now - self._since >= DWELL_S:
            previous = self._scene.moment.after if self._scene else self._newest.before
            self._scene = Scene(self._newest, previous)
            self._newest = None
            self._since = now
        return self._scene


def choose(baskets: Iterable[Basket], rate: float) -> str | None:
    """A shopper who is good to watch at `rate` events a second; None where nobody buys.

    Of those who buy within the first `SOON_S` seconds (else of all) the one whose baskets come at the interval that
    is nearest to `PACE_S`; of equals the first to buy.
    """
    begin: dict[str, float] = {}
    counts: dict[str, int] = {}
    lines = 0
    for basket in baskets:
        begin.setdefault(basket.user, lines / rate)
        counts[basket.user] = counts.get(basket.user, 0) + 1
        lines += len(basket.events)
    soon = [user for user, seconds in begin.items() if seconds < SOON_S] or list(begin)
    duration = lines / rate
    return min(soon, key=lambda user: abs(math.log(duration / counts[user] / PACE_S)), default=None)
