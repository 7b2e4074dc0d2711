"""Whole topics as lists, for tests that compare what is in them."""

from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

_FETCH_BYTES = 8 << 20


async def whole_topic(bootstrap: str, topic: str, partitions: int) -> list[Any]:
    """Every record of a topic up to its present end, by partition and offset."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_bytes=_FETCH_BYTES)
    await consumer.start()
    try:
        assigned = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(assigned)
        await consumer.seek_to_beginning(*assigned)
        ends = await consumer.end_offsets(assigned)
        records: list[Any] = []
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                records += (await consumer.getmany(partition, timeout_ms=200)).get(partition, [])
        return records
    finally:
        await consumer.stop()
