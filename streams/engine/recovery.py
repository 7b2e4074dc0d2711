"""Table recovery in bulk: changelog records go straight into the store, without an event, a queue or a buffer each.

Faust's Recovery service still decides what to read, from where to where, and waits for the end; this puts the records
where they belong and tells it how far they are.
"""

import time
from collections.abc import Sequence
from typing import Any

from faust.types import TP

from streams.engine.effects import Record
from streams.engine.stats import Stats
from streams.engine.table import BulkTable


class BulkRecovery:
    """Applies changelog records of the partitions that Faust is recovering."""

    def __init__(self, app: Any, stats: Stats) -> None:
        self._tables = app.tables
        self._stats = stats

    def is_changelog(self, tp: TP) -> bool:
        """Whether a partition belongs to the changelog of a table."""
        return tp.topic in self._tables.changelog_topics

    def apply(self, tp: TP, records: Sequence[Record]) -> None:
        """Put records into the table, those that it has already left out. Raises StoreError."""
        recovery = self._tables.recovery
        if tp not in recovery.active_tps:
            return
        reached = recovery.active_offsets.get(tp)
        fresh = [record for record in records if reached is None or record.offset > reached]
        if fresh:
            table: BulkTable = self._tables._changelogs[tp.topic]
            self._stats.ignored_old_rows += table.recover(tp.partition, fresh)
            self._stats.recovered += len(fresh)
            recovery.active_offsets[tp] = fresh[-1].offset
            # Or Faust warns that nothing happens.
            recovery._active_events_received_at[tp] = recovery._last_flush_at = time.monotonic()

    async def skip_to_end(self, consumer: Any) -> None:
        """Count offsets that hold no record as read.

        Compaction may leave none at the end of a log, where Faust would wait for one for ever.
        Only while no fetched record waits to be applied.
        """
        recovery = self._tables.recovery
        for tp in list(recovery.active_tps):
            end = recovery.active_highwaters.get(tp)
            reached = recovery.active_offsets.get(tp)
            if end is not None and reached is not None and reached < end and await consumer.position(tp) > end:
                recovery.active_offsets[tp] = end

    def signal_if_done(self) -> None:
        """Wake Faust's Recovery if it waits and everything is there.

        A pulse, not a level: left set, it would end the next recovery before it starts. One that nobody hears is
        repeated with the next fetch.
        """
        recovery = self._tables.recovery
        if recovery.in_recovery and not recovery.need_recovery():
            recovery.signal_recovery_end.set()
            recovery.signal_recovery_end.clear()
