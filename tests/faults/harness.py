"""What the fault tests share: topics, a seeded load, worker processes to kill, and the comparison with the oracle."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from streams.engine.rows import newest, source_offset
from streams.engine.store import RocksPartition
from tests.faults.counting import POISON, oracle, role
from tests.faults.counting_worker import SERVING

PARTITIONS = 4
KEYS = 400
SEED = int(os.environ.get("UPWELL_FAULT_SEED", "1"))
ROUNDS = int(os.environ.get("UPWELL_FAULT_ROUNDS", "1"))
"""More rounds, each with a seed of its own, make the long version."""

_CACHE_MB = 8
_CAUGHT_UP_S = 90.0


class Shop:
    """The topics of one test, on a broker."""

    def __init__(self, bootstrap: str, name: str, directory: Path) -> None:
        self.bootstrap = bootstrap
        self.name = name
        self.directory = directory
        self.role = role(name, PARTITIONS)
        self.out = f"{name}.out"

    async def create(self) -> "Shop":
        """Create the topics."""
        tables = [NewTopic(t.name, PARTITIONS, 1, topic_configs=t.broker_config()) for t in (*self.role.tables,)]
        plain = [NewTopic(self.role.source.name, PARTITIONS, 1), NewTopic(self.out, PARTITIONS, 1)]
        async with self._admin() as admin:
            await admin.create_topics([*plain, *tables, NewTopic(self.role.dlq.name, 1, 1)])
        return self

    def worker(self, name: str, *, static: bool = False) -> "Worker":
        """A worker with a data directory and a log of its own. Not started.

        A static member keeps its partitions when it is gone, and is back at once after a kill; another one leaves the
        group when it stops, and is missed for a session after a kill.
        """
        return Worker(self, name, static)

    async def produce(self, count: int, *, seed: int = SEED, poison: int = 0) -> None:
        """Produce records to random keys, `poison` of them poisonous."""
        rng = random.Random(seed)
        bad = set(rng.sample(range(count), poison))
        async with self._producer() as producer:
            for n in range(count):
                await self._produce_one(producer, rng, n, POISON if n in bad else b"n%d" % n)
            await producer.flush()

    @contextlib.asynccontextmanager
    async def load(
        self, *, per_second: int = 1_500, seed: int = SEED, poison_every: int = 0, once: bool = False
    ) -> AsyncIterator[None]:
        """Produce in the background for as long as the block lasts, and see that something came of it.

        With `once` every record has a key of its own: no later record mends a row that was lost.
        """
        done = asyncio.Event()

        async def run() -> int:
            rng = random.Random(seed)
            sent = 0
            async with self._producer() as producer:
                while not done.is_set():
                    for _ in range(per_second // 20):
                        sent += 1
                        poisonous = poison_every and sent % poison_every == 0
                        key = b"once-%d" % sent if once else None
                        await self._produce_one(producer, rng, sent, POISON if poisonous else b"n%d" % sent, key)
                    await producer.flush()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(done.wait(), 0.05)
            return sent

        running = asyncio.create_task(run())
        try:
            yield
        except BaseException:
            running.cancel()
            raise
        done.set()
        assert await running > 0

    async def _produce_one(
        self, producer: AIOKafkaProducer, rng: random.Random, number: int, value: bytes, key: bytes | None = None
    ) -> None:
        key = key or b"key-%03d" % rng.randrange(KEYS)
        await producer.send(self.role.source.name, value, key=key, headers=[("trace", b"%d" % number)])

    async def progress(self) -> None:
        """Wait until the workers publish something."""
        async with self._consumer() as consumer, asyncio.timeout(_CAUGHT_UP_S):
            tps = [TopicPartition(self.out, p) for p in range(PARTITIONS)]
            before = await consumer.end_offsets(tps)
            while await consumer.end_offsets(tps) == before:  # noqa: ASYNC110 - Kafka has no event to wait for
                await asyncio.sleep(0.02)

    async def caught_up(self) -> None:
        """Wait until the group has committed the end of every source partition."""
        source = self.role.source.name
        group = f"{self.name}.upwell.{self.role.name}"
        lag: Any = "unknown"
        try:
            async with asyncio.timeout(_CAUGHT_UP_S):
                while lag:
                    await asyncio.sleep(0.2)
                    with contextlib.suppress(KafkaError):
                        async with self._admin() as admin, self._consumer() as consumer:
                            ends = await consumer.end_offsets([TopicPartition(source, p) for p in range(PARTITIONS)])
                            committed = await admin.list_consumer_group_offsets(group)
                            reached = {tp: meta.offset for tp, meta in committed.items() if tp.topic == source}
                            lag = {tp: (reached.get(tp), end) for tp, end in ends.items() if end != reached.get(tp, 0)}
        except TimeoutError:
            raise AssertionError(f"not caught up within {_CAUGHT_UP_S:.0f} s; committed and end: {lag}") from None

    async def read(self, topic: str) -> list[Any]:
        """Every record of a topic, by partition and offset."""
        async with self._consumer() as consumer:
            tps = [TopicPartition(topic, p) for p in range(1 if topic == self.role.dlq.name else PARTITIONS)]
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            ends = await consumer.end_offsets(tps)
            records: list[Any] = []
            for tp, end in ends.items():
                while await consumer.position(tp) < end:
                    records += (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
        return records

    async def expected(self) -> dict[bytes, bytes]:
        """The rows that the source topic leads to, by the oracle."""
        return oracle(await self.read(self.role.source.name))

    async def assert_exact(self, *workers: "Worker") -> None:
        """Every row, in the changelog and in the stores of stopped workers, is the oracle's; every output was sent."""
        expected = await self.expected()
        assert expected
        changelog = await self.read(self.role.tables[0].name)
        rows, _ = newest(changelog, lambda keys: [None] * len(keys))
        assert rows == expected
        for worker in workers:
            for key, row in worker.stored():
                assert row == expected[key], f"the store of {worker.name} has another row for {key!r}"
        sent = {(record.key, record.value) for record in await self.read(self.out)}
        partition = {record.key: record.partition for record in changelog}
        final = {(key, f"{partition[key]}/{source_offset(row)}".encode()) for key, row in expected.items()}
        assert final <= sent

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    @contextlib.asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        # Idempotent: a broker that dies must not double records.
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, enable_idempotence=True)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @contextlib.asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


