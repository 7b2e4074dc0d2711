"""What shops of all kinds have in common: workers to look after, and a consumer group to wait for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.faults.processes import PATIENCE_S, SURVIVED, Program, StuckError, Worker
from tests.faults.without import Protection


class Ground:
    """A shop's workers, on a broker, in a directory; they go `without` some protections."""

    def __init__(self, bootstrap: str, name: str, directory: Path, without: Sequence[Protection] = ()) -> None:
        self.bootstrap = bootstrap
        self.name = name
        self.directory = directory
        self.without = tuple(without)
        self._workers: list[Worker] = []

    def run(self, name: str, program: Program) -> Worker:
        """A worker that is not started. No process of it outlives `discard`."""
        self._workers.append(Worker(program, name, self.directory, self.without))
        return self._workers[-1]

    def note(self, what: str, count: int = 1) -> None:
        """Count what workers with all their protections went through."""
        if not self.without:
            SURVIVED[what] += count

    def discard(self) -> None:
        """Leave no process behind."""
        for worker in self._workers:
            worker.discard()

    def group(self, role: str) -> str:
        """The name of a role's consumer group."""
        return f"{self.name}.upwell.{role}"

    async def group_caught_up(self, role: str, topic: str, partitions: int) -> None:
        """Wait until a group has committed the end of every partition of a topic. Raises EndedError."""
        async with self.patience(f"{role} has not caught up"):
            while not await self.group_is_caught_up(role, topic, partitions):
                self.all_run()
                await asyncio.sleep(0.2)

    async def group_is_caught_up(self, role: str, topic: str, partitions: int) -> bool:
        """Whether a group has committed the end of every partition of a topic; no, where the broker does not answer."""
        sources = [TopicPartition(topic, number) for number in range(partitions)]
        try:
            async with self.admin() as admin, self.consumer() as consumer:
                ends = await consumer.end_offsets(sources)
                committed = await admin.list_consumer_group_offsets(self.group(role))
        except KafkaError:
            return False
        return all(tp in committed and committed[tp].offset == end for tp, end in ends.items() if end)

    async def growth(self, topic: str, partitions: int) -> None:
        """Wait until something comes to a topic. Raises EndedError."""
        tps = [TopicPartition(topic, number) for number in range(partitions)]
        async with self.consumer() as consumer:
            before = await consumer.end_offsets(tps)
            async with self.patience(f"nothing came to {topic}"):
                while await consumer.end_offsets(tps) == before:
                    await asyncio.sleep(0.02)
                    self.all_run()

    async def members(self, role: str) -> int:
        """How many members a group has."""
        async with self.admin() as admin:
            (answer,) = await admin.describe_consumer_groups([self.group(role)])
        ((_, _, _, _, _, members, *_),) = answer.groups
        return len(members)

    def all_run(self) -> None:
        """What is waited for will not come where a worker has ended. Raises EndedError."""
        for worker in self._workers:
            worker.check()

    @contextlib.asynccontextmanager
    async def patience(self, what: str) -> AsyncIterator[None]:
        """Wait for something, but not for ever. Raises StuckError."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield
        except TimeoutError:
            raise StuckError(f"{what} within {PATIENCE_S:.0f} s") from None

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """A client that asks about groups and makes topics."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    @contextlib.asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        """A producer of the load. Idempotent: a broker that dies must not double records."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=True)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @contextlib.asynccontextmanager
    async def consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer without a group."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()
