"""Faust's consumer with another fetch loop: one event per partition and fetch, raw records inside.

What is different from faust-streaming 0.15.3, and why:

- It seeks while nothing is fetched. Faust resumes partitions, then seeks, with a fetch under way; what that fetch
  returns is dropped for its old position after the new one was passed: lost. Here `_fetching` keeps them apart.
- A partition that has no committed offset yet is sent back to its beginning. aiokafka's `seek_to_committed` leaves it
  where it happens to be.
- The flow is stopped whenever partitions change, also when none were held before, and stays so until after the seek.
- Everything fetched belongs to an epoch, which ends when partitions are revoked or sought. Faust clears its queues at
  those moments, but a waiting put or a running agent outlives that; what they hold is recognised as old.
- Batches of a partition are acknowledged in order, so the newest acknowledged offset is the one to commit.
- A partition whose lane is full is left out of the fetch, and asked for again with the next one. Faust's way, taking
  partitions out until a queue tells to put them back, forgets to do so across a rebalance.
- Fetches go straight to the thread's loop: Faust's method queue makes several tasks for each. That loop is of the kind
  that the app's own is.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import aiokafka
from aiokafka.protocol.commit import OffsetCommitRequest
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from faust.types.transports import ConsumerT, TransportT
from mode import Service

from streams.engine.effects import Batch
from streams.engine.publisher import PublishError
from streams.engine.recovery import BulkRecovery

log = logging.getLogger(__name__)

_FETCH_S = 0.25
_NOTHING_ASSIGNED_S = 0.05
_FULL_S = 0.01
_LAST_COMMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """The value of an event: a batch, and the epoch it was fetched in."""

    batch: Batch
    epoch: int


class MicroBatchThread(driver.AIOKafkaConsumerThread):
    """The thread that aiokafka's consumer lives in."""

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust offers no settings: 1500 ms, which is how long a partition waits for one that has nothing, and one byte.
        consumer._fetch_max_wait_ms = self.app.fetch_wait_ms
        consumer._fetch_min_bytes = self.app.fetch_min_bytes
        return consumer

    def is_member(self) -> bool:
        """Whether the group's coordinator knows this consumer, as far as is known here."""
        generation = self._ensure_consumer()._coordinator.generation
        return bool(generation != OffsetCommitRequest.DEFAULT_GENERATION_ID)

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        """What was fetched of some partitions; waits so many seconds for a first record."""
        consumer = self._ensure_consumer()
        fetching = self._fetch_records(
            consumer, active_partitions, timeout=timeout, max_records=consumer._max_poll_records
        )
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(fetching, self.thread_loop))


