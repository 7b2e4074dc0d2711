"""Feeds a replica from Kafka: reads the compacted topics whole, in no consumer group, then follows them.

Every worker needs all of the shared state, so there is nothing to assign or to commit: each reads every partition
from its beginning. `load` returns when all that was there at its start is applied; only then may a worker recommend.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.engine.effects import Record
from streams.replicas import Replica
from streams.settings import KafkaSettings
from streams.topics import Topics

SLICE = 500
"""Records applied before other work on the event loop gets its turn."""

POLL_MS = 200
COLLECT_MS = 100
COLLECTED_BYTES = 64 * 1024

CONSIDER_S = 1.0
"""Between two looks at whether another model is ready to serve."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """Records read of those that were there when loading began."""

    done: int
    total: int


class Replication:
    """Keeps a `Replica` current. `load`, then `follow` until cancelled, then `stop`."""

    def __init__(
        self, replica: Replica, topics: Topics, bootstrap: str, kafka: KafkaSettings, fetch_wait_ms: int
    ) -> None:
        self._replica = replica
        self.on_applied: Callable[[str, Sequence[Record]], None] = lambda topic, records: None
        """Told of what was applied since `load`: consecutive records of one partition of a topic."""
        self._models = topics.models
        self._topics = [topics.catalogue, *topics.slots.values(), topics.trending, topics.neighbours]
        self._topics += [topics.sessions, topics.head, topics.ranker, topics.models]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # What changes is collected a little: it is applied in one go, and nobody waits for it.
            fetch_max_wait_ms=max(fetch_wait_ms, COLLECT_MS),
            fetch_min_bytes=COLLECTED_BYTES,
            **kafka.client_options(),
        )

    async def load(self, progress: Callable[[Progress], None] = lambda _: None) -> None:
        """Apply everything up to the present end of the topics, which must exist."""
        await self._consumer.start()
        partitions = [
            TopicPartition(topic.name, number) for topic in self._topics for number in range(topic.partitions)
        ]
        # Which model is on which topic must be known before vectors are read.
        await self._read_models()
        self._consumer.assign(partitions)
        begins = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        starts = self._starts(begins, ends)
        for partition, start in starts.items():
            self._consumer.seek(partition, start)
        total = sum(ends[partition] - start for partition, start in starts.items())
        while any([await self._consumer.position(p) < ends[p] for p in partitions]):
            await self._apply_next()
            left = sum([max(0, ends[p] - await self._consumer.position(p)) for p in partitions])
            progress(Progress(total - left, total))

    async def _read_models(self) -> None:
        partitions = [TopicPartition(self._models.name, number) for number in range(self._models.partitions)]
        self._consumer.assign(partitions)
        ends = await self._consumer.end_offsets(partitions)
        await self._rewind(partitions)
        while any([await self._consumer.position(p) < ends[p] for p in partitions]):
            await self._apply_next()
        self._replica.to_read_again()  # nothing was read yet

    async def _rewind(self, partitions: list[TopicPartition]) -> None:
        # Not `seek_to_beginning`: beside the reset that follows an assignment, it may wait for the request timeout.
        for partition, begin in (await self._consumer.beginning_offsets(partitions)).items():
            self._consumer.seek(partition, begin)

    def _starts(self, begins: dict[TopicPartition, int], ends: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Where to read from: behind what the replica holds already."""
        held = {
            partition: self._replica.as_of.get(f"{partition.topic}/{partition.partition}", -1) for partition in ends
        }
        if any(offset >= ends[partition] for partition, offset in held.items()):
            _log.warning("the saved index is ahead of its topic, so it is of another one: building it anew")
            self._replica.disown()
            held = dict.fromkeys(held, -1)
        return {partition: max(begins[partition], offset + 1) for partition, offset in held.items()}

    async def follow(self) -> None:
        """Apply what arrives, and change models when one is ready, until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._consider())
            while True:
                for topic, records in await self._apply_next():
                    self.on_applied(topic, records)

    async def _consider(self) -> None:
        while True:
            await asyncio.sleep(CONSIDER_S)
            await self._replica.shelves.consider()

    async def stop(self) -> None:
        """Leave the brokers."""
        await self._consumer.stop()

    async def _apply_next(self) -> list[tuple[str, Sequence[Record]]]:
        ignored = self._replica.ignored_vectors
        fetched: dict[Any, list[Any]] = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=SLICE)
        for partition, records in fetched.items():
            await self._replica.apply(partition.topic, partition.partition, records)
            await asyncio.sleep(0)
            for topic in self._replica.to_read_again():
                await self._rewind([place for place in self._consumer.assignment() if place.topic == topic])
        if self._replica.ignored_vectors > ignored == 0:
            _log.warning("vectors of another model are ignored", serving=self._replica.model)
        return [(partition.topic, records) for partition, records in fetched.items()]
