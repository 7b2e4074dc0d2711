"""The committer, the row rule and a handler in a world that crashes at any step, loses its disk and meets zombies.

    produce ─► log ─► handle (may crash between any two steps) ─► changelog, store ─► commit offsets
                              restart: store + changelog from its offset, log from the committed offset

Whatever happened, in the end the store, and a new store recovered from the changelog alone, hold what the log says.
Each protection has a control: the same machine without it must find a history that ends wrong.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from streams.engine.commit import Committer
from streams.engine.effects import Batch, Effects, Output, Reader, Record, Row
from streams.engine.publisher import TopicPartition
from streams.engine.rows import newest
from streams.engine.stats import Stats
from streams.engine.store import MemoryPartition
from tests.faults.counting import CountingHandler, oracle

CHANGELOG = "shop.counts"
Stored = dict[bytes, bytes | None]


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Logged:
    """A record of a topic."""

    offset: int
    key: bytes | None
    value: bytes | None
    topic: str = "shop.in"
    partition: int = 0
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class World:
    """One partition: what Kafka holds, what the disk holds, and after how many steps the process dies."""

    log: list[Record] = field(default_factory=list)
    changelog: list[Record] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    store: MemoryPartition = field(default_factory=MemoryPartition)
    steps_left: int | None = None

    def step(self) -> None:
        """Something durable is about to happen, unless the process dies first."""
        if self.steps_left is not None:
            if self.steps_left == 0:
                raise Crash
            self.steps_left -= 1

    async def publish(self, records: Sequence[Output]) -> dict[TopicPartition, int]:
        self.step()
        for record in records:
            if record.topic == CHANGELOG:
                self.append(record)
            else:
                self.outputs.append(record)
        return {(CHANGELOG, 0): len(self.changelog) - 1}

    def append(self, record: Output) -> None:
        self.changelog.append(Logged(len(self.changelog), record.key, record.value, headers=record.headers))


class WorldTable:
    """The table of that partition."""

    changelog = CHANGELOG

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        return self._world.store.get(keys)

    def write(self, partition: int, rows: Sequence[Row], changelog_offset: int) -> None:
        self._world.step()
        self._world.store.write(rows, changelog_offset)


class EffectivelyOnce(RuleBasedStateMachine):
    """The protections as they are; the controls below take one away each."""

    committer_type: ClassVar[type[Committer]] = Committer
    puts_duplicates_again: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.position = 0
        self.committed = 0
        self.frozen: list[Output] = []

    @rule(keys=st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=4))
    def produce(self, keys: list[bytes]) -> None:
        for key in keys:
            self.world.log.append(Logged(len(self.world.log), key, b"x"))

    @precondition(lambda self: self.position < len(self.world.log))
    @rule(count=st.integers(1, 4), steps=st.none() | st.integers(0, 3))
    def handle(self, count: int, steps: int | None) -> None:
        self.world.steps_left = steps
        try:
            self._commit(count)
        except Crash:
            self.restart()
        finally:
            self.world.steps_left = None

    @rule()
    def commit_offsets(self) -> None:
        self.committed = self.position

    @rule()
    def restart(self) -> None:
        self.position = self.committed
        self._recover(self.world.store)

    @rule()
    def lose_disk(self) -> None:
        self.world.store = MemoryPartition()
        self.restart()

    @precondition(lambda self: not self.frozen and self.position < len(self.world.log))
    @rule(count=st.integers(1, 4))
    def freeze(self, count: int) -> None:
        """A worker has its rows on the wire when its partition goes to another one."""
        batch = self._batch(count)
        effects = asyncio.run(self._handler(batch, lambda _, keys: self.world.store.get(keys)))
        self.frozen = [Output(CHANGELOG, key, value) for key, value in effects.rows["counts"]]
        self.restart()

    @rule()
    def thaw(self) -> None:
        for record in self.frozen:
            self.world.append(record)
        self.frozen = []

    def teardown(self) -> None:
        while self.position < len(self.world.log):
            self._commit(4)
        self.commit_offsets()
        self.thaw()
        expected = oracle(self.world.log)
        assert dict(self.world.store.items()) == expected
        self.lose_disk()
        assert dict(self.world.store.items()) == expected

    def newest(self, records: Sequence[Record], store: MemoryPartition) -> Stored:
        return newest(records, store.get)[0]

    def _recover(self, store: MemoryPartition) -> None:
        reached = store.changelog_offset()
        fresh = [record for record in self.world.changelog if reached is None or record.offset > reached]
        if fresh:
            store.write(self.newest(fresh, store).items(), fresh[-1].offset)

    def _batch(self, count: int) -> Batch:
        return Batch("shop.in", 0, self.world.log[self.position : self.position + count])

    def _commit(self, count: int) -> None:
        batch = self._batch(count)
        table = WorldTable(self.world)
        committer = self.committer_type(
            self._handler, {"counts": table}, "shop.dlq", self.world.publish, Stats("counting")
        )
        assert asyncio.run(committer.commit(batch, lambda: True))
        self.position = batch.records[-1].offset + 1

    async def _handler(self, batch: Batch, read: Reader) -> Effects:
        effects = await CountingHandler("shop.out")(batch, read)
        if not self.puts_duplicates_again:
            keys = [key for key, _ in effects.rows["counts"]]
            before = dict(zip(keys, read("counts", keys), strict=True))
            effects.rows["counts"] = [(key, row) for key, row in effects.rows["counts"] if row != before[key]]
        return effects


class StoreFirst(Committer):
    """Writes the local store before the changelog has the rows."""

    async def _log(self, changelog, batch, rows, current):  # type: ignore[no-untyped-def]
        world = self._tables["counts"]._world  # type: ignore[attr-defined]
        world.step()
        reached = world.store.changelog_offset()
        world.store.write(rows, -1 if reached is None else reached)
        return await super()._log(changelog, batch, rows, current)


class StoreFirstWithoutRePut(EffectivelyOnce):
    """A local store ahead of its changelog, and a duplicate that leaves it so."""

    committer_type = StoreFirst
    puts_duplicates_again = False


class LastWriteWins(EffectivelyOnce):
    """Recovery as Kafka compacts: the later row wins, whoever wrote it."""

    def newest(self, records: Sequence[Record], store: MemoryPartition) -> Stored:
        return {record.key: record.value for record in records if record.key is not None}


class CommitsFirst(EffectivelyOnce):
    """Offsets that are committed before the batch is done."""

    def _commit(self, count: int) -> None:
        self.committed = min(self.position + count, len(self.world.log))
        super()._commit(count)


SETTINGS = settings(max_examples=200, stateful_step_count=30, deadline=None, derandomize=True, database=None)


def test_state_is_what_the_log_says() -> None:
    run_state_machine_as_test(EffectivelyOnce, settings=SETTINGS)


@pytest.mark.parametrize("without", [StoreFirstWithoutRePut, LastWriteWins, CommitsFirst])
def test_without_the_protection_a_history_ends_wrong(without: type[EffectivelyOnce]) -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(without, settings=settings(SETTINGS, phases=[Phase.generate], max_examples=1000))