class MicroBatchConsumer(driver.Consumer):
    """Delivers `Delivery`s of the app's batch topics, and changelog records to the tables."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epoch = 0
        self._fetching = asyncio.Lock()
        self._positioned = False
        self._recovery = BulkRecovery(self.app.tables, self.app.stats, self.app.publisher.publish)

    def _new_consumer_thread(self) -> MicroBatchThread:
        thread = MicroBatchThread(self, loop=self.loop, beacon=self.beacon, thread_loop=type(self.loop)())
        thread._close_thread_loop_on_stop = True
        return thread

    # Epochs and seeks

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit what is done, then let go."""
        self._end_epoch()
        await self.commit_what_is_done()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Nothing flows until recovery is done and has sought."""
        self._end_epoch()
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Recovery goes to where its changelogs start. Raises ContractError where they end before that."""
        self._recovery.insist_on_changelogs()
        async with self._fetching:
            await super().seek_wait(partitions)

    async def perform_seek(self) -> None:
        """Go to the committed offsets. Recovery calls this last, and lets the flow go on right after."""
        self._end_epoch()
        async with self._fetching, asyncio.timeout(self.app.conf.broker_request_timeout / 2):
            await super().perform_seek()
            sources = [tp for tp in self.assignment() if tp.topic in self.app.batch_topics]
            uncommitted = [tp for tp in sources if not self._committed_offset[tp]]
            if uncommitted:
                earliest = await self.earliest_offsets(*uncommitted)
                await self._thread.seek_wait(earliest)
                self._read_offset.update({ensure_TP(tp): offset for tp, offset in earliest.items()})
        self._positioned = True

    def _end_epoch(self) -> None:
        self.epoch += 1
        self._positioned = False
        self.stop_flow()
        # A put that waits now would come through after the queues are cleared.
        self.app.flow_control.suspend()

    # Stopping in the middle of a start or a rebalance

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group, unless the app is being stopped while it starts: Faust would join to leave at once."""
        if not self.app.should_stop:
            await super().subscribe(topics)

    def close(self) -> None:
        """Nothing: the consumer's thread stops it, in its own loop.

        Faust closes the connection here, from another loop and before the group is left, which then waits for the
        request timeout.
        """

    # Fetching

    async def _drain_messages(self, fetcher: Service) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if self.flow_active:
                    async with self._fetching:
                        await self._fetch_and_deliver()
                    await asyncio.sleep(0)
                else:
                    await self.wait(self.can_resume_flow)
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    async def _fetch_and_deliver(self) -> None:
        active = set(self._get_active_partitions())
        if not active:
            await asyncio.sleep(_NOTHING_ASSIGNED_S)
            return
        open_for_more = {tp for tp in active if tp.topic not in self.app.batch_topics or self._has_room(tp)}
        if not open_for_more:
            await asyncio.sleep(_FULL_S)
            return
        epoch = self.epoch
        fetched = await self._getmany(open_for_more, _FETCH_S if open_for_more == active else _FULL_S)
        if epoch != self.epoch:
            return  # the seek that follows goes back to before these
        for aiokafka_tp, records in fetched.items():
            tp = ensure_TP(aiokafka_tp)
            if self._recovery.is_changelog(tp):
                self._recovery.apply(tp, records)
            elif not await self._deliver(tp, records, epoch):
                break
        if self.app.in_recovery:
            if not fetched:
                await self._recovery.skip_to_end(self)
            try:
                await self._recovery.finish()
            except PublishError as error:
                log.warning("trying again with the next fetch: %s", error)

    def _has_room(self, tp: TP) -> bool:
        return self.app.lanes.has_room(tp.partition)  # type: ignore[no-any-return]

    async def _deliver(self, tp: TP, records: Sequence[Any], epoch: int) -> bool:
        """Hand records over as one event. False if the flow was stopped first."""
        wanted = self._read_offset[tp] or 0
        if records and records[0].offset < wanted:
            records = [record for record in records if record.offset >= wanted]
        if not self._positioned or not records:
            return True
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        event = self._to_message(tp, records[-1])
        event.value = Delivery(Batch(tp.topic, tp.partition, records), epoch)
        if not await self._handed_over(event) or epoch != self.epoch:
            return False
        self._read_offset[tp] = records[-1].offset + 1
        return True

    async def _handed_over(self, event: ConsumerMessage) -> bool:
        handing = asyncio.ensure_future(self.callback(event))
        stopping = asyncio.ensure_future(self.suspend_flow.wait())
        try:
            await asyncio.wait((handing, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not handing.done():
                return False
            handing.result()
            return True
        finally:
            handing.cancel()
            stopping.cancel()

    def positions(self) -> dict[int, int]:
        """Source partitions that are assigned here → offset of the next record to read."""
        return {tp.partition: self._read_offset[tp] or 0 for tp in self.assignment() if tp.topic == self.app.source}

    # Acknowledging

    async def commit_what_is_done(self) -> None:
        """Commit, if the broker does not let us wait too long for it: what is not committed comes again."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.commit(), _LAST_COMMIT_S)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit to the group. If it agrees, what the tables had reached before was written by the owner."""
        epoch = self.epoch
        # A group without members takes commits from anybody who does not say that he is one.
        ours = {tp.partition for tp in offsets if tp in self.assignment()} if self._thread.is_member() else set()
        marks = [mark for table in self.app.tables.values() for mark in table.marks(ours)]
        done: bool = await super()._commit(offsets)
        if done and epoch == self.epoch:
            for mark in marks:
                mark.vouch()
        return done

    def _new_offset(self, tp: TP) -> int | None:
        acked = self._acked[tp]
        if not acked:
            return None
        newest: int = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return newest + 1

    # Back-pressure is the queue's

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: the fetch loop waits for room."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing: see `on_buffer_full`."""


class MicroBatchTransport(driver.Transport):
    """aiokafka, with the consumer above."""

    Consumer = cast(type[ConsumerT], MicroBatchConsumer)


def transport(app: Any) -> TransportT:
    """The transport of an app."""
    return MicroBatchTransport(app.conf.broker_consumer, app, loop=app.loop)
