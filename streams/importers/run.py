"""An import: rows in, what is new of them sent, and everything counted.

rows = rows that gave records + ignored + rejected
records = sent + present + repeated
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field

from streams.importers.convert import Converted, Converter, Reject
from streams.importers.known import digest
from streams.importers.rows import Row
from streams.jsonl import Kind, Outgoing

TOGETHER = 2_000
"""Records that are sent, and acknowledged, before the next ones."""

_ROWS_AT_ONCE = 500

Send = Callable[[list[Outgoing]], Awaitable[None]]
"""Comes back when all of them are acknowledged."""


@dataclass(slots=True)
class Counts:
    """What became of the rows and of their records.

    Attributes:
        rows: read.
        ignored: rows of another kind, or of a type that is left out.
        rejected: rows with something wrong.
        records: made of the other rows.
        present: records that the topic had already.
        repeated: records that came twice in the files; of items, all but the last.
        sent: records that were sent and acknowledged.
    """

    rows: int = 0
    ignored: int = 0
    rejected: int = 0
    records: int = 0
    present: int = 0
    repeated: int = 0
    sent: int = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


@dataclass(slots=True)
class Import:
    """One import of one kind.

    Args:
        converter: of its rows.
        send: takes what is new.
        reject: told of every row with something wrong.
        events: identities of the events that the log has.
        items: item id → digest of the record that the catalogue has.
    """

    converter: Converter
    send: Send
    reject: Callable[[Reject], None]
    events: set[int] = field(default_factory=set)
    items: dict[bytes, bytes] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    async def run(self, rows: Iterable[Row], now: Callable[[], int]) -> Counts:
        """Take all rows.

        Args:
            rows: of all files.
            now: Unix milliseconds.
        """
        converted = self._converted(rows, now)
        if self.converter.plan.kind is Kind.EVENTS:
            await self._events(converted)
        else:
            await self._items(converted)
        return self.counts

    async def _converted(self, rows: Iterable[Row], now: Callable[[], int]) -> AsyncIterator[Converted]:
        for row in rows:
            self.counts.rows += 1
            if self.counts.rows % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)  # somebody may want to interrupt
            found = self.converter.convert(row, now())
            if isinstance(found, Reject):
                self.counts.rejected += 1
                self.reject(found)
            elif not found:
                self.counts.ignored += 1
            else:
                self.counts.records += len(found)
                for one in found:
                    yield one

    async def _events(self, converted: AsyncIterator[Converted]) -> None:
        """Events in the order of the files, as they come."""
        seen: set[int] = set()
        pending: list[Outgoing] = []
        async for event in converted:
            if event.identity in seen:
                self.counts.repeated += 1
            elif event.identity in self.events:
                self.counts.present += 1
                seen.add(event.identity)
            else:
                seen.add(event.identity)
                pending.append(event.record)
                if len(pending) == TOGETHER:
                    await self._send(pending)
                    pending = []
        await self._send(pending)

    async def _items(self, converted: AsyncIterator[Converted]) -> None:
        """Each item once, as its last row has it: a catalogue is as it is now."""
        last: dict[bytes, Outgoing] = {}
        async for item in converted:
            self.counts.repeated += item.record.key in last
            last[item.record.key] = item.record
        fresh = []
        for key, record in last.items():
            if (None if record.value is None else digest(record.value)) == self.items.get(key):
                self.counts.present += 1
            else:
                fresh.append(record)
        for start in range(0, len(fresh), TOGETHER):
            await self._send(fresh[start : start + TOGETHER])

    async def _send(self, records: list[Outgoing]) -> None:
        if records:
            await self.send(records)
            self.counts.sent += len(records)
