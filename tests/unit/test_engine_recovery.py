"""Bulk recovery beside Faust's: what is applied, how holes are passed, and when the end is told."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.engine.recovery import BulkRecovery
from streams.engine.rows import header
from streams.engine.stats import Stats
from tests.unit.records import FakeRecord

CHANGELOG = TP("shop.counts", 2)


class FakeTable:
    def __init__(self) -> None:
        self.applied: list[int] = []

    def recover(self, partition: int, records: list[FakeRecord]) -> int:
        assert partition == CHANGELOG.partition
        self.applied += [record.offset for record in records]
        return 0


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
        self.recovery = BulkRecovery(SimpleNamespace(tables=tables), self.stats)


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
    bench.recovery.signal_if_done()
    await asyncio.wait_for(waiting, 1)
    assert not bench.ended.is_set()


async def test_the_end_is_not_told_early() -> None:
    bench = Bench(6, 7)
    waiting = asyncio.create_task(bench.ended.wait())
    await asyncio.sleep(0)
    bench.recovery.signal_if_done()
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
