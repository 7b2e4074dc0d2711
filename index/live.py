"""A live index for an event loop: one thread owns the graph, and nothing waits for it that need not."""

import asyncio
import contextlib
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from index.attributes import Filter, Values
from index.base import Vectors
from index.blas import use_one_thread
from index.forked import save_in_child
from index.hnsw import HnswIndex
from index.inputs import checked_k, unit_rows
from index.probe import probe_queries, recall
from index.rebuilder import Rebuilder
from index.snapshot import SnapshotMeta

Found = tuple[list[list[str]], list[npt.NDArray[np.float32]]]
"""Ids of each query, best first, and their cosines."""

_ABSORBED_AT_ONCE = 16  # rows; some milliseconds
_UPKEEP_S = 0.01  # between two looks at what is waiting
_LONGEST_PRODUCT_S = 0.25  # a product of matrices that is under way before the first fork is done by then
_UPKEEP_SHARE = 0.5  # of the time just spent on serving goes to upkeep even if more is waiting


class LiveIndexClosedError(RuntimeError):
    """The index was closed, or its thread failed."""


@dataclass(frozen=True)
class LiveStats:
    """How a live index is doing.

    Attributes:
        items: live ids.
        pending: of them, not in the graph yet (found by looking at them).
        tombstones: dead nodes in the graph.
        rebuilding: a new graph is being built beside the one that serves.
        nbytes: of rows, codes and graph: see `HnswIndex.nbytes`.
        rebuilds: graphs that were built and swapped in.
    """

    items: int
    pending: int
    tombstones: int
    rebuilding: bool
    nbytes: int
    rebuilds: int


@dataclass(frozen=True)
class _Task:
    """Anything that runs on the owner thread by itself."""

    future: "asyncio.Future[Any]"
    call: Callable[[], Any]


@dataclass(frozen=True)
class _Search:
    future: "asyncio.Future[Any]"
    queries: Vectors
    k: int
    where: Filter | None


_Request = _Task | _Search


