"""Reads what the worker publishes: vectors, to know how much is searchable, and recommendations."""

import time
from collections.abc import Callable

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams import follow
from streams.follow import Start
from streams.records import Recommendation
from streams.settings import KafkaSettings
from streams.topics import Topics

_POLL_MS = 200

_decode = msgspec.json.Decoder(Recommendation).decode


async def outputs(
    bootstrap: str,
    kafka: KafkaSettings,
    topics: Topics,
    searchable: Callable[[str], None],
    recommended: Callable[[Recommendation, float], None],
) -> None:
    """Read both topics from their beginning, until cancelled.

    Args:
        bootstrap: host:port of the broker.
        kafka: how to talk to it.
        topics: the shop's.
        searchable: called with the id of an item whose vector was published.
        recommended: called with each recommendation and when it came, on the monotonic clock.

    Raises:
        BrokerError: the broker cannot be reached, or goes away for good.
    """
    async with follow.reader(bootstrap, kafka) as consumer:
        await _from_the_beginning(consumer, topics)
        while True:
            fetched = await consumer.getmany(timeout_ms=_POLL_MS)
            now = time.monotonic()
            for partition, records in fetched.items():
                for record in records:
                    if partition.topic == topics.recommendations.name:
                        recommended(_decode(record.value), now)
                    elif record.value is not None:
                        searchable(record.key.decode())


async def _from_the_beginning(consumer: AIOKafkaConsumer, topics: Topics) -> None:
    begins: dict[TopicPartition, int] = {}
    for topic in (topics.embeddings, topics.recommendations):
        begins |= await follow.offsets(consumer, topic.name, topic.partitions, Start.BEGINNING)
    consumer.assign(list(begins))
    for partition, offset in begins.items():
        consumer.seek(partition, offset)
