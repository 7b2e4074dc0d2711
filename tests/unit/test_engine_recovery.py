"""Bulk recovery beside Faust's: what is applied, how holes are passed, and when the end is told."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.engine.effects import Output
from streams.engine.publisher import PublishError, TopicPartition
from streams.engine.recovery import BulkRecovery
from streams.engine.rows import header, newest, outdated, tombstone_headers
from streams.engine.stats import Stats
from streams.engine.table import Recovered
from streams.errors import ContractError
from tests.unit.records import FakeRecord

CHANGELOG = TP("shop.counts", 2)


class FakeTable:
    """A table over a store in memory."""

    name = "counts"

    def __init__(self) -> None:
        self.applied: list[int] = []
        self.rows: dict[bytes, bytes | None] = {}

    def get(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        assert partition == CHANGELOG.partition
        return [self.rows.get(key) for key in keys]

    def recover(self, partition: int, records: list[FakeRecord]) -> Recovered:
        self.applied += [record.offset for record in records]
        rows, ignored = newest(records, lambda keys: self.get(partition, keys))
        self.rows |= rows
        wrong = outdated(records, rows)
        return Recovered(ignored, wrong, rows.keys() - wrong.keys())


class Bench:
    """A recovery that has read to `reached` and needs to read to `end`."""

    def __init__(self, reached: int | None, end: int) -> None:
        self.table = FakeTable()
        self.ended = asyncio.Event()
        self.faust: Any = SimpleNamespace(
            active_tps={CHANGELOG},
            active_offsets=Counter({CHANGELOG: reached}),
            active_highwaters=Counter({CHANGELOG: end}),
            in_recovery=True,
            signal_recovery_end=self.ended,
            need_recovery=lambda: self.faust.active_offsets[CHANGELOG] < end,
            _active_events_received_at={},
            _last_flush_at=None,
        )
        tables = SimpleNamespace(
            recovery=self.faust, changelog_topics={CHANGELOG.topic}, _changelogs={CHANGELOG.topic: self.table}
        )
        self.stats = Stats("test")
        self.published: list[Output] = []
        self.troubles: list[Exception] = []
        self.recovery = BulkRecovery(tables, self.stats, self.publish)

    async def publish(self, records: Sequence[Output], /) -> dict[TopicPartition, int]:
        if self.troubles:
            raise self.troubles.pop()
        self.published += records
        return {}


def rows(*offsets: int) -> list[FakeRecord]:
    return [FakeRecord(b"k", header(1, offset), offset) for offset in offsets]


def test_changelogs_are_known_by_topic() -> None:
    recovery = Bench(None, 0).recovery
    assert recovery.is_changelog(CHANGELOG)
    assert not recovery.is_changelog(TP("shop.events", 2))


@pytest.mark.parametrize(("reached", "applied"), [(None, [3, 4, 7]), (-1, [3, 4, 7]), (4, [7]), (7, [])])
def test_only_what_is_not_there_yet_is_applied(reached: int | None, applied: list[int]) -> None:
    bench = Bench(reached, 7)
    bench.recovery.apply(CHANGELOG, rows(3, 4, 7))
    assert bench.table.applied == applied
    assert bench.faust.active_offsets[CHANGELOG] == 7
    assert bench.stats.recovered == len(applied)


def test_a_partition_that_went_elsewhere_is_left_alone() -> None:
    bench = Bench(None, 7)
    bench.faust.active_tps = set()
    bench.recovery.apply(CHANGELOG, rows(3))
    assert bench.table.applied == []


@pytest.mark.parametrize(("position", "reached"), [(8, 7), (7, 4), (5, 4)])
async def test_a_log_that_ends_in_a_hole_is_read_when_the_position_is_past_it(position: int, reached: int) -> None:
    async def at(_: TP) -> int:
        return position

    bench = Bench(4, 7)
    await bench.recovery.skip_to_end(SimpleNamespace(position=at))
    assert bench.faust.active_offsets[CHANGELOG] == reached


async def test_the_end_is_a_pulse_that_wakes_who_waits_now() -> None:
    bench = Bench(7, 7)
    waiting = asyncio.create_task(bench.ended.wait())
    await asyncio.sleep(0)
    await bench.recovery.finish()
    await asyncio.wait_for(waiting, 1)
    assert not bench.ended.is_set()


async def test_the_end_is_not_told_early() -> None:
    bench = Bench(6, 7)
    waiting = asyncio.create_task(bench.ended.wait())
    await asyncio.sleep(0)
    await bench.recovery.finish()
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_row_that_an_older_one_stands_behind_is_written_again() -> None:
    bench = Bench(None, 6)
    late = [FakeRecord(b"a", header(1, 5), 4), FakeRecord(b"b", header(1, 5), 5), FakeRecord(b"gone", header(1, 5), 6)]
    gone = FakeRecord(b"gone", None, 3, headers=tombstone_headers(20))
    bench.recovery.apply(CHANGELOG, [FakeRecord(bytes([key]), header(1, 20), n) for n, key in enumerate(b"abc")])
    bench.recovery.apply(CHANGELOG, [gone, *late])
    await bench.recovery.finish()
    assert bench.published == [
        Output(CHANGELOG.topic, b"gone", None, 2, tombstone_headers(5)),
        Output(CHANGELOG.topic, b"a", header(1, 20), 2),
        Output(CHANGELOG.topic, b"b", header(1, 20), 2),
    ]
    assert bench.stats.ignored_old_rows == 3
    await bench.recovery.finish()
    assert len(bench.published) == 3


async def test_nothing_is_written_for_a_key_that_was_put_right_already() -> None:
    """Written again, the row would be the older one that stands behind."""
    bench = Bench(None, 3)
    bench.recovery.apply(CHANGELOG, [FakeRecord(b"a", header(1, 20), 0), FakeRecord(b"a", header(1, 5), 1)])
    bench.recovery.apply(CHANGELOG, [FakeRecord(b"a", header(1, 21), 2)])
    bench.recovery.apply(CHANGELOG, rows(3))
    await bench.recovery.finish()
    assert bench.published == []


async def test_while_rows_cannot_be_written_recovery_goes_on() -> None:
    bench = Bench(None, 1)
    bench.troubles = [PublishError("no broker")]
    bench.recovery.apply(CHANGELOG, [FakeRecord(b"a", header(1, 20), 0), FakeRecord(b"a", header(1, 5), 1)])
    waiting = asyncio.create_task(bench.ended.wait())
    await asyncio.sleep(0)
    with pytest.raises(PublishError):
        await bench.recovery.finish()
    await asyncio.sleep(0)
    assert not waiting.done()
    await bench.recovery.finish()
    await asyncio.wait_for(waiting, 1)
    assert [record.key for record in bench.published] == [b"a"]


@pytest.mark.parametrize(("reached", "end"), [(7, 6), (0, -1), (1, 0)])
def test_a_changelog_that_ends_before_its_store_is_told_with_what_to_do(reached: int, end: int) -> None:
    with pytest.raises(
        ContractError, match=rf"counts holds shop.counts .* offset {reached}, .* ends at {end}: .*reset"
    ):
        Bench(reached, end).recovery.insist_on_changelogs()


@pytest.mark.parametrize(("reached", "end"), [(6, 6), (None, -1), (-1, -1), (5, 6)])
def test_a_changelog_that_has_it_all_is_in_order(reached: int | None, end: int) -> None:
    Bench(reached, end).recovery.insist_on_changelogs()