class Worker:
    """A worker process."""

    def __init__(self, shop: Shop, name: str, static: bool) -> None:
        self.name = name
        self._instance_id = name if static else ""
        self.data = shop.directory / name
        self._shop = shop
        self._log = shop.directory / f"{name}.log"
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Worker":
        """Start it. Returns itself."""
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        arguments = [self._shop.bootstrap, self._shop.name, str(PARTITIONS), str(self.data), self._instance_id]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.counting_worker", *arguments], stdout=log, stderr=log
            )
        return self

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        process = self._running()
        process.kill()
        process.wait()

    def ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running().send_signal(number)

    async def stop(self) -> None:
        """SIGTERM, and it must end in good order. One that is only starting is given the time to."""
        process = self._running()
        async with asyncio.timeout(_CAUGHT_UP_S):
            while SERVING.encode() not in self._log.read_bytes()[self._log_start :]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        process.terminate()
        code = await asyncio.to_thread(process.wait, 40)
        assert code == 0, f"{self.name} ended with {code}:\n{self._log.read_text()[-3000:]}"

    def discard(self) -> None:
        """Leave no process behind, whatever the test did."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def lose_disk(self) -> None:
        """Delete its data directory."""
        shutil.rmtree(self.data, ignore_errors=True)

    def stored(self) -> list[tuple[bytes, bytes]]:
        """All rows in its local stores."""
        rows: list[tuple[bytes, bytes]] = []
        for path in sorted(self.data.glob("tables/*/counts-?")):
            store = RocksPartition(path, _CACHE_MB)
            rows += store.items()
            store.close()
        return rows

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} is not running:\n{self._log.read_text()[-3000:]}"
        return self._process
