"""Runs a handler on a batch and makes its effects true, in the one order that survives a crash at any point.

    rejections on the DLQ → deltas → rows on the changelogs → rows in the local stores → outputs
    (each acknowledged before the next starts; several tables in the order in which the handler named them)

Whoever calls `Committer.commit` may acknowledge the batch when it returns True, and must not when it returns False.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from streams.engine.deadletters import dead_letter, without_content
from streams.engine.effects import Batch, Effects, Handler, Output, Rejection, RejectReason, Row
from streams.engine.publisher import PublishError, TooLargeError, TopicPartition
from streams.engine.rows import tombstone_headers
from streams.engine.stats import Stats
from streams.engine.store import StoreCorruptError, StoreError

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0

T = TypeVar("T")


class SupersededError(Exception):
    """The batch's epoch is over; its records come again, here or elsewhere."""


class Table(Protocol):
    """What the committer needs of a table."""

    @property
    def changelog(self) -> str:
        """The name of its changelog topic."""
        ...

    def get(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """Rows of a partition. Raises StoreError."""
        ...

    def write(self, partition: int, rows: Sequence[Row], changelog_offset: int) -> None:
        """Write rows that the changelog has. Raises StoreError."""
        ...


class Publish(Protocol):
    """`streams.engine.publisher.Publisher.publish`."""

    def __call__(self, records: Sequence[Output], /) -> Awaitable[dict[TopicPartition, int]]: ...


class Committer:
    """Commits batches, one at a time.

    Args:
        handler: the agent's logic.
        tables: by the names that the handler uses.
        dlq: name of the dead-letter topic.
        publish: writes records to Kafka and waits for their acknowledgement.
        stats: told what happened.
        pause: sleeps so many seconds between two tries.
    """

    def __init__(
        self,
        handler: Handler,
        tables: Mapping[str, Table],
        dlq: str,
        publish: Publish,
        stats: Stats,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._handler = handler
        self._tables = tables
        self._dlq = dlq
        self._publish = publish
        self._stats = stats
        self._pause = pause

    async def commit(self, batch: Batch, current: Callable[[], bool]) -> bool:
        """Handle a batch.

        Args:
            batch: what to handle.
            current: whether the batch's epoch still lasts.

        Returns:
            True if all of it is done and may be acknowledged; False if its epoch ended on the way.
        """
        started = time.monotonic()
        try:
            await self._handle(batch, current)
        except SupersededError:
            self._stats.abandoned += 1
            return False
        finally:
            # An epoch that is over takes its trouble with it.
            self._stats.trouble = None
            self._stats.busy_seconds += time.monotonic() - started
        self._stats.batches += 1
        self._stats.records += len(batch.records)
        self._stats.last_progress = time.monotonic()
        return True

    async def _handle(self, batch: Batch, current: Callable[[], bool]) -> None:
        """Handle a batch; if that fails, its halves one after the other, down to the record that is at fault."""
        try:
            effects = await self._insist(lambda: self._effects(batch), current)
            await self._make_true(batch, effects, current)
        except _HandlerError as failure:
            if len(batch.records) == 1:
                await self._bury(batch, failure, current)
                return
            for half in _halves(batch):
                await self._handle(half, current)

    async def _effects(self, batch: Batch) -> Effects:
        def read(table: str, keys: Sequence[bytes]) -> list[bytes | None]:
            return self._tables[table].get(batch.partition, keys)

        try:
            effects = await self._handler(batch, read)
        except (SupersededError, StoreError):
            raise
        except Exception as error:
            raise _HandlerError(error) from error
        if unknown := effects.rows.keys() - self._tables.keys():
            raise _HandlerError(LookupError(f"the handler wrote to tables nobody gave it: {sorted(unknown)}"))
        return effects

    async def _make_true(self, batch: Batch, effects: Effects, current: Callable[[], bool]) -> None:
        await self._reject(effects.rejections, current)
        if effects.deltas:
            await self._send(effects.deltas, current)
        reached = {}
        for name, rows in effects.rows.items():
            if rows:
                reached[name] = await self._log(self._tables[name].changelog, batch, rows, current)
        for name, offset in reached.items():
            await self._insist(partial(self._store, name, batch.partition, effects.rows[name], offset), current)
        if effects.outputs:
            await self._send(effects.outputs, current)
            self._stats.outputs += len(effects.outputs)

    async def _log(self, changelog: str, batch: Batch, rows: Sequence[Row], current: Callable[[], bool]) -> int:
        """Rows to their changelog. Returns the changelog offset of the last one."""
        gone = tombstone_headers(batch.records[-1].offset)
        records = [Output(changelog, key, value, batch.partition, gone if value is None else ()) for key, value in rows]
        offsets = await self._send(records, current)
        return offsets[changelog, batch.partition]

    async def _store(self, table: str, partition: int, rows: Sequence[Row], changelog_offset: int) -> None:
        self._tables[table].write(partition, rows, changelog_offset)
        self._stats.rows += len(rows)

    async def _reject(self, rejections: Sequence[Rejection], current: Callable[[], bool]) -> None:
        if not rejections:
            return
        letters = [dead_letter(self._dlq, rejection) for rejection in rejections]
        try:
            await self._send(letters, current)
        except _HandlerError:
            # A record that just fits its own topic may not fit this one, with the reasons added.
            for letter in letters:
                try:
                    await self._send([letter], current)
                except _HandlerError:
                    await self._send([without_content(letter)], current)
        self._stats.rejected.update(rejection.reason for rejection in rejections)

    async def _bury(self, batch: Batch, failure: "_HandlerError", current: Callable[[], bool]) -> None:
        (record,) = batch.records
        error = failure.error
        log.error(
            "the handler failed on a record, now a dead letter: topic=%s partition=%d offset=%d error=%s",
            record.topic, record.partition, record.offset, type(error).__name__,
        )  # fmt: skip
        detail = f"{type(error).__name__}: {error}"
        await self._reject([Rejection(record, RejectReason.HANDLER_ERROR, detail)], current)

    async def _send(self, records: Sequence[Output], current: Callable[[], bool]) -> dict[TopicPartition, int]:
        try:
            return await self._insist(lambda: self._publish(records), current)
        except (TooLargeError, TypeError) as error:
            # Nothing that a broker or a second try could change: the handler made it so.
            raise _HandlerError(error) from error

    async def _insist(self, step: Callable[[], Awaitable[T]], current: Callable[[], bool]) -> T:
        """Do a step until the broker and the disk let it be done, or the epoch is over."""
        for pause in _pauses():
            if not current():
                raise SupersededError
            try:
                done = await step()
            except StoreCorruptError:
                raise  # no patience mends it: the worker ends, and its next start rebuilds the store
            except (PublishError, StoreError) as error:
                self._stats.trouble = str(error)
                self._stats.retries += 1
                log.warning("trying again in %.1f s: %s", pause, error)
                await self._pause(pause)
            else:
                self._stats.trouble = None
                return done
        raise AssertionError("unreachable")


class _HandlerError(Exception):
    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__)
        self.error = error


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = len(batch.records) // 2
    return (
        Batch(batch.topic, batch.partition, batch.records[:middle]),
        Batch(batch.topic, batch.partition, batch.records[middle:]),
    )


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE_S)
