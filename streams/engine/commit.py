"""Runs a handler on a batch and makes its effects true, in the one order that survives a crash at any point.

    rejections on the DLQ
      → outputs, deltas, and rows of all tables but the last, on their topics
      → rows of the last table on its changelog
      → rows in the local stores

Each arrow is an acknowledgement that was waited for; what stands together goes out together, in any order. Outputs that
have no company go with the last table's rows. Whoever calls `Committer.commit` may acknowledge the batch when it
returns True, and must not when it returns False.

Why this is enough, for a process that may die anywhere and a batch that is then handled once more:

- The last table is the one by whose rows a handler tells what is a duplicate. While its row is not on the changelog,
  all of the batch is made again, from the rows as they were; when it is, everything before it is out already. Tables
  that come earlier skip what they hold by the offsets in their own rows, deltas are skipped by their origin.
- A changelog is acknowledged before its store is written, so a store never has what a lost disk would take along. What
  a changelog has and the store has not is recovered, or made again as the same row.
- An output may be read before its row is on the changelog. Its id is a function of the row's offset, so what is made
  again has the same id; but a batch that is handled once more may be cut otherwise, and then an output for an earlier
  offset of the same key comes behind the one for a later offset, which is then sent again. Whoever keeps the newest
  output compares offsets, as late writes of a worker that lost its partition have always demanded.
- Outputs go out as early as anything may, for somebody waits for them. Only where one of them is too large for its
  topic are rows and stores done first: the record is refused, but a row that Kafka has must not be
  missing from the store.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from streams.engine.deadletters import dead_letter, without_content
from streams.engine.effects import Batch, Effects, Handler, Output, Rejection, RejectReason, Row
from streams.engine.publisher import Publish, PublishError, TooLargeError, TopicPartition
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


class Committer:
    """Commits batches, one at a time of each partition.

    Args:
        handler: the agent's logic.
        tables: by the names that the handler uses.
        dlq: name of the dead-letter topic.
        publish: writes records to Kafka and waits for their acknowledgement.
        stats: told what happened.
        pause: sleeps so many seconds between two tries.
        burials: so many records in a row may be refused because the handler failed on them. If it fails on one more,
            the fault is its own: that record is tried again until it works, and nothing behind it is touched.
    """

    def __init__(
        self,
        handler: Handler,
        tables: Mapping[str, Table],
        dlq: str,
        publish: Publish,
        stats: Stats,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        burials: int = 100,
    ) -> None:
        self._handler = handler
        self._tables = tables
        self._dlq = dlq
        self._publish = publish
        self._stats = stats
        self._pause = pause
        self._burials = burials
        self._buried_in_a_row = 0

    async def commit(self, batch: Batch, current: Callable[[], bool]) -> bool:
        """Handle a batch.

        Args:
            batch: what to handle.
            current: whether the batch's epoch still lasts.

        Returns:
            True if all of it is done and may be acknowledged; False if its epoch ended on the way.
        """
        self._stats.begin()
        try:
            await self._handle(batch, current)
        except SupersededError:
            self._stats.abandoned += 1
            return False
        finally:
            # An epoch that is over takes its trouble with it.
            self._stats.tell(current, None)
            self._stats.end()
        self._stats.batches += 1
        self._stats.records += len(batch.records)
        self._stats.last_progress = time.monotonic()
        return True

    async def _handle(self, batch: Batch, current: Callable[[], bool]) -> None:
        """Handle a batch; if that fails, its halves one after the other, down to the record that is at fault."""
        for pause in _pauses():
            try:
                effects = await self._insist(lambda: self._effects(batch), current)
                await self._make_true(batch, effects, current)
            except _HandlerError as failure:
                if len(batch.records) == 1 and self._buried_in_a_row == self._burials:
                    await self._hold(batch, failure, pause, current)
                    continue
                if len(batch.records) == 1:
                    await self._bury(batch, failure, current)
                    self._buried_in_a_row += 1
                    return
                for half in _halves(batch):
                    await self._handle(half, current)
            else:
                self._buried_in_a_row = 0
            return

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
        rows, names = effects.rows, list(effects.rows)
        early = {name: rows[name] for name in names[:-1] if rows[name]}
        last = {name: rows[name] for name in names[-1:] if rows[name]}
        if early or effects.deltas:
            reached, left = await self._log_with(batch, early, effects.deltas, effects.outputs, current)
            reached |= await self._log(batch, last, (), current)
        else:
            reached, left = await self._log_with(batch, last, (), effects.outputs, current)
        for name, offset in reached.items():
            await self._insist(partial(self._store, name, batch.partition, rows[name], offset), current)
        if left:
            await self._send(left, current)
        self._stats.outputs += len(effects.outputs)

    async def _log_with(
        self,
        batch: Batch,
        tables: Mapping[str, Sequence[Row]],
        deltas: Sequence[Output],
        outputs: Sequence[Output],
        current: Callable[[], bool],
    ) -> tuple[dict[str, int], Sequence[Output]]:
        """Rows and deltas as `_log` does, and outputs beside them; all outputs are left over if one is too large."""
        try:
            return await self._log(batch, tables, [*deltas, *outputs], current), ()
        except _HandlerError:
            if not outputs:
                raise
            return await self._log(batch, tables, deltas, current), outputs

    async def _log(
        self, batch: Batch, tables: Mapping[str, Sequence[Row]], others: Sequence[Output], current: Callable[[], bool]
    ) -> dict[str, int]:
        """Rows to their changelogs, and other records beside them. Returns table → changelog offset of its last row."""
        gone = tombstone_headers(batch.records[-1].offset)
        topics = {name: self._tables[name].changelog for name in tables}
        records = [
            Output(topics[name], key, value, batch.partition, gone if value is None else ())
            for name, rows in tables.items()
            for key, value in rows
        ]
        if not (records or others):
            return {}
        offsets = await self._send([*records, *others], current)
        return {name: offsets[topic, batch.partition] for name, topic in topics.items()}

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

    async def _hold(self, batch: Batch, failure: "_HandlerError", pause: float, current: Callable[[], bool]) -> None:
        """Wait: refusing what this handler fails on would empty the topic into the dead letters."""
        if not current():
            raise SupersededError
        (record,) = batch.records
        trouble = (
            f"the handler failed on {self._burials + 1} records in a row, at last with {type(failure.error).__name__}; "
            "nothing more is consumed until it works: see the newest dead letters, mend it and start the worker again"
        )
        self._stats.tell(current, trouble)
        self._stats.retries += 1
        log.error("%s: topic=%s partition=%d offset=%d", trouble, record.topic, record.partition, record.offset)
        await self._pause(pause)

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
                self._stats.tell(current, str(error))
                self._stats.retries += 1
                log.warning("trying again in %.1f s: %s", pause, error)
                await self._pause(pause)
            else:
                self._stats.tell(current, None)
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
