"""A Faust table of raw rows whose changelog is a public topic.

Faust decides which partitions are here and when they are recovered. Rows go in and out in bulk: `get`, `write` and
`recover` take a partition; the dict-like interface of Faust tables is not for this one.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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


class BulkStore(Store[Any, Any]):
    """What Faust asks of a table's storage: the partitions that are open here."""

    def __init__(self, directory: Path, open_partition: OpenPartition, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._directory = directory
        self._open_partition = open_partition
        self._open: dict[int, PartitionStore] = {}

    def partition(self, number: int) -> PartitionStore:
        """An open partition. Raises StoreError where it is not open."""
        try:
            return self._open[number]
        except KeyError:
            raise StoreError(f"partition {number} of table {self.table_name} is not open here") from None

    def persisted_offset(self, tp: TP) -> int | None:
        """The changelog offset that a partition reaches."""
        return self.partition(tp.partition).changelog_offset()

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Close what went away, open what came."""
        changelogs = self.table.changelog_topic.topics
        for tp in revoked:
            if tp.topic in changelogs:
                self._close(tp.partition)
        for tp in assigned:
            if tp.topic in changelogs and tp.partition not in self._open:
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
        store = self._open.pop(number, None)
        if store is not None:
            try:
                store.close()
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
                self._open[number] = self._opened(path)
            except StoreLockedError:
                tries_locked += 1
                if tries_locked == _LOCKED_TRIES:
                    raise
            except StoreError as error:
                self.app.stats.tell(path, str(error))
                log.warning("trying again in %.1f s: %s", _PAUSE_S, error)
            else:
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
        store: BulkStore = self.data
        return store.partition(number)

    def get(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """The rows of `keys`, in order; None where there is none. Raises StoreError."""
        return self.partition(partition).get(keys)

    def write(self, partition: int, rows: Sequence[Row], changelog_offset: int) -> None:
        """Write rows that the changelog has up to an offset. Raises StoreError."""
        self.partition(partition).write(rows, changelog_offset)

    def recover(self, partition: int, records: Sequence[Record]) -> Recovered:
        """Apply changelog records, in order, those left out that are older than what is here or no rows.

        Raises:
            StoreError: they could not be applied.
        """
        store = self.partition(partition)
        rows, ignored = newest(records, store.get)
        store.write(rows.items(), records[-1].offset)
        wrong = outdated(records, rows) if ignored else {}
        return Recovered(ignored, wrong, rows.keys() - wrong.keys())

    async def on_start(self) -> None:
        """Start the storage. The changelog topic is there already: Faust shall not declare it."""
        await self.add_runtime_dependency(self.data)

    def _new_store(self) -> BulkStore:
        return BulkStore(self._directory, self._open_partition, "bulk://", self.app, self, table_name=self.name)
