"""What the fault tests share: topics, a seeded load, the comparison with the oracle, and controls that must fail."""

import asyncio
import contextlib
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from streams.engine.rows import newest, source_offset
from tests.faults.counting import POISON, oracle, role
from tests.faults.counting_worker import SERVING
from tests.faults.ground import Ground
from tests.faults.processes import Program, Worker
from tests.faults.without import Protection
from tests.reading import whole_topic

PARTITIONS = 4
KEYS = 400
SEED = int(os.environ.get("UPWELL_FAULT_SEED", "1"))
LONG = "UPWELL_FAULT_ROUNDS" in os.environ
"""The long version was asked for: tests that are marked `long`, more kills, and rounds, each with a seed of its own."""
ROUNDS = int(os.environ.get("UPWELL_FAULT_ROUNDS", "1"))

PAUSES_MS: list[int] = []
"""The longest pause of a partition in each test that notes it."""

_SLICES = 20
_TRIES = 6


class InexactError(AssertionError):
    """The state is not what the log says."""


class Shop(Ground):
    """The topics of the counting role for one test, and the workers on them."""

    def __init__(self, bootstrap: str, name: str, directory: Path, without: Sequence[Protection] = ()) -> None:
        super().__init__(bootstrap, name, directory, without)
        self.role = role(name, PARTITIONS)
        self.out = f"{name}.out"

    async def create(self) -> "Shop":
        """Create the topics."""
        tables = [NewTopic(t.name, PARTITIONS, 1, topic_configs=t.broker_config()) for t in (*self.role.tables,)]
        plain = [NewTopic(self.role.source.name, PARTITIONS, 1), NewTopic(self.out, PARTITIONS, 1)]
        async with self.admin() as admin:
            await admin.create_topics([*plain, *tables])
        await self.create_dead_letters()
        return self

    async def create_dead_letters(self) -> None:
        """Create the topic of dead letters."""
        async with self.admin() as admin:
            await admin.create_topics([NewTopic(self.role.dlq.name, 1, 1)])

    async def delete_dead_letters(self) -> None:
        """Delete it."""
        async with self.admin() as admin:
            await admin.delete_topics([self.role.dlq.name])

    def worker(self, name: str, *, static: bool = False) -> Worker:
        """A worker that is not started.

        A static member keeps its partitions when it is gone, and is back at once after a kill; another one leaves the
        group when it stops, and is missed for a session after a kill.
        """
        arguments = [self.bootstrap, self.name, PARTITIONS, name if static else ""]
        return self.run(name, Program("tests.faults.counting_worker", tuple(map(str, arguments)), SERVING))

    async def produce(self, count: int, *, seed: int = SEED, poison: int = 0, once: bool = False) -> None:
        """Produce records to random keys, or each key `once`, `poison` of them poisonous."""
        rng = random.Random(seed)
        bad = set(rng.sample(range(count), poison))
        async with self.producer() as producer:
            for n in range(count):
                key = b"once-%d" % n if once else _some_key(rng)
                await self._produce_one(producer, n, key, POISON if n in bad else b"n%d" % n)
            await producer.flush()

    @contextlib.asynccontextmanager
    async def load(
        self,
        seed: int,
        *,
        per_second: int = 1_500,
        backlog: int = 0,
        every: tuple[int, bytes] = (0, b""),
        once: bool = False,
        at_least: int = 1,
    ) -> AsyncIterator[None]:
        """Produce in the background for as long as the block lasts, and on until there are `at_least` so many records.

        A `backlog` is there when the block begins: batches wait for the worker that is started then. `every` so many
        records one has this value: POISON or SLOW. With `once` every record has a key of its own: no later record mends
        a row that was lost.
        """
        begun, done = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            rng = random.Random(seed)
            nth, special = every
            sent = 0
            async with self.producer() as producer:
                while sent < at_least or not done.is_set():
                    for _ in range(per_second // _SLICES if begun.is_set() else backlog):
                        sent += 1
                        key = b"once-%d" % sent if once else _some_key(rng)
                        value = special if nth and sent % nth == 0 else b"n%d" % sent
                        await self._produce_one(producer, sent, key, value)
                    await producer.flush()
                    begun.set()
                    await asyncio.sleep(1 / _SLICES)

        running = asyncio.create_task(run())
        try:
            await asyncio.wait([running, asyncio.ensure_future(begun.wait())], return_when=asyncio.FIRST_COMPLETED)
            yield
        except BaseException:
            running.cancel()
            await asyncio.wait([running])
            raise
        done.set()
        await running

    async def _produce_one(self, producer: AIOKafkaProducer, number: int, key: bytes, value: bytes) -> None:
        await producer.send(self.role.source.name, value, key=key, headers=[("trace", b"%d" % number)])

    async def progress(self) -> None:
        """Wait until the workers publish something."""
        await self.growth(self.out, PARTITIONS)

    async def caught_up(self) -> None:
        """Wait until the group has committed the end of every source partition."""
        await self.group_caught_up(self.role.name, self.role.source.name, PARTITIONS)

    async def is_caught_up(self) -> bool:
        """Whether the group has committed the end of every source partition."""
        return await self.group_is_caught_up(self.role.name, self.role.source.name, PARTITIONS)

    async def joined(self, members: int) -> None:
        """Wait until the group has so many members."""
        async with self.patience(f"the group has not {members} members"):
            while await self.members(self.role.name) != members:
                await asyncio.sleep(0.05)
                self.all_run()

    async def note_pause(self) -> None:
        """Note for how long at most a partition of the source brought nothing out, records coming all the time."""
        times: dict[int, list[int]] = defaultdict(list)
        for record in await self.read(self.out):
            times[record.partition].append(record.timestamp)
        PAUSES_MS.append(max(later - sooner for mine in times.values() for sooner, later in pairwise(mine)))

    async def read(self, topic: str) -> list[Any]:
        """Every record of a topic, by partition and offset."""
        return await whole_topic(self.bootstrap, topic, 1 if topic == self.role.dlq.name else PARTITIONS)

    async def expected(self) -> dict[bytes, bytes]:
        """The rows that the source topic leads to, by the oracle."""
        return oracle(await self.read(self.role.source.name))

    async def assert_exact(self, *workers: Worker) -> None:
        """Every row, in the changelog and in the stores of stopped workers, is the oracle's; every output was sent.

        Workers that are named must have all rows between them.

        Raises:
            InexactError: something is not.
        """
        log = await self.read(self.role.source.name)
        expected = oracle(log)
        assert expected
        changelog = await self.read(self.role.tables[0].name)
        rows, _ = newest(changelog, lambda keys: [None] * len(keys))
        _compare("the changelog", rows, expected)
        if workers:
            stored = {}
            for key, row in (row for worker in workers for row in worker.stored()):
                if key not in stored or row != expected.get(key):
                    stored[key] = row
            _compare(f"the stores of {', '.join(worker.name for worker in workers)}", stored, expected)
        sent = {(record.key, record.value) for record in await self.read(self.out)}
        partition = {record.key: record.partition for record in changelog}
        final = {(key, f"{partition[key]}/{source_offset(row)}".encode()) for key, row in expected.items()}
        if final - sent:
            raise InexactError(f"{len(final - sent)} of {len(final)} final outputs were not sent")
        self.note("records compared", len(log))


S = TypeVar("S", bound=Ground)

Scenario = Callable[[S, int], Awaitable[None]]
"""Does something to the workers of a shop, by a seed, and raises InexactError or EndedError where that went wrong."""

Shops = Callable[..., Awaitable[S]]
"""Makes a shop whose workers go `without` some protections."""


async def assert_goes_wrong(
    scenario: Scenario[S],
    shops: Shops[S],
    *without: Protection,
    how: type[AssertionError] | tuple[type[AssertionError], ...] = InexactError,
    tries: int = _TRIES,
) -> None:
    """The control of a fault test: the same scenario without protections goes wrong, with one of several seeds."""
    for seed in range(SEED, SEED + tries):
        shop = await shops(without=without)
        try:
            await scenario(shop, seed)
        except how:
            return
        finally:
            shop.discard()
    raise AssertionError(f"{tries} times all went well without {', '.join(without)}: this does not test it")


def _some_key(rng: random.Random) -> bytes:
    return b"key-%03d" % rng.randrange(KEYS)


def _compare(where: str, rows: dict[bytes, Any], expected: dict[bytes, bytes]) -> None:
    """Raises InexactError where rows differ."""
    wrong = [key for key in expected.keys() | rows.keys() if rows.get(key) != expected.get(key)]
    if wrong:
        missing = sum(key not in rows for key in wrong)
        raise InexactError(f"{len(wrong)} of {len(expected)} rows in {where} are wrong, {missing} of them missing")
