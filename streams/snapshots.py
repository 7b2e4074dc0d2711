"""The replica's index on disk: a worker starts from the newest snapshot and reads only the tail of the embeddings.

    start:  index.snapshot.load ──► live index ──► replica ──► replication reads on from the offsets in it
    later:  every so often, and when the worker stops, the live index is saved with the offsets it holds

A snapshot is a cache. One that is damaged, of another topic, or missing is passed over: the topic has everything.
"""

import asyncio
import contextlib
from functools import cache
from pathlib import Path

import structlog

from index.calibrate import calibrated
from index.crossover import Crossover
from index.hnsw import HnswIndex
from index.live import LiveIndex
from index.snapshot import SnapshotError, SnapshotMeta, load
from streams.replicas import Replica
from streams.shelves import ReplicaIndex

_log = structlog.get_logger(__name__)


class IndexKeeper:
    """Makes, restores and saves the live index of one replica.

    Args:
        directory: where snapshots are.
        stack: closes the index; must outlive whoever asks it.
        crossover: up to how many items an index looks at all of them; measured on this machine when None.
    """

    def __init__(self, directory: Path, stack: contextlib.AsyncExitStack, crossover: Crossover | None = None) -> None:
        self.directory = directory
        self._stack = stack
        self._crossover = crossover
        self._saved: dict[str, int] = {}

    async def make(self, dim: int) -> ReplicaIndex:
        """An empty live index for vectors of length `dim`."""
        crossover = self._crossover or await asyncio.to_thread(_measured, dim)
        return await self._open(HnswIndex(dim, crossover=crossover))

    async def restore(self, replica: Replica) -> None:
        """Give the replica the newest sound snapshot, if there is one."""
        found = await asyncio.to_thread(load, self.directory, self._crossover or _measured)
        if found is None:
            return
        index, meta = found
        if not isinstance(index, HnswIndex):
            return
        self._saved = {partition: offset - 1 for partition, offset in meta.offsets.items()}
        replica.adopt(await self._open(index), meta.model, self._saved)
        _log.info("index restored", items=len(index))

    async def save(self, replica: Replica) -> None:
        """Save the index, unless nothing changed since it was saved."""
        replica = replica.pinned()
        held = replica.embeddings_as_of()
        index = replica.shelf.index
        if not isinstance(index, LiveIndex) or held == self._saved:
            return
        meta = SnapshotMeta(replica.model, {partition: offset + 1 for partition, offset in held.items()})
        try:
            await index.snapshot(self.directory, meta)
        except SnapshotError as error:  # the topic has everything; a worker must not end for a cache
            _log.warning("the index was not saved", because=str(error))
        else:
            self._saved = held

    async def save_every(self, seconds: float, replica: Replica) -> None:
        """Save now and then, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.save(replica)

    async def _open(self, index: HnswIndex) -> LiveIndex:
        return await self._stack.enter_async_context(LiveIndex(index))


@cache
def _measured(dim: int) -> Crossover:
    """What this machine does best, measured once in a process."""
    crossover = calibrated(dim)
    _log.info("exact search where it is quicker", dim=dim, steps=crossover.steps)
    return crossover
