"""A shop on a real broker: a worker as a child process, a producer, and a reader of what comes out."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.records import Recommendation
from streams.settings import Settings
from streams.topics import Topic, Topics
from tests.brokers import until

PATIENCE_S = 60.0


@asynccontextmanager
async def worker(
    settings: Settings,
    bootstrap: str,
    *,
    until: str = "Worker runs.",
    heard: list[str] | None = None,
    roles: str | None = None,
    **environment: str,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`upwell worker` with the hashing encoder, stopped by SIGTERM at the end and expected to leave in good order.

    It is handed out when a line of its log says `until`. At the end `heard` has all that it said.
    """
    environment = {
        **os.environ,
        **environment,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_SHOP": settings.shop,
        "UPWELL_PARTITIONS": str(settings.partitions),
        "UPWELL_DATA_DIR": str(settings.data_dir),
        "UPWELL_MODEL": "hashing",
    }
    command = [sys.executable, "-c", "from streams.cli import main; main()", "worker"]
    command += [] if roles is None else ["--roles", roles]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    said = []
    while line := await asyncio.wait_for(process.stderr.readline(), PATIENCE_S):
        said.append(line.decode())
        if until in said[-1]:
            break
    else:
        await process.wait()
        raise AssertionError("the worker ended while it started:\n" + "".join(said))
    draining = asyncio.create_task(process.stderr.read())
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        rest = await asyncio.wait_for(draining, PATIENCE_S)
        said.append(rest.decode())
        if heard is not None:
            heard += said
        assert await process.wait() == 0, "".join(said)


async def caught_up(settings: Settings, bootstrap: str, role: str, source: Topic) -> bool:
    """Whether a role has committed all that its source holds."""
    group = f"{settings.shop}.upwell.{role}"
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        ends = await consumer.end_offsets([TopicPartition(source.name, number) for number in range(source.partitions)])
        return all([(await consumer.committed(partition) or 0) == end for partition, end in ends.items()])


async def dead_letters(bootstrap: str, contract: Topics) -> list[dict[str, bytes]]:
    """The headers of all dead letters, once there is one."""
    found: list[dict[str, bytes]] = []
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        place = TopicPartition(contract.dlq.name, 0)
        consumer.assign([place])
        consumer.seek(place, 0)

        async def there() -> bool:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found.extend(dict(record.headers) for record in records)
            return bool(found)

        await until(there, PATIENCE_S)
    return found


@dataclass
class Desk:
    """Sends records and reads recommendations."""

    topics: Topics
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer

    async def put(self, topic: Topic, key: str, body: dict[str, Any] | bytes | None) -> None:
        """Send a record and wait for its acknowledgement."""
        value = msgspec.json.encode(body) if isinstance(body, dict) else body
        await self.producer.send_and_wait(topic.name, key=key.encode(), value=value)

    async def ask(self, user: str, event: dict[str, Any], fits: Callable[[Recommendation], bool]) -> Recommendation:
        """Send an event again and again, under new ids, until a recommendation fits.

        What other partitions and the encoder have under way is waited for so, without guessing how long it takes.
        """
        async with asyncio.timeout(PATIENCE_S):
            for attempt in range(1_000_000):
                await self.put(self.topics.events, user, {**event, "id": f"{event['id']}-{attempt}", "user": user})
                recommendation = await self.answer(user, f"{event['id']}-{attempt}")
                if fits(recommendation):
                    return recommendation
        raise AssertionError("unreachable")

    async def answer(self, user: str, event: str) -> Recommendation:
        """The recommendation that an event brought about."""
        async for record in self.consumer:
            recommendation = msgspec.json.decode(record.value, type=Recommendation)
            if (recommendation.user, recommendation.trigger.event) == (user, event):
                return recommendation
        raise AssertionError("the consumer ended")

    async def ends(self, *topics: Topic) -> dict[str, int]:
        """`topic/partition` → offset of the last record there is, for partitions that have any."""
        partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        ends = await self.consumer.end_offsets(partitions)
        return {f"{p.topic}/{p.partition}": end - 1 for p, end in ends.items() if end}


@asynccontextmanager
async def desk(topics: Topics, bootstrap: str) -> AsyncIterator[Desk]:
    """A producer, and a consumer at the end of the recommendations topic."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=20)
    await producer.start()
    await consumer.start()
    try:
        partitions = [TopicPartition(topics.recommendations.name, n) for n in range(topics.recommendations.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)
        for partition in partitions:  # where the end is, is found out when it is first asked for
            await consumer.position(partition)
        yield Desk(topics, producer, consumer)
    finally:
        await consumer.stop()
        await producer.stop()
