"""Every shopper's profile on this machine: the profiles topic, copied into RocksDB and followed. In no consumer group.

Whoever has the copy answers for any shopper, whichever worker owns the shopper's partition. It costs the disk that the
topic takes, and a profile is as old as replication lags: what a shopper did is seen once their worker has written it.

The offset that a partition reaches is kept with its rows, so a restart reads on from there. A copy that nobody brought
up to date for longer than Kafka keeps tombstones could hold shoppers who have been erased since: it is made anew.
"""

import asyncio
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner

from streams import codecs
from streams.core.profile import Profile
from streams.engine.effects import Record
from streams.engine.rows import newest
from streams.engine.store import PartitionStore, RocksPartition, StoreCorruptError, StoreError
from streams.settings import KafkaSettings
from streams.topics import Topic

STALE_S = 12 * 3600.0
"""A copy left alone for so long is made anew: half of Kafka's default of keeping tombstones (delete.retention.ms)."""

SLICE = 2_000
POLL_MS = 200
MARK_S = 60.0

_MARK = "up-to-date"

_log = structlog.get_logger(__name__)


class Known(NamedTuple):
    """A profile, and the partition of the shopper's own events (None where there are none)."""

    profile: Profile
    partition: int | None


class ProfileReplica:
    """The profiles of all partitions. `stores` by partition."""

    def __init__(self, stores: Sequence[PartitionStore]) -> None:
        self._stores = stores
        self._partitions = list(range(len(stores)))
        self._partitioner = DefaultPartitioner()

    def get(self, shopper: str) -> Known:
        """What is known of a shopper.

        Raises:
            StoreError, ContractError: the row cannot be read.
        """
        keys = codecs.profile_keys(shopper)
        # Where Kafka's clients put the key by default; elsewhere only for those who chose another partitioner.
        home = self._partitioner(keys[0], self._partitions, self._partitions)
        for partition in (home, *(other for other in self._partitions if other != home)):
            own, joined = self._stores[partition].get(keys)
            if own is not None or joined is not None:
                return Known(codecs.decode_whole(own, joined), None if own is None else partition)
        return Known(Profile(), None)

    def apply(self, partition: int, records: Sequence[Record]) -> None:
        """Apply consecutive records of one partition, in offset order. Raises StoreError."""
        store = self._stores[partition]
        rows, _ = newest(records, store.get)
        store.write(rows.items(), records[-1].offset)

    def reached(self, partition: int) -> int:
        """The offset of the newest record applied, -1 for none. Raises StoreError."""
        offset = self._stores[partition].changelog_offset()
        return -1 if offset is None else offset

    def close(self) -> None:
        """Let go of the stores."""
        for store in self._stores:
            store.close()


def opened(directory: Path, partitions: int, cache_mb: int, *, anew: bool = False) -> ProfileReplica:
    """The copy in a directory, which may be empty.

    Args:
        directory: of this copy alone.
        partitions: of the profiles topic.
        cache_mb: RocksDB block cache, MiB.
        anew: throw away what is there.

    Raises:
        StoreLockedError: another process has it open.
        StoreError: it cannot be used.
    """
    mark = directory / _MARK
    if anew or (directory.exists() and not (mark.exists() and time.time() - mark.stat().st_mtime < STALE_S)):
        shutil.rmtree(directory, ignore_errors=True)
    stores: list[PartitionStore] = []
    try:
        stores += (RocksPartition(directory / str(number), cache_mb) for number in range(partitions))
    except StoreError as error:
        for store in stores:
            store.close()
        if anew or not isinstance(error, StoreCorruptError):
            raise
        _log.warning("the copy of the profiles is damaged: reading them anew")
        return opened(directory, partitions, cache_mb, anew=True)
    mark.touch()
    return ProfileReplica(stores)


class ProfileReplication:
    """Keeps a copy of the profiles current. `load`, then `follow` until cancelled, then `stop`."""

    def __init__(
        self, directory: Path, cache_mb: int, topic: Topic, bootstrap: str, kafka: KafkaSettings, fetch_wait_ms: int
    ) -> None:
        self._directory = directory
        self._cache_mb = cache_mb
        self._topic = topic
        self.replica = opened(directory, topic.partitions, cache_mb)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=fetch_wait_ms,
            **kafka.client_options(),
        )

    async def load(self) -> None:
        """Apply everything up to the present end of the topic, which must exist."""
        await self._consumer.start()
        partitions = [TopicPartition(self._topic.name, number) for number in range(self._topic.partitions)]
        self._consumer.assign(partitions)
        begins = await self._consumer.beginning_offsets(partitions)
        ends = await self._consumer.end_offsets(partitions)
        if any(self.replica.reached(p.partition) >= ends[p] for p in partitions):
            _log.warning("the copy of the profiles is ahead of its topic, so it is of another one: reading them anew")
            self.replica.close()
            self.replica = opened(self._directory, self._topic.partitions, self._cache_mb, anew=True)
        for partition in partitions:
            self._consumer.seek(partition, max(begins[partition], self.replica.reached(partition.partition) + 1))
        while any([await self._consumer.position(p) < ends[p] for p in partitions]):
            await self._apply_next()
        self._mark()

    async def follow(self) -> None:
        """Apply what arrives, until cancelled."""
        looked = time.monotonic()
        while True:
            await self._apply_next()
            if time.monotonic() - looked > MARK_S:
                if await self.lag() == 0:
                    self._mark()
                looked = time.monotonic()

    async def lag(self) -> int | None:
        """Records of the topic that are not in the copy yet; None where the broker does not tell."""
        partitions = list(self._consumer.assignment())
        try:
            ends = await self._consumer.end_offsets(partitions)
        except KafkaError:
            return None
        return sum([max(0, int(ends[p]) - int(await self._consumer.position(p))) for p in partitions])

    async def stop(self) -> None:
        """Leave the brokers and close the stores."""
        await self._consumer.stop()
        self.replica.close()

    async def _apply_next(self) -> None:
        fetched: dict[Any, list[Any]] = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=SLICE)
        for partition, records in fetched.items():
            self.replica.apply(partition.partition, records)
            await asyncio.sleep(0)

    def _mark(self) -> None:
        (self._directory / _MARK).touch()
