"""Batches of one partition one after the other, partitions beside each other.

    Faust's stream ─► lane of partition 0: batch ─► batch
                  └─► lane of partition 1: batch ─► batch ─► batch

While a batch waits for Kafka, the event loop serves the other partitions. What comes for a partition meanwhile waits in
its lane, and what is of one topic is one batch when its turn comes: a role that is behind works in larger batches.

Never are two batches of one partition under way, whatever their epochs: rows are read, changed and written by one.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any

from streams.engine.consumer import Delivery
from streams.engine.effects import Batch

_MOST_WAITING = 8
"""Deliveries in a lane. Each is a part of one fetch, which has at most 1 MiB of a partition."""


class Lanes:
    """Commits deliveries and acknowledges them.

    Args:
        commit: commits a delivery; whether it may be acknowledged.
        max_records: a batch is made of several deliveries while it has no more than that.
    """

    def __init__(self, commit: Callable[[Delivery], Awaitable[bool]], max_records: int) -> None:
        self._commit = commit
        self._max_records = max_records
        self._lanes: dict[int, deque[Any]] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, events: AsyncIterable[Any]) -> None:
        """Take Faust's events, whose values are deliveries, until they end.

        Raises:
            Exception: what a commit raised. The others that were under way are cancelled.
        """
        try:
            async with asyncio.TaskGroup() as group:
                async for event in events:
                    self._add(event, group)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def has_room(self, partition: int) -> bool:
        """Whether more of a partition may be fetched."""
        lane = self._lanes.get(partition)
        return lane is None or (len(lane) < _MOST_WAITING and sum(map(_size, lane)) < self._max_records)

    async def idle(self) -> None:
        """Wait until nothing is under way or waits."""
        await self._idle.wait()

    def _add(self, event: Any, group: asyncio.TaskGroup) -> None:
        partition = event.value.batch.partition
        lane = self._lanes.get(partition)
        if lane is None:
            lane = self._lanes[partition] = deque()
            self._idle.clear()
            group.create_task(self._serve(partition, lane))
        lane.append(event)

    async def _serve(self, partition: int, lane: deque[Any]) -> None:
        try:
            while lane:
                events = self._next(lane)
                if await self._commit(_joined([event.value for event in events])):
                    for event in events:
                        event.ack()
        finally:
            del self._lanes[partition]
            if not self._lanes:
                self._idle.set()

    def _next(self, lane: deque[Any]) -> list[Any]:
        """The events of the next batch: of one topic and epoch, and no more records than a batch has."""
        events = [lane.popleft()]
        records = _size(events[0])
        while lane and _kind(lane[0]) == _kind(events[0]):
            records += _size(lane[0])
            if records > self._max_records:
                break
            events.append(lane.popleft())
        return events


def _size(event: Any) -> int:
    return len(event.value.batch.records)


def _kind(event: Any) -> tuple[str, int]:
    return event.value.batch.topic, event.value.epoch


def _joined(deliveries: list[Delivery]) -> Delivery:
    """Deliveries of one partition, topic and epoch as one."""
    first = deliveries[0]
    if len(deliveries) == 1:
        return first
    records = [record for delivery in deliveries for record in delivery.batch.records]
    return Delivery(Batch(first.batch.topic, first.batch.partition, records), first.epoch)
