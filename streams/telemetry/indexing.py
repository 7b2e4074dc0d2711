"""Looks at a replica and its index while they work, and tells the instruments.

replica ─► Applied     ─► catalogue changes and vectors, joined: item freshness
index   ─► watch_index    every 5 s; its recall now and then, bounded

Exact search over the rows is the judge of the graph.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from index.durable import published
from index.live import LiveIndex
from streams.engine import rows
from streams.engine.effects import Record
from streams.replicas import Replica
from streams.telemetry.instruments import IndexState, Telemetry
from streams.topics import Topics

LOOK_S = 5.0

PROBE_S = 60.0
PROBE_K = 20
MOST_PROBES = 16
ROWS_A_PROBE = 400_000
"""Rows that one probe may look at: small catalogues are asked more queries at a time than large ones."""
SPARING = 1_000.0
"""A probe that took t seconds is followed by none for that many t: at most a thousandth of the index's time."""
REMEMBERED = 64
"""Probes whose mean is shown."""


class Applied:
    """What a replica applied, once it follows the topics; told by `streams.replication`."""

    def __init__(self, telemetry: Telemetry, topics: Topics, replica: Replica) -> None:
        self._telemetry = telemetry
        self._replica = replica
        self._catalogue = topics.catalogue.name
        self._embeddings = frozenset(topic.name for topic in topics.slots.values())
        self._short = {topic.name: topic.name.split(".")[-2] for topic in topics}

    def __call__(self, topic: str, records: Sequence[Record]) -> None:
        """Consecutive records of one partition are in the replica."""
        self._telemetry.applied(self._short[topic], len(records))
        if topic == self._catalogue:
            for record in records:
                self._changed(record)
        elif topic in self._embeddings and topic == self._replica.shelf.topic:
            for record in records:
                self._searchable(record)

    def _changed(self, record: Record) -> None:
        item = _text(record.key)
        if not record.value:
            self._telemetry.freshness.deleted(item)
        elif self._replica.facts.get(item) is not None:  # one that was refused is not
            at = record.timestamp / 1000
            self._telemetry.fresh(self._telemetry.freshness.changed(item, record.offset, at))

    def _searchable(self, record: Record) -> None:
        if not record.value:
            return
        offset, now = rows.source_offset(record.value), self._telemetry.now()
        self._telemetry.fresh(self._telemetry.freshness.searchable(_text(record.key), offset, now))


def _text(key: bytes | None) -> str:
    return (key or b"").decode(errors="replace")


class RecallProbe:
    """Holds the graph against exact search, sparingly.

    Args:
        pause_s: seconds between two probes at least.
    """

    def __init__(self, pause_s: float = PROBE_S) -> None:
        self._pause_s = pause_s
        self._due = 0.0
        self._seed = 0
        self._found: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
        self.probed = 0

    @property
    def recall(self) -> float | None:
        """Mean over the newest probes; None before the first one."""
        total = sum(count for count, _ in self._found)
        return sum(count * value for count, value in self._found) / total if total else None

    async def probe(self, index: LiveIndex, now: float) -> None:
        """Ask a few queries if it is time. `now`: monotonic seconds."""
        if now < self._due or not len(index):
            return
        count = max(1, min(MOST_PROBES, ROWS_A_PROBE // len(index)))
        began = time.monotonic()
        found = await index.recall(count, PROBE_K, self._seed)
        took = time.monotonic() - began
        self._seed += 1
        self.probed += count
        self._found.append((count, found))
        self._due = now + max(self._pause_s, SPARING * took)

    def forget(self) -> None:
        """Another index serves."""
        self._found.clear()


async def watch_index(telemetry: Telemetry, replica: Replica, directory: Path, every_s: float = LOOK_S) -> None:
    """Look at the index of a replica and its snapshots, until cancelled.

    Args:
        telemetry: is told.
        replica: whose index.
        directory: of its snapshots.
        every_s: seconds between two looks.
    """
    probe = RecallProbe()
    before: LiveIndex | None = None
    while True:
        index = replica.shelf.index
        if isinstance(index, LiveIndex):
            if index is not before:
                probe.forget()
                before = index
            telemetry.index = await seen(index, probe, directory)
        await asyncio.sleep(every_s)


async def seen(index: LiveIndex, probe: RecallProbe, directory: Path) -> IndexState:
    """One look at an index, with a probe if it is time for one."""
    await probe.probe(index, time.monotonic())
    stats = await index.stats()
    saved = await asyncio.to_thread(_saved, directory)
    return IndexState(
        stats.items, stats.pending, stats.tombstones, stats.nbytes, stats.rebuilds, probe.recall, probe.probed, saved
    )


def _saved(directory: Path) -> float | None:
    """When the newest snapshot was written, Unix seconds."""
    with contextlib.suppress(OSError):  # it may be replaced meanwhile
        if snapshots := published(directory):
            return snapshots[-1].stat().st_mtime
    return None
