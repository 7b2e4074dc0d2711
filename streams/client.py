"""For programs in Python that feed a shop and take what comes out: typed records, the right topics and keys.

    async with Producer("127.0.0.1:9092") as producer:
        await producer.events(event("view", user="u-1842", item="hammer-16oz"))

    async with Recommendations("127.0.0.1:9092", group="website") as recommendations:
        async for recommendation in recommendations:
            show(recommendation.user, recommendation.items)

Any Kafka client does without this; what it spares is making ids, choosing keys, waiting for acknowledgements, checking
records before they are sent, and dropping what was sent twice. Options of aiokafka's clients, for TLS and SASL, are
keyword arguments (`streams.settings.KafkaSettings.client_options` makes them from the environment).
"""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import msgspec
from aiokafka import AIOKafkaProducer

from streams.clock import now_ms
from streams.core.events import WEIGHTS, EventType
from streams.edge import Limits, accept_event, accept_item, accept_question
from streams.engine.effects import Rejection
from streams.errors import DataError
from streams.partitioning import chooser, partition_of
from streams.records import Answer, CatalogueItem, Event, Question, Recommendation
from streams.taking import TopicReader
from streams.topics import topics

SHOP = "shop"
REMEMBERED = 100_000
"""Shoppers whose latest recommendation is held, and answers whose ids are."""

_LIMITS = Limits(65_536, 262_144, 86_400_000, WEIGHTS)
_encode = msgspec.json.encode

Sent = tuple[bytes, bytes | None, int | None]
"""Key, value and partition of a record; None for where the key belongs."""

Given = TypeVar("Given", Event, CatalogueItem, Question)


def event(
    type: EventType | str,  # noqa: A002 - the field's name
    *,
    item: str | None = None,
    user: str | None = None,
    id: str | None = None,  # noqa: A002
    time: int | None = None,
    **more: Any,
) -> Event:
    """An event. Without an `id` it gets one of its own, without a `time` (Unix milliseconds) it happened now.

    An id that the source has (an order line, a page view) is better: it makes sending again harmless.

    Raises:
        DataError: there is no such type.
    """
    try:
        kind = EventType(type)
    except ValueError:
        raise DataError(f"no type of event is called so; there are {', '.join(EventType)}") from None
    return Event(
        id=id or uuid.uuid4().hex, type=kind, time=now_ms() if time is None else time, item=item, user=user, **more
    )


def question(text: str, *, user: str | None = None, id: str | None = None, **more: Any) -> Question:  # noqa: A002
    """A question, asked now."""
    return Question(id=id or uuid.uuid4().hex, text=text, time=now_ms(), user=user, **more)


