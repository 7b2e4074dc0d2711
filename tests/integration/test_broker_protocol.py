"""What Upwell relies on of a Kafka broker, through aiokafka: run on whichever broker the suite has."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord

from tests.brokers import until

pytestmark = pytest.mark.broker

LONG_AGO_MS = 1_000_000_000_000
"""September 2001: replays carry such timestamps."""

Make = Callable[..., Awaitable[str]]


@pytest.fixture
async def make(bootstrap: str) -> AsyncIterator[Make]:
    """Creates a topic: `await make(partitions, setting=value)`."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()

    async def create(partitions: int = 1, **config: str) -> str:
        name = f"protocol-{uuid.uuid4().hex[:12]}"
        # Kept for ever: retention goes by the records' own timestamps, and some here are years old.
        settings = {"retention.ms": "-1", **{key.replace("_", "."): value for key, value in config.items()}}
        answer = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
        assert not answer.topic_errors[0][1], answer

        async def known() -> bool:
            return any(
                row["topic"] == name and len(row["partitions"]) == partitions for row in await client.describe_topics()
            )

        await until(known)
        return name

    yield create
    await client.close()


@pytest.fixture
async def producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as client:
        yield client


async def read(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """All records of a topic, without a group."""
    records: list[ConsumerRecord] = []
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(15):
        partitions = consumer.assignment()
        assert partitions, f"{topic} has no partitions"
        ends = await consumer.end_offsets(partitions)
        while True:
            for batch in (await consumer.getmany(timeout_ms=50)).values():
                records += batch
            if [await consumer.position(partition) for partition in ends] == list(ends.values()):
                return records


async def test_records_of_a_key_stay_on_one_partition_in_order(
    bootstrap: str, make: Make, producer: AIOKafkaProducer
) -> None:
    topic = await make(4)
    for round_ in range(3):
        await asyncio.gather(
            *[await producer.send(topic, b"%d" % round_, key=b"shopper-%d" % user) for user in range(50)]
        )
    records = await read(bootstrap, topic)
    homes: dict[bytes, set[int]] = {}
    values: dict[bytes, list[bytes]] = {}
    for record in records:
        homes.setdefault(record.key, set()).add(record.partition)
        values.setdefault(record.key, []).append(record.value)
    assert {len(partitions) for partitions in homes.values()} == {1}
    assert set(map(tuple, values.values())) == {(b"0", b"1", b"2")}
    assert len({record.partition for record in records}) == 4


async def test_bytes_headers_and_timestamps_come_back_as_they_went(
    bootstrap: str, make: Make, producer: AIOKafkaProducer
) -> None:
    topic = await make()
    headers = [("upwell.reason", b"invalid"), ("empty", b"")]
    await producer.send_and_wait(topic, b"\x00\xff\xfe", key=b"\x80", headers=headers, timestamp_ms=LONG_AGO_MS)
    (record,) = await read(bootstrap, topic)
    assert (record.key, record.value, record.timestamp) == (b"\x80", b"\x00\xff\xfe", LONG_AGO_MS)
    assert list(record.headers) == headers


async def test_a_null_value_is_not_an_empty_one(bootstrap: str, make: Make, producer: AIOKafkaProducer) -> None:
    topic = await make()
    await producer.send_and_wait(topic, None, key=b"item")
    await producer.send_and_wait(topic, b"", key=b"item")
    assert [record.value for record in await read(bootstrap, topic)] == [None, b""]


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_is_read_back(bootstrap: str, make: Make, compression: str) -> None:
    topic = await make()
    sent = [b"event-%d " % number * 20 for number in range(200)]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=compression, linger_ms=20) as producer:
        await asyncio.gather(*[await producer.send(topic, value, partition=0) for value in sent])
    assert [record.value for record in await read(bootstrap, topic)] == sent


async def test_a_batch_made_by_hand_lands_as_one(bootstrap: str, make: Make, producer: AIOKafkaProducer) -> None:
    topic = await make(2)
    batch = producer.create_batch()
    for number in range(100):
        assert batch.append(key=b"%d" % number, value=b"row", timestamp=LONG_AGO_MS + number)
    batch.close()
    first = await (await producer.send_batch(batch, topic, partition=1))
    records = await read(bootstrap, topic)
    assert first.offset == 0
    assert [(record.partition, record.offset, record.key) for record in records] == [
        (1, number, b"%d" % number) for number in range(100)
    ]


