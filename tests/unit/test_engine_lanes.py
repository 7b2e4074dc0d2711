"""Lanes with plain objects: one batch of a partition at a time, partitions beside each other, what waits is joined."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from streams.engine.consumer import Delivery
from streams.engine.effects import Batch
from streams.engine.lanes import Lanes
from tests.unit.records import FakeRecord


class FakeEvent:
    """An event of Faust's."""

    def __init__(self, partition: int, *offsets: int, epoch: int = 0, topic: str = "in") -> None:
        records = [FakeRecord(b"k", b"v", offset) for offset in offsets]
        self.value = Delivery(Batch(topic, partition, records), epoch)
        self.acked = False

    def ack(self) -> None:
        self.acked = True


class Bench:
    """Lanes that are fed by hand; a commit lasts until it is let go."""

    def __init__(self, max_records: int = 10) -> None:
        self.begun: list[tuple[int, list[int]]] = []
        self.gates: dict[int, asyncio.Event] = {}
        self.acknowledges = True
        self.lanes = Lanes(self.commit, max_records)
        self.events: asyncio.Queue[FakeEvent] = asyncio.Queue()

    async def commit(self, delivery: Delivery) -> bool:
        partition = delivery.batch.partition
        self.begun.append((partition, [record.offset for record in delivery.batch.records]))
        gate = self.gates.get(partition)
        if gate is not None:
            await gate.wait()
        return self.acknowledges

    async def stream(self) -> AsyncIterator[FakeEvent]:
        while True:
            yield await self.events.get()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.lanes.run(self.stream()))
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def feed(self, *events: FakeEvent) -> None:
        for event in events:
            self.events.put_nowait(event)
        await turns()

    def hold(self, partition: int) -> Callable[[], Awaitable[None]]:
        gate = self.gates[partition] = asyncio.Event()

        async def let_go() -> None:
            gate.set()
            await turns()

        return let_go


async def turns() -> None:
    """Let everything that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_partition_that_waits_holds_up_no_other() -> None:
    bench = Bench()
    let_go = bench.hold(0)
    first, second = FakeEvent(0, 1), FakeEvent(1, 5)
    async with bench.running():
        await bench.feed(first, second)
        assert (first.acked, second.acked) == (False, True)
        await let_go()
        assert first.acked


async def test_what_waits_for_a_partition_is_one_batch_when_its_turn_comes() -> None:
    bench = Bench()
    let_go = bench.hold(0)
    events = [FakeEvent(0, 1), FakeEvent(0, 2, 3), FakeEvent(0, 4)]
    async with bench.running():
        await bench.feed(events[0])
        await bench.feed(*events[1:])
        assert bench.begun == [(0, [1])]
        await let_go()
    assert bench.begun == [(0, [1]), (0, [2, 3, 4])]
    assert all(event.acked for event in events)


async def test_a_batch_has_no_more_records_than_it_may() -> None:
    bench = Bench(max_records=3)
    let_go = bench.hold(0)
    async with bench.running():
        await bench.feed(FakeEvent(0, 1))
        await bench.feed(FakeEvent(0, 2, 3), FakeEvent(0, 4), FakeEvent(0, 5), FakeEvent(0, 6, 7, 8, 9))
        await let_go()
    assert bench.begun == [(0, [1]), (0, [2, 3, 4]), (0, [5]), (0, [6, 7, 8, 9])]


async def test_deliveries_of_two_epochs_are_never_one_batch() -> None:
    bench = Bench()
    let_go = bench.hold(0)
    async with bench.running():
        await bench.feed(FakeEvent(0, 1))
        await bench.feed(FakeEvent(0, 2), FakeEvent(0, 2, epoch=1), FakeEvent(0, 3, epoch=1))
        await let_go()
    assert bench.begun == [(0, [1]), (0, [2]), (0, [2, 3])]


async def test_what_may_not_be_acknowledged_is_not() -> None:
    bench = Bench()
    bench.acknowledges = False
    event = FakeEvent(0, 1)
    async with bench.running():
        await bench.feed(event)
    assert not event.acked


async def test_a_full_lane_says_so() -> None:
    bench = Bench(max_records=3)
    let_go = bench.hold(0)
    async with bench.running():
        await bench.feed(FakeEvent(0, 1))
        await bench.feed(FakeEvent(0, 2, 3))
        assert bench.lanes.has_room(0)
        await bench.feed(FakeEvent(0, 4))
        assert not bench.lanes.has_room(0)
        assert bench.lanes.has_room(1)
        await let_go()
        assert bench.lanes.has_room(0)


async def test_idle_means_that_nothing_is_under_way() -> None:
    bench = Bench()
    let_go = bench.hold(0)
    async with bench.running():
        await bench.lanes.idle()
        await bench.feed(FakeEvent(0, 1))
        idle = asyncio.create_task(bench.lanes.idle())
        await turns()
        assert not idle.done()
        await let_go()
        assert idle.done()


async def test_a_commit_that_fails_ends_all_lanes_with_its_error() -> None:
    bench = Bench()
    bench.hold(0)

    async def commit(delivery: Delivery) -> bool:
        if delivery.batch.partition == 1:
            raise KeyError("a defect")
        return await bench.commit(delivery)

    bench.lanes = Lanes(commit, 10)
    async with bench.running() as running:
        await bench.feed(FakeEvent(0, 1), FakeEvent(1, 1))
        with pytest.raises(KeyError, match="a defect"):
            await running
        await bench.lanes.idle()


async def test_topics_share_a_lane_and_no_batch() -> None:
    bench = Bench()
    let_go = bench.hold(0)
    async with bench.running():
        await bench.feed(FakeEvent(0, 1))
        await bench.feed(FakeEvent(0, 2), FakeEvent(0, 7, topic="also"), FakeEvent(0, 3))
        assert bench.begun == [(0, [1])]
        await let_go()
    assert bench.begun == [(0, [1]), (0, [2]), (0, [7]), (0, [3])]
