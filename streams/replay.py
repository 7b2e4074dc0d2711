"""Rebuilds state and outputs of a shop from recorded topics: the workers' own code, over tables in memory.

    events 0 ───► baskets ─┐
    events 1 ───► baskets ─┼─► in_order ─► Replay ─► tables, recommendations
    catalogue,             │
    embeddings ─► singly ──┘

**Twice gives the same.** Units (a few consecutive records of one partition) are taken in the order of the timestamp,
topic, partition and offset of their last record, without changing the order within a partition: a function of what is
on the topics, not of how fast it is read. Where units end is a function of their partition alone, so the ids of
recommendations, which name a partition and an offset, do not depend on other topics. Nearest items are searched
exactly. Profiles and popularity are folded from the events alone, however they are cut: they are what workers have.
Neighbours are so up to rounding and to what the bound of a row cuts off, which depend on the order of partitions.

**Silence.** State needs the whole log; recommendations may be wanted for its end only. Units for which `speaks` is
False are folded without any.

**Model.** Vectors are those of the model that serves when the replay is made, from the topic that it is on: all of the
log is replayed with it, whichever model served then. So it is with what the head has learnt: its newest weights are
taken from their topic at their time, and nothing is learnt again.

What a replay cannot know: a compacted topic holds the newest record of a key, so an item that has changed since is not
there before its last change, and a worker's replica may have been a moment behind what a replay knows.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from hashlib import blake2b

import msgspec

from streams import codecs
from streams.core.erasure import Erasure
from streams.core.policy import Policy
from streams.edge import Limits
from streams.engine.effects import Output, Record
from streams.inprocess import InProcess, MemoryTable
from streams.items import ItemEncoder
from streams.records import ServedModel
from streams.topics import Topics

Unit = Sequence[Record]
"""Consecutive records of one partition that are handled together; never empty."""

Sink = Callable[[Output], Awaitable[None]]

_TOGETHER = 1_000
"""Records that are held back for one batch, and records of one basket, at most."""


class _Moment(msgspec.Struct, gc=False):
    time: int


_decode_moment = msgspec.json.Decoder(_Moment).decode


async def baskets(records: AsyncIterator[Record], *, every_event: bool) -> AsyncIterator[Unit]:
    """Cuts a partition of the events where a recommendation is due.

    Neighbouring events of one shopper at one event time are one basket, and bring one recommendation, after the last
    of them. With `every_event` each event stands alone.
    """
    basket: list[Record] = []
    moment = None
    async for record in records:
        next_moment = None if every_event else _moment(record)
        if basket and (next_moment is None or next_moment != moment or len(basket) == _TOGETHER):
            yield basket
            basket = []
        basket.append(record)
        moment = next_moment
    if basket:
        yield basket


def _moment(record: Record) -> tuple[bytes | None, int] | None:
    """Whose event it is and of when; None for what no worker would accept."""
    try:
        return record.key, _decode_moment(record.value or b"").time
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


async def singly(records: AsyncIterator[Record]) -> AsyncIterator[Unit]:
    """Every record by itself."""
    async for record in records:
        yield (record,)


async def in_order(streams: Sequence[AsyncIterator[Unit]]) -> AsyncIterator[Unit]:
    """Units of several partitions as one sequence; see the module."""
    heads: list[tuple[tuple[int, str, int, int], int, Unit]] = []

    async def advance(number: int) -> None:
        if (unit := await anext(streams[number], None)) is not None:
            last = unit[-1]
            heapq.heappush(heads, ((last.timestamp, last.topic, last.partition, last.offset), number, unit))

    for number in range(len(streams)):
        await advance(number)
    while heads:
        _, number, unit = heapq.heappop(heads)
        yield unit
        await advance(number)


class Replay:
    """Applies units, in the order in which they are given to `run`.

    Args:
        contract: the topics; recommendations are addressed to `contract.recommendations`.
        policy: how to recommend.
        limits: what the edge lets through.
        sink: gets every recommendation.
        encoder: encodes the catalogue; None where vectors come with a topic of embeddings.
        ledger: rows of the erasures, by partition and key; nothing is told of whom they cover.
        serving: the model whose vectors come with a topic, where a shop has changed its model.
    """

    def __init__(
        self,
        contract: Topics,
        policy: Policy,
        limits: Limits,
        sink: Sink,
        encoder: ItemEncoder | None = None,
        ledger: Mapping[tuple[int, bytes], bytes] | None = None,
        serving: ServedModel | None = None,
    ) -> None:
        self.recommendations = 0
        self.records = 0
        self._contract = contract
        self._shop = InProcess(contract, policy, limits, encoder, serving=serving)
        self._sink = sink
        self._key = limits.ledger.key
        self._erased = {place: codecs.decode_erasure(row) for place, row in (ledger or {}).items()}
        self._told = blake2b(digest_size=16)
        self._waiting: dict[tuple[str, int], list[Record]] = {}
        self._count_waiting = 0

    async def run(self, units: AsyncIterator[Unit], speaks: Callable[[Record], bool]) -> None:
        """Apply units; after one of events, recommend if its last record `speaks`."""
        async for unit in units:
            last = unit[-1]
            self.records += len(unit)
            if last.topic == self._contract.events.name and speaks(last):
                await self._apply_waiting()
                said = await self._shop.apply(last.topic, last.partition, unit, speaks=True)
                await self._tell([record for record in said if not self._forgotten(record, last)])
                await asyncio.sleep(0)  # nothing else here waits, and who reads the records needs the event loop, too
            else:
                self._waiting.setdefault((last.topic, last.partition), []).extend(unit)
                self._count_waiting += len(unit)
                if self._count_waiting >= _TOGETHER:
                    await self._apply_waiting()
        await self._apply_waiting()

    @property
    def tables(self) -> dict[str, MemoryTable]:
        """The rebuilt tables, by name."""
        return {name: self._shop.tables[name] for name in ("profiles", "trending", "neighbours")}

    @property
    def refused(self) -> int:
        """Records that would be on the dead-letter topic."""
        return self._shop.stats.rejected.total()

    def digests(self) -> dict[str, str]:
        """32 hex digits for each table and for the recommendations: the same bytes have the same digits."""
        return {name: digest(table.rows()) for name, table in self.tables.items()} | {
            "recommendations": self._told.hexdigest()
        }

    async def _apply_waiting(self) -> None:
        """Apply what was held back: nothing of it can be seen before something speaks."""
        waiting, self._waiting, self._count_waiting = self._waiting, {}, 0
        for (topic, number), records in waiting.items():
            await self._shop.apply(topic, number, records)
            await asyncio.sleep(0)

    def _forgotten(self, recommendation: Output, last: Record) -> bool:
        """Whether the shopper asked later in the log to be forgotten."""
        if not self._erased or recommendation.key is None:
            return False
        erasure = self._erased.get((last.partition, self._key(recommendation.key.decode())), Erasure())
        return last.offset <= erasure.offset

    async def _tell(self, said: Sequence[Output]) -> None:
        for record in said:
            await self._sink(record)
            self.recommendations += 1
            self._told.update(record.value or b"")


def digest(rows: dict[tuple[int, bytes], bytes]) -> str:
    """32 hex digits of a table's rows."""
    told = blake2b(digest_size=16)
    for (number, key), row in sorted(rows.items()):
        told.update(f"{number} {len(key)} {len(row)} ".encode() + key + row)
    return told.hexdigest()
