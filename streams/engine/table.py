"""A Faust table of raw rows whose changelog is a public topic.

Faust decides which partitions are here and when they are recovered. Rows go in and out in bulk: `get`, `write` and
`recover` take a partition; the dict-like interface of Faust tables is not for this one.

**How far a store is.** Recovery starts behind the changelog offset that a store notes, so nothing before that offset
may be missing. The offset of a row that this worker wrote is not enough: a worker that was frozen and lost its
partition writes its last rows behind those of its heir, which it has not read. So what a store notes is vouched for,
either by recovery, which read up to there, or by the group: its coordinator takes a commit from the partition's owner
only, and while a worker owns a partition nobody else's rows count (`Held`, `Mark`).
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import faust
from faust.stores.base import Store
from faust.types import TP

from streams.engine.effects import Record, Row
from streams.engine.rows import newest, outdated
from streams.engine.store import PartitionStore, StoreCorruptError, StoreError, StoreLockedError

log = logging.getLogger(__name__)

OpenPartition = Callable[[Path], PartitionStore]

_LOCKED_TRIES = 60
_PAUSE_S = 0.5


class Recovered(NamedTuple):
    """What came of changelog records.

    `ignored` records were left out. `outdated` has the keys whose last record is one of those, with its source offset;
    `current` the others.
    """

    ignored: int
    outdated: Mapping[bytes, int]
    current: Collection[bytes]


@dataclass(slots=True)
class Held:
    """An open partition.

    Attributes:
        store: its rows.
        vouched: changelog offset up to which no row is missing in the store; None before the first.
        reached: changelog offset of the newest row in the store.
    """

    store: PartitionStore
    vouched: int | None
    reached: int | None

    def write(self, rows: Iterable[Row], reached: int) -> None:
        """Write rows of this worker, the last of which is at a changelog offset. Raises StoreError."""
        self.store.write(rows, self.vouched)
        self.reached = reached

    def recover(self, rows: Iterable[Row], reached: int) -> None:
        """Write rows that were read from the changelog, up to an offset. Raises StoreError."""
        self.store.write(rows, reached)
        self.vouched = self.reached = reached

    def close(self) -> None:
        """Note what is vouched for, let go of the store. Raises StoreError."""
        self.store.write((), self.vouched)
        self.store.close()


class Mark(NamedTuple):
    """What a partition had reached at a moment at which, as may turn out, it was owned."""

    held: Held
    reached: int | None

    def vouch(self) -> None:
        """It was: no row is missing up to there."""
        self.held.vouched = self.reached


class BulkStore(Store[Any, Any]):
    """What Faust asks of a table's storage: the partitions that are open here."""

    def __init__(self, directory: Path, open_partition: OpenPartition, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._directory = directory
        self._open_partition = open_partition
        self._open: dict[int, Held] = {}

    def held(self, number: int) -> Held:
        """An open partition. Raises StoreError where it is not open."""
        try:
            return self._open[number]
        except KeyError:
            raise StoreError(f"partition {number} of table {self.table_name} is not open here") from None

    def marks(self, numbers: Collection[int]) -> list[Mark]:
        """How far those partitions are that are open."""
        return [Mark(held, held.reached) for number, held in self._open.items() if number in numbers]

    def persisted_offset(self, tp: TP) -> int | None:
        """The changelog offset behind which recovery starts."""
        return self.held(tp.partition).vouched

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Close what went away, open what came."""
        changelogs = self.table.changelog_topic.topics
        for tp in revoked:
            if tp.topic in changelogs:
                self._close(tp.partition)
        for tp in assigned:
            if tp.topic not in changelogs:
                continue
            if (held := self._open.get(tp.partition)) is not None:
                held.reached = held.vouched  # what lies between was written by who knows whom
            else:
                await self._open_when_free(tp.partition, generation_id)

    async def on_stop(self) -> None:
        """Close everything."""
        for number in list(self._open):
            self._close(number)

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Faust's own recovery, which the engine replaces, must not get here."""
        if list(batch):
            raise NotImplementedError("rows are recovered by streams.engine.recovery")

    def reset_state(self) -> None:
        """Faust's `reset` command is not offered."""
        raise NotImplementedError("stop the worker and delete its data directory")

    async def backup_partition(self, *_: Any, **__: Any) -> None:
        """Not offered: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup")

    def restore_backup(self, *_: Any, **__: Any) -> None:
        """Not offered: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup")

    def _close(self, number: int) -> None:
        held = self._open.pop(number, None)
        if held is not None:
            try:
                held.close()
            except StoreError as error:
                log.warning("a store did not close in good order; the changelog has its rows: %s", error)

    async def _open_when_free(self, number: int, generation_id: int) -> None:
        """Open a partition, as soon as that can be.

        Another worker of this machine that had it may take a moment to let go of it; a full disk takes longer.
        """
        path = self._directory / f"{self.table_name}-{number}"
        tries_locked = 0
        while generation_id == self.app.consumer_generation_id:  # otherwise the next assignment is on its way
            try:
                store = self._opened(path)
                vouched = store.changelog_offset()
            except StoreLockedError:
                tries_locked += 1
                if tries_locked == _LOCKED_TRIES:
                    raise
            except StoreError as error:
                self.app.stats.tell(path, str(error))
                log.warning("trying again in %.1f s: %s", _PAUSE_S, error)
            else:
                self._open[number] = Held(store, vouched, vouched)
                self.app.stats.tell(path, None)
                return
            await asyncio.sleep(_PAUSE_S)

    def _opened(self, path: Path) -> PartitionStore:
        try:
            return self._open_partition(path)
        except StoreCorruptError as error:
            aside = next(free for n in range(1000) if not (free := path.with_name(f"{path.name}.corrupt-{n}")).exists())
            path.rename(aside)
            log.error("%s; kept as %s, rebuilding from the changelog", error, aside.name)
            return self._open_partition(path)


class BulkTable(faust.Table[Any, Any]):
    """A table that reads and writes raw rows of a partition in bulk."""

    def __init__(self, app: faust.App, *, directory: Path, open_partition: OpenPartition, **kwargs: Any) -> None:
        self._directory = directory
        self._open_partition = open_partition
        super().__init__(app, key_type=bytes, value_type=bytes, **kwargs)

    @property
    def changelog(self) -> str:
        """The name of the changelog topic."""
        return str(self.changelog_topic.get_topic_name())

    def partition(self, number: int) -> PartitionStore:
        """An open partition. Raises StoreError where it is not open here."""
        return self._held(number).store

    def get(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """The rows of `keys`, in order; None where there is none. Raises StoreError."""
        return self.partition(partition).get(keys)

    def write(self, partition: int, rows: Sequence[Row], changelog_offset: int) -> None:
        """Write rows that the changelog has, the last one at an offset. Raises StoreError."""
        self._held(partition).write(rows, changelog_offset)

    def marks(self, partitions: Collection[int]) -> list[Mark]:
        """How far those partitions are that are open here."""
        store: BulkStore = self.data
        return store.marks(partitions)

    def recover(self, partition: int, records: Sequence[Record]) -> Recovered:
        """Apply changelog records, in order, those left out that are older than what is here or no rows.

        Raises:
            StoreError: they could not be applied.
        """
        held = self._held(partition)
        rows, ignored = newest(records, held.store.get)
        held.recover(rows.items(), records[-1].offset)
        wrong = outdated(records, rows) if ignored else {}
        return Recovered(ignored, wrong, rows.keys() - wrong.keys())

    async def on_start(self) -> None:
        """Start the storage. The changelog topic is there already: Faust shall not declare it."""
        await self.add_runtime_dependency(self.data)

    def _held(self, number: int) -> Held:
        store: BulkStore = self.data
        return store.held(number)

    def _new_store(self) -> BulkStore:
        return BulkStore(self._directory, self._open_partition, "bulk://", self.app, self, table_name=self.name)
