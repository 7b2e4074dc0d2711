"""One shopper, followed: what they bought, what is recommended now, what changed."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from streams.demo.dataset import Basket
from streams.records import Recommendation

DWELL_S = 3.0
"""A recommendation is shown for at least so long, to be read."""

SOON_S = 2.0
"""The shopper to follow by default buys for the first time within so many seconds, ..."""

WAIT_S = 5.0
"""... lets us wait for about so long at most between baskets ..."""

WATCH_S = 60.0
"""... during the first so many seconds."""


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

    Of those who buy within the first `SOON_S` seconds it is the one whose longest wait, from basket to basket within
    the first `WATCH_S` seconds, is nearest to `WAIT_S`: something happens soon and regularly, but not too fast to
    read. Of equals, the first to buy.
    """
    last: dict[str, float] = {}
    longest: dict[str, float] = {}
    lines = 0
    for basket in baskets:
        now = lines / rate
        if now >= WATCH_S:
            break
        if basket.user in last or now < SOON_S:
            longest[basket.user] = max(longest.get(basket.user, 0.0), now - last.get(basket.user, now))
            last[basket.user] = now
        lines += len(basket.events)
    end = lines / rate

    def unlike(user: str) -> float:
        return abs(max(longest[user], end - last[user]) - WAIT_S)

    return min(longest, key=unlike, default=None)
