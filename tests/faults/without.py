"""The engine with one of its protections taken away, for the controls of the fault tests.

A fault test that passes all the same does not test the protection. The worker processes of these tests take away what
the environment variable names; the product has no such switch.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from faust.transport.drivers import aiokafka as driver
from rocksdict import WriteBatch

from streams.agents import profiles
from streams.core import cooccurrence
from streams.edge import accept_event
from streams.engine import commit, consumer, effects, publisher, store, table
from streams.engine.rows import HEADER_SIZE, header
from tests.faults import counting

VARIABLE = "UPWELL_FAULT_WITHOUT"

# What is replaced, for the type checker to look away.
_Committer: Any = commit.Committer
_CountingHandler: Any = counting.CountingHandler
_RocksPartition: Any = store.RocksPartition
_BulkStore: Any = table.BulkStore
_Held: Any = table.Held
_table: Any = table
_profiles: Any = profiles


class Protection(StrEnum):
    """What keeps the state right; each has a function below that takes it away."""

    OFFSET_IN_ROW = "offset-in-row"
    CHANGELOG_FIRST = "changelog-first"
    ACKNOWLEDGEMENT = "acknowledgement"
    PUT_AGAIN = "put-again"
    OFFSET_IN_BATCH = "offset-in-batch"
    EPOCHS = "epochs"
    VOUCHING = "vouching"
    NEWEST_ROW = "newest-row"
    BISECTING = "bisecting"
    GUARDED_HANDLER = "guarded-handler"
    GUARDED_EDGE = "guarded-edge"
    QUARANTINE = "quarantine"
    PATIENCE = "patience"
    ORIGINS = "origins"
    REQUEST_SIZE = "request-size"


def take_away() -> None:
    """Take away what the environment names: protections with commas between them."""
    for name in filter(None, os.environ.get(VARIABLE, "").split(",")):
        _TAKEN_AWAY[Protection(name)]()


def _without_offset_in_row() -> None:
    """Every record counts whenever it comes."""
    after = counting.after

    def counts_always(row: bytes | None, offset: int) -> bytes:
        return after(None if row is None else header(1, -1) + row[HEADER_SIZE:], offset)

    counting.after = counts_always


def _without_changelog_first() -> None:
    """The local store has the rows before their changelog does, and RocksDB's own log sees that it keeps them."""
    make_true = commit.Committer._make_true

    async def store_first(self: Any, batch: effects.Batch, made: effects.Effects, current: Any) -> None:
        for name, rows in made.rows.items():
            partition = self._tables[name].partition(batch.partition)
            partition._no_log.disable_wal = False
            partition.write(rows, None)
        await make_true(self, batch, made, current)

    _Committer._make_true = store_first


def _without_acknowledgement() -> None:
    """Nobody waits until Kafka has what was sent, as with Faust's own producer buffer."""
    under_way = set()

    async def send(self: Any, records: Sequence[effects.Output], _: Any) -> dict[tuple[str, int | None], int]:
        sending = asyncio.ensure_future(self._publish(records))
        under_way.add(sending)
        sending.add_done_callback(under_way.discard)
        tables = {table.changelog: table for table in self._tables.values()}
        return {
            (record.topic, record.partition): _reached(tables[record.topic].partition(record.partition))
            for record in records
            if record.topic in tables
        }

    _Committer._send = send


def _without_put_again() -> None:
    """A duplicate leaves the row where it is."""
    handle = counting.CountingHandler.__call__

    async def changes_only(self: Any, batch: effects.Batch, read: effects.Reader) -> effects.Effects:
        made = await handle(self, batch, read)
        rows = made.rows["counts"]
        before = read("counts", [key for key, _ in rows])
        made.rows["counts"] = [row for row, old in zip(rows, before, strict=True) if row[1] != old]
        return made

    _CountingHandler.__call__ = changes_only


def _without_offset_in_batch() -> None:
    """How far the changelog is in the store stands in a file beside it, and the rows rely on RocksDB's own log."""

    def beside(self: Any) -> Path:
        path: Path = self._path
        return path.with_name(f"{path.name}-offset")

    def write(self: Any, rows: Sequence[effects.Row], changelog_offset: int | None) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in rows:
            batch.put(key, value)
        self._db.write(batch)
        if changelog_offset is not None:
            beside(self).write_text(str(changelog_offset))

    def changelog_offset(self: Any) -> int | None:
        return int(beside(self).read_text()) if beside(self).exists() else None

    _RocksPartition.write = write
    _RocksPartition.changelog_offset = changelog_offset


