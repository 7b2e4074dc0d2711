"""What passes by, for whoever watches: a sample of events and recommendations, and all of a shopper who is followed.

    events, recommendations (Kafka) ─► sample ─► a bounded queue for each watcher ─► server-sent events
    consumer groups, every few seconds ─► pulse ─┘

The topics are read only while somebody watches. A watcher that does not keep up loses the oldest messages.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import msgspec

from streams.edge import Limits, shopper_of
from streams.engine.effects import Record
from streams.formats.base import FormatError
from streams.formats.reading import Subject
from streams.records import Event, Recommendation, RecommendedItem
from streams.replicas import Replica
from streams.topics import Topics
from streams.web.admission import Buckets
from streams.web.problems import Kind, Problem, retry_after

WATCHERS = 32
"""So many may watch at a time."""

HELD = 200
"""Messages that wait for a watcher."""

SAMPLE = 5.0
"""Events, and recommendations, that are shown a second."""

SHOWN = 10
"""Items of a recommendation that are shown."""

PULSE_S = 5.0

_decode_event = msgspec.json.Decoder(Event).decode
_decode_recommendation = msgspec.json.Decoder(Recommendation).decode


class Happened(msgspec.Struct, frozen=True, omit_defaults=True, tag="event", tag_field="kind"):
    """Somebody did something."""

    user: str
    type: str
    time: int
    item: str | None = None
    title: str | None = None
    query: str | None = None


class Recommended(msgspec.Struct, frozen=True, tag="recommendation", tag_field="kind"):
    """Something was recommended. `titles` of everything named in here."""

    user: str
    time: int
    trigger: str
    trigger_item: str | None
    stage: str
    items: list[RecommendedItem]
    titles: dict[str, str]


class RoleState(msgspec.Struct, frozen=True):
    """How the workers of a role are. `behind`: records they have not committed; None where Kafka does not tell."""

    role: str
    state: str
    workers: int
    behind: int | None


class Pulse(msgspec.Struct, frozen=True, tag="pulse", tag_field="kind"):
    """How things are. Rates are per second since the last pulse; `left_out` counts what was not shown since then."""

    items: int
    searchable: int
    profile_lag: int | None
    events: float
    recommendations: float
    left_out: int
    roles: list[RoleState]


Message = Happened | Recommended | Pulse


class Watcher:
    """Somebody who watches; follows `user`, if that is set."""

    def __init__(self, user: str | None) -> None:
        self.user = user
        self._messages: deque[Message | None] = deque(maxlen=HELD)
        self._there = asyncio.Event()

    def tell(self, message: Message | None) -> None:
        """Queue a message; None is the last one."""
        self._messages.append(message)
        self._there.set()

    async def next(self) -> Message | None:
        """The oldest message; None when there will be no more."""
        while not self._messages:
            self._there.clear()
            await self._there.wait()
        return self._messages.popleft()


class Live:
    """Tells watchers what passes by.

    Args:
        topics: of the shop.
        replica: for titles.
        look: asks how workers are, and how far behind the copy of the profiles is.
        limits: how shoppers are named behind the edge.
    """

    def __init__(
        self,
        topics: Topics,
        replica: Replica,
        look: Callable[[], Awaitable[tuple[Sequence[RoleState], int | None]]],
        limits: Limits,
    ) -> None:
        self._limits = limits
        self._topics = topics
        self._replica = replica
        self._look = look
        self._watchers: set[Watcher] = set()
        self._watched = asyncio.Event()
        self._sample = Buckets(SAMPLE, burst=int(SAMPLE))
        self._passed = {topics.events.name: 0, topics.recommendations.name: 0}
        self._left_out = 0
        self._newest: tuple[float, Pulse] | None = None
        """The newest pulse, and when it was: whoever comes before the next one is told at once."""

    @contextlib.contextmanager
    def watching(self, user: str | None) -> Iterator[Watcher]:
        """A new watcher, for as long as the context.

        Raises:
            Problem: too many watch already, or nobody can be meant by `user`.
        """
        shopper = None if user is None else shopper_of(user.encode(), self._limits)
        if user is not None and shopper is None:
            raise Problem(Kind.INVALID, "`user`: a pseudonym of a key version that this server has not")
        if len(self._watchers) >= WATCHERS:
            raise retry_after(Kind.BUSY, f"{WATCHERS} watch already: try again", 10)
        watcher = Watcher(shopper)
        self._watchers.add(watcher)
        self._watched.set()
        if self._newest is not None and time.monotonic() - self._newest[0] < PULSE_S:
            watcher.tell(self._newest[1])
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._watched.clear()

    async def run(self, read: Callable[[], AsyncIterator[Record]]) -> None:
        """Read what `read` gives while somebody watches, until cancelled."""
        while True:
            await self._watched.wait()
            async with contextlib.aclosing(read()) as records:  # type: ignore[type-var]
                async for record in records:
                    if record.topic == self._topics.events.name:
                        await self._limits.formats.learn_patiently([record])
                    self.tell(record)
                    if not self._watchers:
                        break

    async def beat(self) -> None:
        """Tell how things are, every few seconds while somebody watches, until cancelled."""
        while True:
            await self._watched.wait()
            started = time.monotonic()
            roles, lag = await self._look()
            pulse = self._pulse(list(roles), lag)
            self._tell_all(pulse)
            self._newest = started, pulse
            await asyncio.sleep(max(0.0, PULSE_S - (time.monotonic() - started)))

    def tell(self, record: Record) -> None:
        """Tell of a record those whom it concerns."""
        self._passed[record.topic] += 1
        following = [watcher for watcher in self._watchers if watcher.user is not None]
        shopper = shopper_of(record.key, self._limits) if following else None
        followers = [watcher for watcher in following if watcher.user == shopper]
        sampled = self._sample.take(record.topic, time.monotonic()) == 0
        if not (followers or sampled):
            self._left_out += 1
        elif (message := self._message(record)) is not None:
            if sampled:
                self._tell_all(message)
            else:
                for watcher in followers:
                    watcher.tell(message)

    def close(self) -> None:
        """No more messages."""
        self._tell_all(None)

    def _tell_all(self, message: Message | None) -> None:
        for watcher in self._watchers:
            watcher.tell(message)

    def _message(self, record: Record) -> Message | None:
        """What a record says; None for one that says nothing."""
        try:
            if record.topic == self._topics.events.name:
                event = _decode_event(self._limits.formats.json(record, Subject.EVENTS))
                return self._happened(event, shopper_of(record.key, self._limits) or "")
            return self._recommended(_decode_recommendation(record.value or b""))
        except (FormatError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _happened(self, event: Event, shopper: str) -> Happened:
        title = self._replica.title(event.item) if event.item else None
        return Happened(shopper, event.type.value, event.time, event.item, title, event.query)

    def _recommended(self, found: Recommendation) -> Recommended:
        items = found.items[:SHOWN]
        named = {item.item for item in items} | ({found.trigger.item} if found.trigger.item else set())
        titles = {item: self._replica.title(item) for item in sorted(named)}
        return Recommended(
            found.user, found.time, found.trigger.type.value, found.trigger.item, found.stage, items, titles
        )

    def _pulse(self, roles: list[RoleState], lag: int | None) -> Pulse:
        events, recommendations = (count / PULSE_S for count in self._passed.values())
        left_out, self._left_out = self._left_out, 0
        self._passed = dict.fromkeys(self._passed, 0)
        replica = self._replica
        return Pulse(
            len(replica.facts),
            replica.searchable,
            lag,
            round(events, 1),
            round(recommendations, 1),
            left_out,
            roles,
        )
