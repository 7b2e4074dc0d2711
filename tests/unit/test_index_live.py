"""The live index: many coroutines, one owner."""

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from index.attributes import Filter
from index.base import IndexInputError
from index.crossover import NEVER
from index.durable import published
from index.graph import Graph, HnswParams
from index.hnsw import HnswIndex
from index.live import LiveIndex, LiveIndexClosedError
from index.products import products
from index.snapshot import SnapshotError, SnapshotMeta, load, save
from tests.index_products import plain

DIM = 16


def vectors(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def ids(n: int, start: int = 0) -> list[str]:
    return [f"i{i}" for i in range(start, start + n)]


async def at_rest(live: LiveIndex) -> None:
    """Wait until the graph holds everything and no rebuild runs."""
    while True:
        stats = await live.stats()
        if not stats.pending and not stats.rebuilding:
            return
        await asyncio.sleep(0.01)


@pytest.fixture
async def live() -> AsyncIterator[LiveIndex]:
    async with LiveIndex(HnswIndex(DIM, crossover=NEVER)) as opened:
        yield opened


async def test_a_write_is_seen_at_once(live: LiveIndex) -> None:
    rows = vectors(3000)
    await live.upsert(ids(3000), rows)
    found, cosines = await live.search(rows[-20:], 1)
    assert found == [[one] for one in ids(3000)[-20:]]
    np.testing.assert_allclose(np.concatenate(cosines), 1.0, atol=1e-5)
    assert len(live) == 3000
    assert live.dim == DIM
    await at_rest(live)
    found, _ = await live.search(rows[-20:], 1)
    assert sum(row == [one] for row, one in zip(found, ids(3000)[-20:], strict=True)) >= 19


async def test_a_delete_is_seen_at_once(live: LiveIndex) -> None:
    rows = vectors(500)
    await live.upsert(ids(500), rows)
    await at_rest(live)
    await live.delete(ids(100))
    found, _ = await live.search(rows[:100], 400)
    assert all(sorted(row) == sorted(ids(400, 100)) for row in found)


async def test_many_searches_get_their_own_answers(live: LiveIndex) -> None:
    rows = vectors(300)
    await live.upsert(ids(300), rows)
    sizes = [1, 3, 0, 7, 2]
    ks = [1, 5, 5, 2, 1]
    answers = await asyncio.gather(
        *(live.search(rows[10 * i : 10 * i + size], k) for i, (size, k) in enumerate(zip(sizes, ks, strict=True)))
    )
    for i, (found, cosines) in enumerate(answers):
        assert [row[0] for row in found] == ids(sizes[i], 10 * i)
        assert [len(row) for row in found] == [len(row) for row in cosines] == [ks[i]] * sizes[i]


async def test_filtered_searches_are_told_apart(live: LiveIndex) -> None:
    rows = vectors(40)
    await live.upsert(ids(40), rows)
    await live.describe(ids(40), [{"even": i % 2 == 0} for i in range(40)])
    even, odd, every = await asyncio.gather(
        live.search(rows[:1], 40, Filter.of({"even": True})),
        live.search(rows[:1], 40, Filter.of(exclude={"even": True})),
        live.search(rows[:1], 40),
    )
    assert sorted(even[0][0]) == sorted(ids(40)[::2])
    assert sorted(odd[0][0]) == sorted(ids(40)[1::2])
    assert sorted(every[0][0]) == sorted(ids(40))


async def test_vectors_come_back(live: LiveIndex) -> None:
    rows = vectors(5)
    await live.upsert(ids(5), rows)
    got = await live.vectors(["i3", "nobody"])
    np.testing.assert_allclose(got[0], rows[3] / np.linalg.norm(rows[3]), atol=1e-6)
    assert not got[1].any()


async def test_errors_reach_whoever_caused_them_and_nobody_else(live: LiveIndex) -> None:
    await live.upsert(ids(5), vectors(5))
    results = await asyncio.gather(
        live.upsert(["a"], np.full((1, DIM), np.nan)),
        live.search(vectors(1)[:, :3], 1),
        live.search(vectors(1), 0),
        live.search(vectors(1), 2),
        return_exceptions=True,
    )
    assert [type(one) for one in results] == [IndexInputError, IndexInputError, IndexInputError, tuple]
    assert len(live) == 5


async def test_churn_is_cleaned_up_in_the_background(live: LiveIndex) -> None:
    for seed in range(8):
        await live.upsert(ids(600), vectors(600, seed))
        await at_rest(live)
    stats = await live.stats()
    assert stats.items == 600
    assert stats.nbytes >= 2 * 600 * DIM * 4
    assert stats.tombstones <= 600
    rows = vectors(600, 7)
    found, _ = await live.search(rows, 1)
    assert sum(row == [one] for row, one in zip(found, ids(600), strict=True)) >= 590


async def test_the_loop_never_waits_for_the_graph(
    live: LiveIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is done to a graph is done by the owner, or in a rebuild; a snapshot by a child."""
    callers: Counter[tuple[str, str]] = Counter()

    def watched(name: str) -> None:
        method = getattr(Graph, name)

        def call(self: Graph, *args: object, **kwargs: object) -> object:
            callers[name, threading.current_thread().name.partition("_")[0]] += 1
            return method(self, *args, **kwargs)

        monkeypatch.setattr(Graph, name, call)

    for name in ("__init__", "add", "nearest", "apart", "warm"):
        watched(name)
    await live.upsert(ids(900), vectors(900))
    await at_rest(live)
    await live.search(vectors(50), 10)
    await live.recall(20, 10)
    await live.upsert(ids(500), vectors(500, 1))
    await live.rebuild(8)
    await live.snapshot(tmp_path, SnapshotMeta("m"))
    await at_rest(live)
    assert callers["add", "index-owner"] > 0
    assert callers["add", "index-rebuild"] > 0
    assert callers["nearest", "index-owner"] > 0
    assert {thread for _, thread in callers} == {"index-owner", "index-rebuild"}


async def test_a_fork_copies_short_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes it short is done before it, in a thread: rows are no file's, and memory is in large pages."""
    done: list[str] = []
    fork, shorten = os.fork, HnswIndex.shorten_forks

    def forked() -> int:
        done.append("fork")
        return fork()

    def shortened(self: HnswIndex) -> None:
        done.append(f"rows mapped: {self.rows.mapped}, loop waits: {threading.current_thread() is loop}")
        shorten(self)

    written = HnswIndex(DIM, crossover=NEVER)
    written.upsert(ids(300), vectors(300))
    save(written, tmp_path, SnapshotMeta("m"))
    loaded = load(tmp_path, NEVER)
    assert loaded is not None
    assert isinstance(loaded[0], HnswIndex)
    assert loaded[0].rows.mapped
    monkeypatch.setattr("index.forked.os.fork", forked)
    monkeypatch.setattr(HnswIndex, "shorten_forks", shortened)
    loop = threading.current_thread()
    async with LiveIndex(loaded[0]) as live:
        await live.stats()
        await live.snapshot(tmp_path, SnapshotMeta("m"))
        found, _ = await live.search(vectors(300)[:5], 1)
    assert done == ["rows mapped: False, loop waits: False", "fork"]
    assert found == [[one] for one in ids(5)]


async def test_closed_it_says_so() -> None:
    live = LiveIndex(HnswIndex(DIM))
    with pytest.raises(LiveIndexClosedError, match="async with"):
        await live.search(vectors(1), 1)
    await live.close()
    async with live:
        await live.upsert(ids(2), vectors(2))
    with pytest.raises(LiveIndexClosedError):
        await live.upsert(ids(2), vectors(2))
    with pytest.raises(LiveIndexClosedError):
        await live.snapshot(Path("unused"), SnapshotMeta("m"))


async def test_a_failing_owner_tells_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: HnswIndex, limit: int | None = None) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(HnswIndex, "absorb", fails)
    async with LiveIndex(HnswIndex(DIM, crossover=NEVER)) as live:
        await live.upsert(ids(2), vectors(2))
        with pytest.raises(LiveIndexClosedError) as caught:
            await asyncio.gather(*(live.search(vectors(1), 1) for _ in range(10)), at_rest(live))
    assert isinstance(caught.value.__cause__, MemoryError)


async def test_a_cancelled_search_harms_nobody(live: LiveIndex) -> None:
    await live.upsert(ids(100), vectors(100))
    search = asyncio.ensure_future(live.search(vectors(50), 10))
    await asyncio.sleep(0)
    search.cancel()
    with pytest.raises(asyncio.CancelledError):
        await search
    assert len((await live.search(vectors(1), 10))[0][0]) == 10


async def test_a_snapshot_holds_one_moment_while_writes_go_on(live: LiveIndex, tmp_path: Path) -> None:
    rows = vectors(2000)
    await live.upsert(ids(1000), rows[:1000])
    writing = True

    async def write() -> None:
        batch = 0
        while writing:
            start = 1000 + batch % 10 * 100
            await live.upsert(ids(100, start), rows[start : start + 100])
            await live.delete(ids(100, start))
            batch += 1

    writer = asyncio.ensure_future(write())
    paths = [await live.snapshot(tmp_path, SnapshotMeta(f"m{i}", {"t/0": i})) for i in range(3)]
    writing = False
    await writer
    assert published(tmp_path) == paths[-2:]
    loaded = load(tmp_path, NEVER)
    assert loaded is not None
    index, meta = loaded
    assert meta == SnapshotMeta("m2", {"t/0": 2})
    assert len(index) in (1000, 1100)
    found, _ = index.search(rows[:1000], 1)
    assert sum(row == [one] for row, one in zip(found, ids(1000), strict=True)) >= 990


async def test_snapshots_while_other_threads_multiply(live: LiveIndex, tmp_path: Path) -> None:
    multiplying, done = True, {"matrices": 0, "codes": 0}
    matrix = np.random.default_rng(0).random((400, 400), dtype=np.float32)
    codes = (255 * matrix).astype(np.uint8)
    dots = (products(400) or plain)(codes.astype(np.int8))
    scores = np.empty((400, 400), dtype=np.int32)

    def multiply(what: str, product: Callable[[], object]) -> None:
        while multiplying:
            product()
            done[what] += 1

    await live.upsert(ids(100), vectors(100))
    async with asyncio.TaskGroup() as others:
        others.create_task(asyncio.to_thread(multiply, "matrices", lambda: matrix @ matrix))
        others.create_task(asyncio.to_thread(multiply, "codes", lambda: dots(codes, scores)))
        for _ in range(10):
            await live.snapshot(tmp_path, SnapshotMeta("m"))
        multiplying = False
    assert all(done.values())
    assert len(published(tmp_path)) == 2


async def test_a_snapshot_that_fails_says_why(live: LiveIndex, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotError, match="no snapshot could be written"):
        await live.snapshot(tmp_path / "file", SnapshotMeta("m"))
    await live.upsert(ids(2), vectors(2))
    assert len(live) == 2


@pytest.mark.parametrize("m", [4, 16])
@pytest.mark.parametrize("n", [100, 1000])
async def test_one_writer_and_two_readers_never_see_a_short_or_wrong_answer(m: int, n: int) -> None:
    rows = vectors(3 * n)
    pool = ids(3 * n)
    params = HnswParams(m=m, ef_construction=50, ef=50)
    async with LiveIndex(HnswIndex(DIM, params, crossover=NEVER)) as live:
        await live.upsert(pool[:n], rows[:n])
        await at_rest(live)
        dead: set[str] = set()
        rng = np.random.default_rng(0)
        writing = True

        async def write() -> None:
            nonlocal writing
            for _ in range(40):
                chosen = rng.choice(3 * n, 20, replace=False)
                names = [pool[i] for i in chosen]
                dead.difference_update(names)
                await live.upsert(names, rows[chosen])
                gone = [pool[i] for i in rng.choice(np.arange(n, 3 * n), 10, replace=False)]
                await live.delete(gone)
                dead.update(gone)
            writing = False

        async def read() -> int:
            searches = 0
            while writing:
                known_dead = set(dead)
                found, cosines = await live.search(rows[rng.choice(3 * n, 4)], 50)
                still_dead = known_dead & dead
                for names, row in zip(found, cosines, strict=True):
                    assert len(set(names)) == 50
                    assert not still_dead & set(names)
                    assert np.all(np.diff(row) <= 1e-6)
                searches += 1
            return searches

        _, *searches = await asyncio.gather(write(), read(), read())
    assert min(searches) > 0


async def test_a_fork_that_fails_is_a_snapshot_that_fails(
    live: LiveIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr("index.forked.os.fork", fails)
        with pytest.raises(SnapshotError, match="no process could be started"):
            await live.snapshot(tmp_path, SnapshotMeta("m"))
    await live.snapshot(tmp_path, SnapshotMeta("m"))


async def test_a_child_that_dies_is_a_snapshot_that_fails(
    live: LiveIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    await live.upsert(ids(3), vectors(3))
    await live.snapshot(tmp_path, SnapshotMeta("whole"))
    monkeypatch.setattr("index.forked.save", dies)
    with pytest.raises(SnapshotError, match="the process that wrote a snapshot died"):
        await live.snapshot(tmp_path, SnapshotMeta("m"))
    loaded = load(tmp_path)
    assert loaded is not None
    assert loaded[1].model == "whole"
