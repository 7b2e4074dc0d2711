"""Follows topics from a chosen place, outside every consumer group: nothing is committed, nobody is disturbed."""

import contextlib
import heapq
from collections.abc import AsyncIterator
from enum import StrEnum

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.engine.effects import Record
from streams.errors import BrokerError
from streams.settings import KafkaSettings

_POLL_MS = 500


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


async def until_now(consumer: AIOKafkaConsumer, topic: str, partitions: int) -> AsyncIterator[Record]:
    """All records of a topic up to where it ends at the call, and then stop."""
    ends = await offsets(consumer, topic, partitions, Start.LATEST)
    begins = await offsets(consumer, topic, partitions, Start.BEGINNING)
    _begin_at(consumer, begins)
    left = [partition for partition in ends if begins[partition] < ends[partition]]
    while left:
        for records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).values():
            for record in records:
                yield record
        # Positions, not the records' offsets: the last offsets of a compacted log may hold no record.
        left = [partition for partition in left if await consumer.position(partition) < ends[partition]]


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
