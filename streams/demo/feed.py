"""Sends the data set: the catalogue as fast as it goes, then the baskets in time order at a chosen rate."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.demo.dataset import Basket
from streams.errors import BrokerError
from streams.records import CatalogueItem
from streams.settings import KafkaSettings
from streams.topics import Topics

UNACKNOWLEDGED = 2_000
"""Catalogue records under way at most."""

_STOP_S = 5.0

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Speed:
    """Events a second, and after how many seconds to end (None: with the data)."""

    rate: float
    seconds: float | None = None


class Feed:
    """Sends catalogue and events to a shop. The first delivery that fails raises from `check`."""

    def __init__(self, producer: AIOKafkaProducer, topics: Topics) -> None:
        self._producer = producer
        self._topics = topics
        self._under_way: set[asyncio.Future[Any]] = set()
        self._failure: BaseException | None = None

    async def catalogue(self, items: Iterable[CatalogueItem]) -> None:
        """Send items and wait for the acknowledgement of all of them.

        Raises:
            KafkaError: one could not be delivered.
        """
        for item in items:
            await self._send(self._topics.catalogue.name, item.id, _encode(item), lambda: None)
            if len(self._under_way) >= UNACKNOWLEDGED:
                await self.acknowledged()
        await self.acknowledged()

    async def events(
        self,
        baskets: Iterable[Basket],
        speed: Speed,
        start: float,
        sent: Callable[[Basket, float], None],
        acknowledged: Callable[[], None],
    ) -> None:
        """Send baskets, each when it is due: `start` + events before it / rate. What is late is sent at once.

        Args:
            baskets: in the order to send them.
            speed: how fast and how long.
            start: when the first is due, on the monotonic clock.
            sent: called right before a basket is sent, with the time it was due.
            acknowledged: called when the broker has taken an event.

        Raises:
            KafkaError: an event could not be delivered.
        """
        before = 0
        for basket in baskets:
            due = start + before / speed.rate
            if speed.seconds is not None and due >= start + speed.seconds:
                break
            # Yields to the loop even when late, or nothing would be acknowledged and received meanwhile.
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._check()
            sent(basket, due)
            for event in basket.events:
                await self._send(self._topics.events.name, basket.user, _encode(event), acknowledged)
            before += len(basket.events)
        await self.acknowledged()

    async def acknowledged(self) -> None:
        """Wait until the broker has taken all that was sent.

        Raises:
            KafkaError: something could not be delivered.
        """
        if self._under_way:
            await asyncio.wait(set(self._under_way))
        self._check()

    async def _send(self, topic: str, key: str, value: bytes, then: Callable[[], None]) -> None:
        future = await self._producer.send(topic, key=key.encode(), value=value)
        self._under_way.add(future)
        future.add_done_callback(lambda done: self._done(done, then))

    def _done(self, future: "asyncio.Future[Any]", then: Callable[[], None]) -> None:
        self._under_way.discard(future)
        if future.cancelled():
            return
        if (failure := future.exception()) is not None:
            self._failure = self._failure or failure
        else:
            then()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure


@contextlib.asynccontextmanager
async def feeding(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> AsyncIterator[Feed]:
    """A connected feed; at the end it waits a few seconds for what is under way.

    Raises:
        BrokerError: the broker cannot be reached, or goes away.
    """
    # Idempotent: a retry neither doubles an event nor changes the order of a shopper's events.
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        max_batch_size=1 << 18,
        **kafka.client_options(),
    )
    try:
        try:
            await producer.start()
            yield Feed(producer, topics)
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(producer.stop(), _STOP_S)
    except (KafkaError, OSError) as error:
        raise BrokerError(
            f"the Kafka at {bootstrap} took no more records ({type(error).__name__}). Is it still running?"
        ) from error