async def test_a_record_of_a_megabyte(bootstrap: str, make: Make) -> None:
    topic = await make()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=2_000_000) as producer:
        await producer.send_and_wait(topic, bytes(1_000_000))
    (record,) = await read(bootstrap, topic)
    assert record.value == bytes(1_000_000)


async def test_an_idempotent_producer_writes_each_record_once(bootstrap: str, make: Make) -> None:
    topic = await make()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        await asyncio.gather(*[await producer.send(topic, b"%d" % number) for number in range(300)])
    records = await read(bootstrap, topic)
    assert [record.value for record in records] == [b"%d" % number for number in range(300)]


async def test_offsets_by_end_beginning_time_and_seek(bootstrap: str, make: Make, producer: AIOKafkaProducer) -> None:
    topic = await make()
    for number in range(20):
        await producer.send_and_wait(topic, b"%d" % number, timestamp_ms=LONG_AGO_MS + number * 1000)
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        consumer.assign([partition])
        assert await consumer.beginning_offsets([partition]) == {partition: 0}
        assert await consumer.end_offsets([partition]) == {partition: 20}
        at = await consumer.offsets_for_times({partition: LONG_AGO_MS + 7000})
        assert at[partition].offset == 7
        between = await consumer.offsets_for_times({partition: LONG_AGO_MS + 7500})
        assert between[partition].offset == 8
        beyond = await consumer.offsets_for_times({partition: LONG_AGO_MS + 99_000})
        assert beyond[partition] is None
        consumer.seek(partition, 13)
        assert (await consumer.getone()).value == b"13"
        consumer.seek(partition, 2)
        assert (await consumer.getone()).value == b"2"


async def test_a_group_resumes_where_it_committed(bootstrap: str, make: Make, producer: AIOKafkaProducer) -> None:
    topic, group = await make(), f"group-{uuid.uuid4().hex[:12]}"
    for number in range(10):
        await producer.send_and_wait(topic, b"%d" % number)
    partition = TopicPartition(topic, 0)
    for committed, expected in ((None, b"0"), (4, b"4")):
        async with AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        ) as consumer:
            record = await asyncio.wait_for(consumer.getone(), 15)
            assert await consumer.committed(partition) == committed
            assert record.value == expected
            await consumer.commit({partition: 4})


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    def __init__(self) -> None:
        self.partitions: set[int] = set()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.partitions = set()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.partitions = {partition.partition for partition in assigned}


async def test_a_group_shares_partitions_and_takes_over(bootstrap: str, make: Make, producer: AIOKafkaProducer) -> None:
    topic, group = await make(4), f"group-{uuid.uuid4().hex[:12]}"
    listeners = [_Assigned(), _Assigned()]
    members = [
        AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            heartbeat_interval_ms=200,
            enable_auto_commit=False,
        )
        for _ in listeners
    ]
    seen: set[tuple[int, int]] = set()

    async def consume(member: AIOKafkaConsumer) -> None:
        async for record in member:
            seen.add((record.partition, record.offset))

    async def shared() -> bool:
        return [len(listener.partitions) for listener in listeners] == [2, 2]

    async def taken_over() -> bool:
        return listeners[1].partitions == {0, 1, 2, 3}

    async def all_seen() -> bool:
        return seen == {(partition, 0) for partition in range(4)}

    async with asyncio.TaskGroup() as tasks:
        loops = []
        for member, listener in zip(members, listeners, strict=True):
            member.subscribe([topic], listener=listener)
            await member.start()
            loops.append(tasks.create_task(consume(member)))
        await until(shared)
        assert listeners[0].partitions | listeners[1].partitions == {0, 1, 2, 3}
        loops[0].cancel()
        await members[0].stop()
        await until(taken_over)
        for partition in range(4):
            await producer.send_and_wait(topic, b"late", partition=partition)
        await until(all_seen)
        loops[1].cancel()
        await members[1].stop()


async def test_compaction_keeps_the_newest_of_each_key(bootstrap: str, make: Make, producer: AIOKafkaProducer) -> None:
    topic = await make(
        cleanup_policy="compact", segment_ms="200", min_cleanable_dirty_ratio="0.01", max_compaction_lag_ms="500"
    )
    newest: dict[bytes, bytes] = {}
    written = 0

    async def compacted() -> bool:
        nonlocal written
        for key in (b"a", b"b", b"c"):
            written += 1
            newest[key] = b"%d" % written
            await producer.send_and_wait(topic, newest[key], key=key)
        records = await read(bootstrap, topic)
        assert {record.key: record.value for record in records} == newest
        return len(records) < written

    await until(compacted)
