"""The committer, the row rule and a handler in a world that crashes at any step, loses its disk and meets zombies.

    produce ─► log ─► handle (may crash between any two steps) ─► changelogs, stores ─► commit offsets
                              restart: stores + changelogs from their offsets, log from the committed offset

Whatever happened, in the end the stores, and new stores recovered from the changelogs alone, hold what the log says.
Each protection has a control: the same machine without it must find a history that ends wrong.
"""

import asyncio
import dataclasses
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from streams.engine.commit import Committer
from streams.engine.effects import Batch, Effects, Output, Reader, Record, Row
from streams.engine.publisher import TopicPartition
from streams.engine.rows import HEADER_SIZE, header, newest, source_offset
from streams.engine.stats import Stats
from streams.engine.store import MemoryPartition
from tests.faults.counting import CountingHandler, oracle

OUT = "shop.out"
TABLES = ("total", "counts")
"""In the order in which their changelogs are acknowledged: `counts` tells what is a duplicate."""
_TOTAL = struct.Struct("<Q")
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


class WorldTable:
    """The partition of a table: what its changelog holds, and what the disk does."""

    def __init__(self, name: str, step: Callable[[], None]) -> None:
        self.changelog = f"shop.{name}"
        self.log: list[Record] = []
        self.store = MemoryPartition()
        self._step = step

    def get(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        return self.store.get(keys)

    def write(self, partition: int, rows: Sequence[Row], changelog_offset: int) -> None:
        self._step()
        self.store.write(rows, changelog_offset)

    def append(self, key: bytes | None, value: bytes | None) -> None:
        self.log.append(Logged(len(self.log), key, value))


class World:
    """One partition of everything, and after how many steps the process dies."""

    def __init__(self) -> None:
        self.log: list[Record] = []
        self.tables = {name: WorldTable(name, self.step) for name in TABLES}
        self.outputs: list[Output] = []
        self.steps_left: int | None = None
        self.backwards = False

    def step(self) -> None:
        """Something durable is about to happen, unless the process dies first."""
        if self.steps_left is not None:
            if self.steps_left == 0:
                raise Crash
            self.steps_left -= 1

    async def publish(self, records: Sequence[Output]) -> dict[TopicPartition, int]:
        """Topic by topic: a process that dies has sent to some of them, whichever these are."""
        by_topic: dict[str, list[Output]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        for topic, group in sorted(by_topic.items(), reverse=self.backwards):
            self.step()
            self.append(topic, group)
        return {(table.changelog, 0): len(table.log) - 1 for table in self.tables.values()}

    def append(self, topic: str, records: Sequence[Output]) -> None:
        table = {table.changelog: table for table in self.tables.values()}.get(topic)
        for record in records:
            if table is None:
                self.outputs.append(record)
            else:
                table.append(record.key, record.value)


async def count_and_add_up(batch: Batch, read: Reader) -> Effects:
    """Counts by key; and, in a table whose rows are out earlier, the records of all keys."""
    (row,) = read("total", [b"all"])
    total, reached = (0, -1) if row is None else (_TOTAL.unpack_from(row, HEADER_SIZE)[0], source_offset(row))
    keys = list({record.key for record in batch.records if record.key})
    held = {key: -1 if row is None else source_offset(row) for key, row in zip(keys, read("counts", keys), strict=True)}
    fresh = [record.offset for record in batch.records if record.key and record.offset > held[record.key]]
    total += sum(offset > reached for offset in fresh)
    row = header(1, max([reached, *fresh])) + _TOTAL.pack(total)
    counted = await CountingHandler(OUT)(batch, read)
    return Effects(rows={"total": [(b"all", row)], **counted.rows}, outputs=counted.outputs)


class EffectivelyOnce(RuleBasedStateMachine):
    """The protections as they are; the controls below take one away each."""

    committer_type: ClassVar[type[Committer]] = Committer
    order: ClassVar[Sequence[str]] = TABLES
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
    @rule(count=st.integers(1, 4), steps=st.none() | st.integers(0, 4), backwards=st.booleans())
    def handle(self, count: int, steps: int | None, backwards: bool) -> None:
        self.world.steps_left, self.world.backwards = steps, backwards
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
        for table in self.world.tables.values():
            self._recover(table)

    @rule()
    def lose_disk(self) -> None:
        for table in self.world.tables.values():
            table.store = MemoryPartition()
        self.restart()

    @precondition(lambda self: not self.frozen and self.position < len(self.world.log))
    @rule(count=st.integers(1, 4))
    def freeze(self, count: int) -> None:
        """A worker has its rows on the wire when its partition goes to another one."""
        batch = self._batch(count)
        effects = asyncio.run(self._handler(batch, lambda table, keys: self.world.tables[table].get(0, keys)))
        self.frozen = [
            Output(self.world.tables[name].changelog, key, value)
            for name, rows in effects.rows.items()
            for key, value in rows
        ]
        self.restart()

    @rule()
    def thaw(self) -> None:
        for record in self.frozen:
            self.world.append(record.topic, [record])
        self.frozen = []

    def teardown(self) -> None:
        while self.position < len(self.world.log):
            self._commit(4)
        self.commit_offsets()
        self.thaw()
        self.assert_exact()
        self.lose_disk()
        self.assert_exact()

    def assert_exact(self) -> None:
        expected = oracle(self.world.log)
        assert dict(self.world.tables["counts"].store.items()) == expected
        total = dict(self.world.tables["total"].store.items()).get(b"all", header(1, -1) + bytes(_TOTAL.size))
        assert _TOTAL.unpack_from(total, HEADER_SIZE) == (len(self.world.log),)
        told = {(output.key, output.value) for output in self.world.outputs}
        assert told >= {(key, b"0/%d" % source_offset(row)) for key, row in expected.items()}

    def newest(self, records: Sequence[Record], store: MemoryPartition) -> Stored:
        return newest(records, store.get)[0]

    def _recover(self, table: WorldTable) -> None:
        reached = table.store.changelog_offset()
        fresh = [record for record in table.log if reached is None or record.offset > reached]
        if fresh:
            table.store.write(self.newest(fresh, table.store).items(), fresh[-1].offset)

    def _batch(self, count: int) -> Batch:
        return Batch("shop.in", 0, self.world.log[self.position : self.position + count])

    def _commit(self, count: int) -> None:
        batch = self._batch(count)
        committer = self.committer_type(
            self._handler, self.world.tables, "shop.dlq", self.world.publish, Stats("counting")
        )
        assert asyncio.run(committer.commit(batch, lambda: True))
        self.position = batch.records[-1].offset + 1

    async def _handler(self, batch: Batch, read: Reader) -> Effects:
        effects = await count_and_add_up(batch, read)
        effects = dataclasses.replace(effects, rows={name: effects.rows[name] for name in self.order})
        if not self.puts_duplicates_again:
            keys = [key for key, _ in effects.rows["counts"]]
            before = dict(zip(keys, read("counts", keys), strict=True))
            effects.rows["counts"] = [(key, row) for key, row in effects.rows["counts"] if row != before[key]]
        return effects


class StoreFirst(Committer):
    """Writes the local store before the changelog has the rows."""

    async def _log(self, batch, tables, others, current):  # type: ignore[no-untyped-def]
        for name, rows in tables.items():
            table = self._tables[name]
            reached = table.store.changelog_offset()  # type: ignore[attr-defined]
            table.write(0, rows, -1 if reached is None else reached)
        return await super()._log(batch, tables, others, current)


class StoreFirstWithoutRePut(EffectivelyOnce):
    """A local store ahead of its changelog, and a duplicate that leaves it so."""

    committer_type = StoreFirst
    puts_duplicates_again = False


class LastWriteWins(EffectivelyOnce):
    """Recovery as Kafka compacts: the later row wins, whoever wrote it."""

    def newest(self, records: Sequence[Record], store: MemoryPartition) -> Stored:
        return {record.key: record.value for record in records if record.key is not None}


class DuplicatesToldFirst(EffectivelyOnce):
    """The table that tells duplicates goes out before the one that relies on it."""

    order = TABLES[::-1]


class CommitsFirst(EffectivelyOnce):
    """Offsets that are committed before the batch is done."""

    def _commit(self, count: int) -> None:
        self.committed = min(self.position + count, len(self.world.log))
        super()._commit(count)


SETTINGS = settings(max_examples=200, stateful_step_count=30, deadline=None, derandomize=True, database=None)


def test_state_is_what_the_log_says() -> None:
    run_state_machine_as_test(EffectivelyOnce, settings=SETTINGS)


@pytest.mark.parametrize("without", [StoreFirstWithoutRePut, LastWriteWins, DuplicatesToldFirst, CommitsFirst])
def test_without_the_protection_a_history_ends_wrong(without: type[EffectivelyOnce]) -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(without, settings=settings(SETTINGS, phases=[Phase.generate], max_examples=1000))