def _without_epochs() -> None:
    """Faust's rebalance: it seeks while it fetches, and whatever was fetched counts."""
    own: Any = consumer.MicroBatchConsumer
    own._end_epoch = lambda self: None
    own._positioned = property(lambda self: True, lambda self, value: None)
    own.on_partitions_revoked = driver.Consumer.on_partitions_revoked
    own.perform_seek = driver.Consumer.perform_seek


def _without_vouching() -> None:
    """A store takes what it wrote itself for all that there is."""
    _Held.write = table.Held.recover


def _without_newest_row() -> None:
    """Recovery takes the last row of a key, as compaction does."""

    def last(records: Sequence[Any], _: Any) -> tuple[dict[bytes, bytes | None], int]:
        return {record.key: record.value for record in records}, 0

    _table.newest = last


def _without_bisecting() -> None:
    """A batch that a handler fails on is refused as a whole."""

    async def handle(self: Any, batch: effects.Batch, current: Any) -> None:
        try:
            done = await self._insist(lambda: self._effects(batch), current)
        except commit._HandlerError as failure:
            why = effects.RejectReason.HANDLER_ERROR, type(failure.error).__name__
            await self._reject([effects.Rejection(record, *why) for record in batch.records], current)
        else:
            await self._make_true(batch, done, current)

    _Committer._handle = handle


def _without_guarded_handler() -> None:
    """A handler that fails ends its agent, as with Faust."""

    async def handle(self: Any, batch: effects.Batch, current: Any) -> None:
        done = await self._insist(lambda: self._effects(batch), current)
        await self._make_true(batch, done, current)

    _Committer._handle = handle


def _without_guarded_edge() -> None:
    """An agent that takes it that whatever it reads is an event."""

    def trusting(record: effects.Record, limits: Any) -> Any:
        accepted = accept_event(record, limits)
        if isinstance(accepted, effects.Rejection):
            raise ValueError(accepted.reason)
        return accepted

    _profiles.accept_event = trusting


def _without_quarantine() -> None:
    """A store that cannot be opened for damage is an error like any other, and the worker's end."""

    def opened(self: Any, path: Path) -> store.PartitionStore:
        try:
            partition: store.PartitionStore = self._open_partition(path)
        except store.StoreCorruptError as error:
            raise SystemError("the store is damaged") from error
        return partition

    _BulkStore._opened = opened


def _without_patience() -> None:
    """What the broker or the disk does not let be done now is an error."""

    async def once(_: Any, step: Callable[[], Any], current: Callable[[], bool]) -> Any:
        if not current():
            raise commit.SupersededError
        return await step()

    async def open_once(self: Any, number: int, _: int) -> None:
        opened = self._opened(self._directory / f"{self.table_name}-{number}")
        self._open[number] = table.Held(opened, opened.changelog_offset(), opened.changelog_offset())

    _Committer._insist = once
    _BulkStore._open_when_free = open_once


def _without_origins() -> None:
    """A row of neighbours adds what comes, and does not ask whether it has come before."""
    fold = cooccurrence.fold

    def adds_always(row: cooccurrence.Neighbours, given: Iterable[cooccurrence.Share], offset: int) -> Any:
        for share in given:
            row = fold(replace(row, applied={}), [share], offset)
        return row

    cooccurrence.fold = adds_always


def _without_request_size() -> None:
    """Whatever is to be published is sent, and the broker has the word."""
    publisher._REQUEST_BYTES = sys.maxsize


def _reached(partition: store.PartitionStore) -> int:
    """The changelog offset that a store has now."""
    offset = partition.changelog_offset()
    return -1 if offset is None else offset


_TAKEN_AWAY = {
    Protection.OFFSET_IN_ROW: _without_offset_in_row,
    Protection.CHANGELOG_FIRST: _without_changelog_first,
    Protection.ACKNOWLEDGEMENT: _without_acknowledgement,
    Protection.PUT_AGAIN: _without_put_again,
    Protection.OFFSET_IN_BATCH: _without_offset_in_batch,
    Protection.EPOCHS: _without_epochs,
    Protection.VOUCHING: _without_vouching,
    Protection.NEWEST_ROW: _without_newest_row,
    Protection.BISECTING: _without_bisecting,
    Protection.GUARDED_HANDLER: _without_guarded_handler,
    Protection.GUARDED_EDGE: _without_guarded_edge,
    Protection.QUARANTINE: _without_quarantine,
    Protection.PATIENCE: _without_patience,
    Protection.ORIGINS: _without_origins,
    Protection.REQUEST_SIZE: _without_request_size,
}
