"""What became of recommendations: shown and clicked, by policy and by the channel that proposed the item. Pure.

An event tells that it is about a recommendation by its attribute `recommendation`, the recommendation's id.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from streams.core.events import EventType

ATTRIBUTE = "recommendation"
COUNTED = (EventType.IMPRESSION, EventType.CLICK)
MOST_POLICIES = 16
OTHER, UNKNOWN = "other", "unknown"


class Place(NamedTuple):
    """An item of a recommendation, and the channel with the largest share of it."""

    item: str
    channel: str


class _Sent:
    __slots__ = ("channels", "items", "policy", "told")

    def __init__(self, policy: str, places: Sequence[Place]) -> None:
        self.policy = policy
        self.items = tuple(place.item for place in places)
        self.channels = tuple(place.channel for place in places)
        self.told: dict[str, int] = {}
        """By event type, a bit for each place that was counted already."""


class ClickThrough:
    """Counts impressions and clicks, each once for every place of a recommendation.

    Of so many recommendations as `capacity` says the newest are known; events about others are counted under the
    policy and channel `unknown`. Policies beyond the first 16 are `other`.
    """

    def __init__(self, capacity: int = 20_000) -> None:
        self.counts: Counter[tuple[str, str, EventType]] = Counter()
        """(policy, channel, type) → places."""
        self._capacity = capacity
        self._sent: OrderedDict[str, _Sent] = OrderedDict()
        self._policies: set[str] = set()

    def recommended(self, key: str, policy: str, places: Sequence[Place]) -> None:
        """A recommendation was made; one that is made again is the same."""
        if key in self._sent:
            self._sent.move_to_end(key)
            return
        if policy not in self._policies and len(self._policies) >= MOST_POLICIES:
            policy = OTHER
        self._policies.add(policy)
        self._sent[key] = _Sent(policy, places)
        if len(self._sent) > self._capacity:
            self._sent.popitem(last=False)

    def happened(self, key: str, kind: EventType, item: str) -> None:
        """An item of a recommendation was shown or clicked; other events, and other items, do not count."""
        if kind not in COUNTED:
            return
        sent = self._sent.get(key)
        if sent is None:
            self.counts[UNKNOWN, UNKNOWN, kind] += 1
            return
        if item not in sent.items:
            return
        place = sent.items.index(item)
        told = sent.told.get(kind, 0)
        if not told >> place & 1:
            sent.told[kind] = told | 1 << place
            self.counts[sent.policy, sent.channels[place], kind] += 1
