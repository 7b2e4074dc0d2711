"""Everything the demo knows of its run, from what it sent and what came back. Pure: times are passed in.

The latency of an event runs from the moment it was *meant* to be sent, by the chosen rate, to the receipt of the
first recommendation that knows it (its own, or that of a later event of the shopper). Were it taken from the moment
of sending, a stall that holds the sender back would hide in the events that were not sent meanwhile (coordinated
omission).
"""

from dataclasses import dataclass
from typing import NamedTuple

from streams.demo.dataset import Basket
from streams.demo.following import Following, Moment, Scene
from streams.demo.ledger import Ledger
from streams.demo.meters import Latency, Rate
from streams.demo.score import HitRate, Popularity
from streams.records import Recommendation


class Figures(NamedTuple):
    """The run as of one moment. Rates are a second; percentiles are in milliseconds, None before there is one."""

    seconds: float
    events: int
    events_rate: float
    recommendations: int
    recommendations_rate: float
    unanswered: int
    p50_ms: float | None
    p99_ms: float | None
    hit_rate: float | None
    popularity_hit_rate: float | None
    targets: int
    shop_time: int | None
    scene: Scene | None


@dataclass(slots=True)
class _Sent:
    """A basket, the most popular items before it, and the recommendation from before it once that is known."""

    basket: Basket
    popular: list[str]
    before: Recommendation | None = None


class Tracker:
    """Follows one run. `follow` is the shopper to watch; `start` is when the first event is due."""

    def __init__(self, follow: str | None, start: float) -> None:
        self._start = start
        self._ledger: Ledger[_Sent] = Ledger()
        self._events = Rate(start)
        self._recommendations = Rate(start)
        self._latency = Latency()
        self._hits = HitRate()
        self._popular_hits = HitRate()
        self._popularity = Popularity()
        self._latest: dict[str, Recommendation] = {}
        self._following = Following(follow) if follow is not None else None
        self._shop_time: int | None = None

    @property
    def unanswered(self) -> int:
        """Events that no recommendation has answered yet."""
        return len(self._ledger)

    def sent(self, basket: Basket, due: float) -> None:
        """A basket is about to be sent that was due at a time in seconds."""
        bought = [event.item for event in basket.events if event.item is not None]
        sent = _Sent(basket, self._popularity.top())
        self._ledger.sent(basket.user, [event.id for event in basket.events], sent, due)
        self._popularity.bought(bought, basket.time)
        self._shop_time = basket.time

    def acknowledged(self, now: float, events: int = 1) -> None:
        """The broker has taken events."""
        self._events.add(now, events)

    def received(self, recommendation: Recommendation, now: float) -> None:
        """A recommendation has come. One that was sent again is passed over."""
        answer = self._ledger.answered(recommendation.user, recommendation.trigger.event)
        if not answer.dues:
            return
        self._recommendations.add(now)
        for due in answer.dues:
            self._latency.add(now, (now - due) * 1000)
        before = self._latest.get(recommendation.user)
        for sent in answer.begun:
            sent.before = before
            if before is not None:
                self._score(sent, before)
        if self._following and self._following.user == recommendation.user and answer.completed:
            sent = answer.completed[-1]
            self._following.add(Moment(sent.basket, sent.before, recommendation))
        self._latest[recommendation.user] = recommendation

    def _score(self, sent: _Sent, before: Recommendation) -> None:
        bought = {event.item for event in sent.basket.events if event.item is not None}
        self._hits.add(bought, [item.item for item in before.items])
        self._popular_hits.add(bought, sent.popular)

    def now(self, now: float) -> Figures:
        """The live figures: percentiles of the last seconds."""
        return self._figures(now, self._latency.recent(now, 0.50), self._latency.recent(now, 0.99))

    def whole(self, now: float) -> Figures:
        """The figures of the whole run."""
        return self._figures(now, self._latency.overall(0.50), self._latency.overall(0.99))

    def _figures(self, now: float, p50: float | None, p99: float | None) -> Figures:
        return Figures(
            seconds=max(0.0, now - self._start),
            events=self._events.total,
            events_rate=self._events.per_second(now),
            recommendations=self._recommendations.total,
            recommendations_rate=self._recommendations.per_second(now),
            unanswered=len(self._ledger),
            p50_ms=p50,
            p99_ms=p99,
            hit_rate=self._hits.rate,
            popularity_hit_rate=self._popular_hits.rate,
            targets=self._hits.targets,
            shop_time=self._shop_time,
            scene=self._following.scene(now) if self._following else None,
        )