class LiveIndex:
    """`HnswIndex` behind coroutines, for one event loop.

    A single thread does everything to the index. It applies the writes that are waiting, answers searches that wait
    together in one batch, and uses what time is left to bring new rows into the graph, a few at a time; a graph with
    too many tombstones is rebuilt in a second thread and swapped in. A write is seen by every search that starts after
    it was awaited.

        async with LiveIndex(HnswIndex(384)) as live:
            await live.upsert(ids, vectors)
            found, cosines = await live.search(queries, 100)
    """

    def __init__(self, index: HnswIndex) -> None:
        """A live index over `index`, which nobody else may use until `close`."""
        self._index = index
        self._waiting: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._rebuilder = Rebuilder(index, lambda: self._waiting.put(None))
        self._thread = threading.Thread(target=self._own, name="index-owner", daemon=True)
        self._open = False
        self._over = False
        self._failure: Exception | None = None
        self._saving = asyncio.Lock()
        self._forks = False
        self._loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Answer what is waiting and end the threads; what is pending stays pending."""
        self._open = False
        self._waiting.put(None)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._index.dim

    def __len__(self) -> int:
        return len(self._index)

    async def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add ids or replace their vectors: see `VectorIndex.upsert`. Searches see them from now on."""
        await self._run(lambda: self._index.write(ids, vectors))

    async def delete(self, ids: Sequence[str]) -> None:
        """Remove ids; unknown ones are ignored. No search from now on returns them."""
        await self._run(lambda: self._index.remove(ids))

    async def describe(self, ids: Sequence[str], attributes: Sequence[Mapping[str, Values]]) -> None:
        """Replace all attributes of live ids: see `HnswIndex.describe`."""
        await self._run(lambda: self._index.describe(ids, attributes))

    async def search(self, queries: Vectors, k: int, where: Filter | None = None) -> Found:
        """About the nearest ids of each query that pass `where`, with their cosines: see `HnswIndex.search`."""
        unit = unit_rows(queries, self.dim, "queries")
        found: Found = await self._submitted(_Search(self._future(), unit, checked_k(k), where))
        return found

    async def vectors(self, ids: Sequence[str]) -> Vectors:
        """Stored unit vectors, float32 (len(ids), dim); a row of zeros for an id that is not live."""
        gathered: Vectors = await self._run(lambda: self._index.vectors(ids))
        return gathered

    async def sample(self, n: int, seed: int = 0) -> list[str]:
        """At most `n` ids, chosen by `seed`."""

        def choose() -> list[str]:
            ids = self._index.rows.ids
            chosen: list[str] = np.random.default_rng(seed).permutation(ids)[:n].tolist()
            return chosen

        ids: list[str] = await self._run(choose)
        return ids

    async def recall(self, probes: int, k: int, seed: int = 0) -> float:
        """The share of the true `k` nearest that searches find, on `probes` queries: see `index.probe`."""

        def measure() -> float:
            return recall(self._index, probe_queries(self._index, probes, seed), k) if len(self._index) else 1.0

        measured: float = await self._run(measure)
        return measured

    async def stats(self) -> LiveStats:
        """How it is doing."""

        def look() -> LiveStats:
            index, rebuilder = self._index, self._rebuilder
            graph = index.pending, index.tombstones, rebuilder.running
            return LiveStats(len(index), *graph, index.nbytes, rebuilder.finished)

        stats: LiveStats = await self._run(look)
        return stats

    async def rebuild(self, width: int | None = None) -> None:
        """Ask for a new graph, to be built beside the one that serves; returns at once.

        Args:
            width: fit a projection to the rows and put the graph into so many dimensions; None leaves them.

        Raises:
            IndexInputError: the rows are too few for `width`, or their dimension is.
        """

        def ask() -> None:
            self._rebuilder.request(None if width is None else self._index.fitted_projection(width))

        await self._run(ask)

    async def snapshot(self, directory: Path, meta: SnapshotMeta) -> Path:
        """Save the index as it is now, in a child process; returns where.

        The loop waits for nothing but the fork, which `index.pages` makes shorter. The first snapshot makes OpenBLAS,
        and so numpy, use one thread in this process from then on: see `index.blas`.

        Args:
            directory: where snapshots are kept; `index.snapshot.load` reads it.
            meta: to find again with it. Its offsets may lie behind what is saved, since applying a record twice does
                no harm, but not ahead of it: take them from writes that were awaited.

        Raises:
            SnapshotError: it could not be written.
        """
        async with self._saving:
            if not self._forks:
                self._forks = True
                if use_one_thread():
                    await asyncio.sleep(_LONGEST_PRODUCT_S)
            await asyncio.to_thread(self._index.shorten_forks)
            held, resume = self._future(), threading.Event()

            def hold() -> None:
                self._loop.call_soon_threadsafe(_settle, [(held, None)])
                resume.wait()

            holding = asyncio.ensure_future(self._run(hold))
            try:
                await asyncio.wait([held, holding], return_when=asyncio.FIRST_COMPLETED)
                if holding.done():  # it never held: closed
                    holding.result()
                child = save_in_child(self._index, directory, meta)
            finally:
                resume.set()
            await holding
            return await asyncio.to_thread(child.wait)

    async def _run(self, call: Callable[[], Any]) -> Any:
        return await self._submitted(_Task(self._future(), call))

    def _future(self) -> "asyncio.Future[Any]":
        if not self._open:
            raise LiveIndexClosedError("the index is not open: use it inside `async with`")
        return self._loop.create_future()

    async def _submitted(self, request: _Request) -> Any:
        self._waiting.put(request)
        if self._over:  # its thread ended while this was on the way
            self._reject_waiting()
        return await request.future

    def _reject_waiting(self) -> None:
        while not self._waiting.empty():
            request = self._waiting.get()
            if request is not None and not request.future.done():
                error = LiveIndexClosedError("the index is closed, or its thread has failed")
                error.__cause__ = self._failure
                request.future.set_exception(error)

    # What follows runs on the owner thread.

    def _own(self) -> None:
        try:
            self._index.warm()
            self._index.rows.own()
            while self._open or not self._waiting.empty():
                requests = self._drained()
                started = time.monotonic()
                self._serve(requests)
                self._rebuilder.advance()
                self._absorb(time.monotonic() - started)
        except Exception as error:  # handed to whoever waits, below
            self._failure = error
        finally:
            self._over = True
            self._rebuilder.close()
            with contextlib.suppress(RuntimeError):  # the loop was closed before the index: nobody waits
                self._loop.call_soon_threadsafe(self._reject_waiting)

    def _drained(self) -> list[_Request]:
        """All that is waiting; waits for the first when there is no upkeep to do."""
        requests = [] if self._index.pending else [self._waiting.get()]
        while not self._waiting.empty():
            requests.append(self._waiting.get())
        return [request for request in requests if request is not None]

    def _serve(self, requests: list[_Request]) -> None:
        """Tasks in their order, then the searches, those that differ in nothing but their queries in one batch."""
        done: list[tuple[asyncio.Future[Any], Any]] = []
        searches: dict[tuple[int, Filter | None], list[_Search]] = defaultdict(list)
        for request in requests:
            if isinstance(request, _Search):
                searches[request.k, request.where].append(request)
            else:
                done.append((request.future, _outcome(request.call)))
        for batch in searches.values():
            done += zip([one.future for one in batch], self._answers(batch), strict=True)
        if done:
            self._loop.call_soon_threadsafe(_settle, done)

    def _answers(self, batch: list[_Search]) -> list[Any]:
        queries, k, where = np.concatenate([one.queries for one in batch]), batch[0].k, batch[0].where
        outcome = _outcome(lambda: self._index.search(queries, k, where))
        if isinstance(outcome, Exception):
            return [outcome] * len(batch)
        names, cosines = outcome
        ends = np.cumsum([len(one.queries) for one in batch]).tolist()
        return [(names[a:b], cosines[a:b]) for a, b in zip([0, *ends], ends, strict=False)]

    def _absorb(self, served: float) -> None:
        """Bring rows into the graph: at least a few, and for long only while nobody waits."""
        started, spent = time.monotonic(), 0.0
        while self._index.pending and spent < (_UPKEEP_SHARE * served if not self._waiting.empty() else _UPKEEP_S):
            self._index.absorb(_ABSORBED_AT_ONCE)
            spent = time.monotonic() - started


def _outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or the exception it raises: both belong to the coroutine that waits for them."""
    try:
        return call()
    except Exception as error:
        return error


def _settle(done: list[tuple["asyncio.Future[Any]", Any]]) -> None:
    for future, outcome in done:
        if future.done():  # nobody waits any more
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
