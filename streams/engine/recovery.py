"""Table recovery in bulk: changelog records go straight into the store, without an event, a queue or a buffer each.

Faust's Recovery service still decides what to read, from where to where, and waits for the end; this puts the records
where they belong and tells it how far they are.

A row that a fenced-out worker wrote late stands behind the newer one, and log compaction would keep the older of the
two. Whoever comes across it here writes the right row once more, behind both.
"""

import time
from collections.abc import Sequence
from typing import Any

from faust.types import TP

from streams.engine.effects import Output, Record
from streams.engine.publisher import Publish
from streams.engine.rows import tombstone_headers
from streams.engine.stats import Stats
from streams.engine.table import BulkTable
from streams.errors import ContractError


class BulkRecovery:
    """Applies changelog records of the partitions that Faust is recovering.

    Args:
        tables: Faust's table manager.
        stats: told what happened.
        publish: writes records to Kafka and waits for their acknowledgement.
    """

    def __init__(self, tables: Any, stats: Stats, publish: Publish) -> None:
        self._tables = tables
        self._stats = stats
        self._publish = publish
        self._outdated: dict[TP, dict[bytes, int]] = {}

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
            ignored, outdated, current = table.recover(tp.partition, fresh)
            self._stats.ignored_old_rows += ignored
            if outdated:
                self._outdated.setdefault(tp, {}).update(outdated)
            for key in current & self._outdated.get(tp, {}).keys():
                del self._outdated[tp][key]
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

    def insist_on_changelogs(self) -> None:
        """Insist that no store has more of its changelog than there is.

        Raises:
            ContractError: one has. Rows that Kafka does not know cannot be told from rows that it never had.
        """
        recovery = self._tables.recovery
        for tp in recovery.active_tps:
            end, reached = recovery.active_highwaters.get(tp), recovery.active_offsets.get(tp)
            if end is not None and reached is not None and reached > end:
                raise ContractError(
                    f"the local table {self._tables._changelogs[tp.topic].name} holds {tp.topic} partition "
                    f"{tp.partition} up to offset {reached}, but that ends at {end}: the topic was deleted and created "
                    "again or has lost its end, or UPWELL_DATA_DIR belongs to another cluster. Stop the workers; set "
                    "UPWELL_DATA_DIR to this cluster's own, or have all state rebuilt with `upwell reset --yes`"
                )

    async def finish(self) -> None:
        """If everything is there, put right what compaction would get wrong, and wake Faust's Recovery.

        Raises:
            PublishError: not all of it could be put right; nothing was told to Faust.
        """
        recovery = self._tables.recovery
        if recovery.in_recovery and not recovery.need_recovery():
            for tp in recovery.active_tps & self._outdated.keys():
                await self._put_right(tp)
            # A pulse, not a level: left set, it would end the next recovery before it starts. One that nobody hears is
            # repeated with the next fetch.
            recovery.signal_recovery_end.set()
            recovery.signal_recovery_end.clear()

    async def _put_right(self, tp: TP) -> None:
        """Write the rows of outdated keys again. A deletion reaches no further than the record that it is for."""
        outdated = self._outdated[tp]
        table: BulkTable = self._tables._changelogs[tp.topic]
        rows = zip(outdated.items(), table.get(tp.partition, list(outdated)), strict=True)
        await self._publish(
            [
                Output(tp.topic, key, row, tp.partition, tombstone_headers(order) if row is None else ())
                for (key, order), row in rows
            ]
        )
        del self._outdated[tp]
