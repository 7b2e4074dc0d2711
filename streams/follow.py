"""Follows topics from a chosen place, outside every consumer group: nothing is committed, nobody is disturbed."""

import asyncio
import contextlib
import heapq
from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.connecting import why_not
from streams.engine.effects import Record
from streams.errors import BrokerError
from streams.settings import KafkaSettings

_POLL_MS = 500
_LAST = 8
"""Offsets at the end of a log that are looked at for its last record: some hold none (transactions)."""


class Span(NamedTuple):
    """Offsets of one partition: from `begin`, up to but without `end`."""

    begin: int
    end: int

    @property
    def size(self) -> int:
        """How many offsets; with compaction, at least as many as there are records."""
        return max(0, self.end - self.begin)


Spans = dict[TopicPartition, Span]

Progress = Callable[[int, int], None]
"""Told how many of how many offsets have been looked at."""

_TELL_EVERY = 1_000


class Start(StrEnum):
    """Where to begin."""

    BEGINNING = "beginning"
    LATEST = "latest"


@contextlib.asynccontextmanager
async def reader(bootstrap: str, kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A connected consumer without a group.

    Raises:
        BrokerError: the broker cannot be reached, or goes away for good.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=_POLL_MS, **kafka.client_options()
    )
    try:
        await consumer.start()
    except (KafkaError, OSError) as error:
        await consumer.stop()
        if reason := await why_not(bootstrap, kafka):
            raise BrokerError(f"the Kafka at {reason}") from error
        raise _unreadable(bootstrap, error) from error
    try:
        yield consumer
    except KafkaError as error:
        raise _unreadable(bootstrap, error) from error
    finally:
        await consumer.stop()


def _unreadable(bootstrap: str, error: Exception) -> BrokerError:
    return BrokerError(f"cannot read from the Kafka at {bootstrap} ({type(error).__name__}). Is it running?")


async def offsets(consumer: AIOKafkaConsumer, topic: str, partitions: int, start: Start) -> dict[TopicPartition, int]:
    """The offsets to begin at, by partition, as they are now."""
    everywhere = [TopicPartition(topic, partition) for partition in range(partitions)]
    ask = consumer.beginning_offsets if start is Start.BEGINNING else consumer.end_offsets
    return dict(await ask(everywhere))


async def whole(consumer: AIOKafkaConsumer, topic: str, partitions: int) -> Spans:
    """All that a topic holds now."""
    begins = await offsets(consumer, topic, partitions, Start.BEGINNING)
    ends = await offsets(consumer, topic, partitions, Start.LATEST)
    return {partition: Span(begin, ends[partition]) for partition, begin in begins.items()}


async def since(consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, Span], millis: int) -> Spans:
    """The part of each span from the first record on whose Kafka timestamp is `millis` or later."""
    found = await consumer.offsets_for_times(dict.fromkeys(spans, millis))
    return {
        partition: Span(
            span.end if (at := found[partition]) is None else min(max(at.offset, span.begin), span.end), span.end
        )
        for partition, span in spans.items()
    }


async def until_now(
    consumer: AIOKafkaConsumer, topic: str, partitions: int, progress: Progress = lambda done, total: None
) -> AsyncIterator[Record]:
    """All records of a topic up to where it ends at the call, and then stop."""
    spans = await whole(consumer, topic, partitions)
    total, done = sum(span.size for span in spans.values()), 0
    async for record in between(consumer, spans):
        done += 1
        if done % _TELL_EVERY == 0:
            progress(done, total)
        yield record


async def between(consumer: AIOKafkaConsumer, spans: Spans) -> AsyncIterator[Record]:
    """The records of these spans, one partition after the other."""
    for stream in streams(consumer, spans):
        async for record in stream:
            yield record


async def last(consumer: AIOKafkaConsumer, spans: Spans) -> dict[TopicPartition, Record]:
    """The last record of each span that has one."""
    ends = {place: Span(max(span.begin, span.end - _LAST), span.end) for place, span in spans.items() if span.size}
    return {TopicPartition(record.topic, record.partition): record async for record in between(consumer, ends)}


async def first(consumer: AIOKafkaConsumer, spans: Spans) -> dict[TopicPartition, Record]:
    """The first record of each span that has one."""
    found = {}
    spans = {place: span for place, span in spans.items() if span.size}
    for place, stream in zip(spans, streams(consumer, spans), strict=True):
        async for record in stream:
            found[place] = record
            break
        consumer.pause(place)
    return found


def streams(consumer: AIOKafkaConsumer, spans: Spans) -> list[AsyncIterator[Record]]:
    """The records of each span, to be taken in turn from whichever is wanted, but from one at a time."""
    _begin_at(consumer, {partition: span.begin for partition, span in spans.items()})
    return [_stream(consumer, partition, span.end) for partition, span in spans.items()]


async def _stream(consumer: AIOKafkaConsumer, partition: TopicPartition, end: int) -> AsyncIterator[Record]:
    # Positions, not the records' offsets: the last offsets of a log may hold no record (compaction, transactions).
    while await consumer.position(partition) < end:
        for record in (await consumer.getmany(partition, timeout_ms=_POLL_MS)).get(partition, ()):
            if record.offset < end:
                yield record
        await asyncio.sleep(0)  # what is fetched already is given without waiting, and fetching needs the event loop
    # Or the broker holds back what is fetched for others until there is something new here.
    consumer.pause(partition)


async def onwards(consumer: AIOKafkaConsumer, begins: dict[TopicPartition, int]) -> AsyncIterator[Record]:
    """Records of these partitions from these offsets on, for as long as the caller takes them."""
    _begin_at(consumer, begins)
    while True:
        batches = await consumer.getmany(timeout_ms=_POLL_MS)
        # By time across partitions, without changing the order within one.
        for record in heapq.merge(*batches.values(), key=lambda record: record.timestamp):
            yield record


def _begin_at(consumer: AIOKafkaConsumer, begins: dict[TopicPartition, int]) -> None:
    consumer.assign(list(begins))
    for partition, offset in begins.items():
        consumer.seek(partition, offset)