class Producer:
    """Writes what a shop tells. Idempotent: a retry neither doubles a record nor changes the order.

    Every method comes back when all replicas have acknowledged all of its records.

    Args:
        bootstrap: host:port[,host:port…].
        shop: prefix of the topics.
        limits: of the workers, if they were told others than the default ones. Where they have pseudonyms, shoppers
            leave here by theirs; `partitions` then has to be that of the topics.
        options: of aiokafka's producer.
    """

    def __init__(self, bootstrap: str, shop: str = SHOP, limits: Limits = _LIMITS, **options: Any) -> None:
        self._topics = topics(shop)
        self._limits = limits
        self._options = {
            "bootstrap_servers": bootstrap,
            "acks": "all",
            "enable_idempotence": True,
            "partitioner": chooser(limits.partitioner),
            **options,
        }
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        """Connect. Raises aiokafka.errors.KafkaError."""
        self._producer = AIOKafkaProducer(**self._options)
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def events(self, *events: Event) -> None:
        """Send events, each shopper's in this order.

        Raises:
            DataError: workers would refuse one; nothing is sent then.
            aiokafka.errors.KafkaError: not all of them are acknowledged: send them again, under the same ids.
        """
        sent = [(str(one.user or one.anonymous_id or ""), one) for one in events]
        await self._send(self._topics.events.name, sent, accept_event)

    async def items(self, *items: CatalogueItem) -> None:
        """Send items of the catalogue as they are now. Raises as `events`."""
        await self._send(self._topics.catalogue.name, [(item.id, item) for item in items], accept_item)

    async def delete_items(self, *items: str) -> None:
        """Take items out of the catalogue. Raises aiokafka.errors.KafkaError."""
        await self._acknowledged(self._topics.catalogue.name, [(item.encode(), None, None) for item in items])

    async def questions(self, *questions: Question) -> None:
        """Send questions. Raises as `events`."""
        sent = [(one.user or one.id, one) for one in questions]
        await self._send(self._topics.questions.name, sent, accept_question)

    async def _send(
        self, topic: str, records: Sequence[tuple[str, Given]], accept: Callable[[Any, Limits], Any]
    ) -> None:
        now = now_ms()
        encoded = [(key.encode(), _encode(record)) for key, record in records]
        for place, (key, value) in enumerate(encoded):
            verdict = accept(_Unsent(key, value, now), self._limits)
            if isinstance(verdict, Rejection):
                raise DataError(f"record {place + 1} of {len(encoded)} would be refused: {verdict.detail}")
        about = [getattr(record, "user", None) or getattr(record, "anonymous_id", None) for _, record in records]
        await self._acknowledged(
            topic, [self._named(*one, shopper) for one, shopper in zip(encoded, about, strict=True)]
        )

    def _named(self, key: bytes, value: bytes, shopper: str | None) -> Sent:
        """A record of a shopper by their pseudonym, if there are any, for their partition; others as they are."""
        limits = self._limits
        if limits.pseudonyms is None or shopper is None:
            return key, value, None

        def partition(given: str) -> int:
            return partition_of(given, limits.partitions, limits.partitioner)

        veiled = limits.pseudonyms.event(value, partition)
        return limits.pseudonyms.of(shopper).encode(), veiled, partition(shopper)

    async def _acknowledged(self, topic: str, records: Sequence[Sent]) -> None:
        if self._producer is None:
            raise RuntimeError("use it in `async with`")
        sent = [await self._producer.send(topic, value, key=key, partition=at) for key, value, at in records]
        done = await asyncio.gather(*sent, return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome


class _Unsent:
    """A record as the edge sees it."""

    topic, partition, offset = "", 0, 0
    headers: tuple[tuple[str, bytes], ...] = ()

    def __init__(self, key: bytes, value: bytes, timestamp: int) -> None:
        self.key = key
        self.value = value
        self.timestamp = timestamp


class Recommendations(TopicReader[Recommendation]):
    """The recommendations of a shop, newest state: what was sent again or is older than what was handed out is dropped.

    Attributes:
        latest: of each shopper, for as many as are remembered; a shopper who is erased is not in it any more.

    Args:
        bootstrap: host:port[,host:port…].
        group: consumer group; None to read from now on and commit nothing.
        shop: prefix of the topics.
        remembered: shoppers whose latest recommendation is held.
        options: of aiokafka's consumer.
    """

    def __init__(
        self, bootstrap: str, group: str | None = None, shop: str = SHOP, remembered: int = REMEMBERED, **options: Any
    ) -> None:
        super().__init__(topics(shop).recommendations.name, Recommendation, bootstrap, group, options)
        self.latest: OrderedDict[str, Recommendation] = OrderedDict()
        self._remembered = remembered

    def is_new(self, record: Recommendation) -> bool:
        """Whether it is newer than what is held of the shopper; it is held from now on."""
        held = self.latest.get(record.user)
        if held is not None and (held.id == record.id or _later(held, record)):
            return False
        self.latest[record.user] = record
        self.latest.move_to_end(record.user)
        if len(self.latest) > self._remembered:
            self.latest.popitem(last=False)
        return True

    def gone(self, key: str) -> None:
        """Forget a shopper."""
        self.latest.pop(key, None)


class Answers(TopicReader[Answer]):
    """The answers of a shop, each once: one that was sent again is dropped. Arguments as for `Recommendations`."""

    def __init__(
        self, bootstrap: str, group: str | None = None, shop: str = SHOP, remembered: int = REMEMBERED, **options: Any
    ) -> None:
        super().__init__(topics(shop).answers.name, Answer, bootstrap, group, options)
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._remembered = remembered

    def is_new(self, record: Answer) -> bool:
        """Whether its id is none of those remembered."""
        if record.id in self._ids:
            return False
        self._ids[record.id] = None
        if len(self._ids) > self._remembered:
            self._ids.popitem(last=False)
        return True


def _later(held: Recommendation, other: Recommendation) -> bool:
    """Whether one of a shopper's recommendations came after another: their events are on one partition."""
    mine, theirs = held.trigger, other.trigger
    return (mine.topic, mine.partition) == (theirs.topic, theirs.partition) and mine.offset > theirs.offset
