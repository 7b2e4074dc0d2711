"""The live index beside raw hnswlib, and beside usearch and faiss where they are installed.

    python -m benchmarks.vector_index [--texts FILE | --vectors FILE.npy] [--items 20000] [--k 100] [--only PART ...]

`--texts` has one short text a line, to be embedded by the encoder that `--model` names; `--vectors` holds float32
(n, dim) embeddings that were made before. Without either a mixture of clusters stands in for them, which is easier for
every graph. `--items 1000000` is possible where there is the memory: about 8 GB.

Queries are shopper profiles: decayed means of eight neighbours of an item that is not in the index. Times are CPU time
of one thread, so that ratios hold on a busy machine; everything runs in one process, one after the other. Queries are
asked in rounds, everybody once in each, and everybody's quickest round counts. Recall is recall@k against looking at
all rows; "at equal recall" compares with the quickest `ef` of raw hnswlib that reaches the same. usearch and faiss are
the extra `peers`.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np

from benchmarks.index_tools import (
    Floats,
    Ints,
    Table,
    encoded,
    in_batches,
    installed,
    mixture,
    processor,
    profiles,
    recall,
    rounds,
    share_found,
    timed,
    unit,
)
from index.attributes import Filter
from index.crossover import NEVER
from index.graph import HnswParams
from index.hnsw import HnswIndex
from index.live import LiveIndex
from index.products import products
from index.scan import scan
from index.snapshot import SnapshotMeta, load, save

PARAMS = HnswParams()
EFS = (100, 107, 115, 122, 130, 137, 145, 152, 160, 170, 180, 190, 200, 215, 230, 260, 300, 400)
HELD_OUT = 700
PARTS = ("filtered", "storage", "churn", "delete", "live")

Search = Callable[[Floats], list[list[str]] | Ints]


def raw(dim: int, capacity: int, ef: int = PARAMS.ef) -> Any:
    graph = hnswlib.Index("ip", dim)
    graph.init_index(capacity, M=PARAMS.m, ef_construction=PARAMS.ef_construction)
    graph.set_num_threads(1)
    graph.set_ef(ef)
    return graph


def build_and_query(table: Table, rows: Floats, queries: Floats, k: int) -> tuple[HnswIndex, Any]:
    """Add everything, then ask one by one and in batches."""
    n, dim = rows.shape
    names = [str(i) for i in range(n)]
    truth, _ = scan(rows, queries, k)
    searches: dict[str, Search] = {}

    graph = raw(dim, n)
    with timed() as base:
        in_batches(n, lambda a, b: graph.add_items(rows[a:b], np.arange(a, b)))
    table.add("add", "hnswlib", f"{n / base.seconds:,.0f} /s")
    searches["hnswlib"] = lambda part: graph.knn_query(part, k=k)[0]

    ours = HnswIndex(dim, PARAMS, crossover=NEVER)
    with timed() as clock:
        in_batches(n, lambda a, b: ours.upsert(names[a:b], rows[a:b]))
    table.add("add", "upwell", f"{n / clock.seconds:,.0f} /s", f"{base.seconds / clock.seconds:.2f}x hnswlib")
    searches["upwell, graph"] = lambda part: ours.search(part, k)[0]

    for width in (dim // 3, 5 * dim // 12):
        projected = HnswIndex(dim, PARAMS, crossover=NEVER, projection=ours.fitted_projection(width))
        with timed() as clock:
            in_batches(n, lambda a, b, to=projected: to.upsert(names[a:b], rows[a:b]))  # type: ignore[misc]
        remark = f"{base.seconds / clock.seconds:.2f}x hnswlib"
        table.add("add", f"upwell, PCA {width}", f"{n / clock.seconds:,.0f} /s", remark)
        searches[f"upwell, PCA {width}"] = lambda part, ask=projected: ask.search(part, k)[0]  # type: ignore[misc]

    scanned = HnswIndex(dim, PARAMS)
    with timed() as clock:
        in_batches(n, lambda a, b: scanned.write(names[a:b], rows[a:b]))
    table.add("write", "upwell, rows", f"{n / clock.seconds:,.0f} /s", f"{base.seconds / clock.seconds:,.0f}x hnswlib")
    kernel = "float32" if products(dim) is None else "int8"
    searches[f"upwell, scan {kernel}"] = lambda part: scanned.search(part, k)[0]

    if (usearch := installed("usearch.index")) is not None:
        other = usearch.Index(
            ndim=dim, metric="ip", dtype="f32", connectivity=PARAMS.m,
            expansion_add=PARAMS.ef_construction, expansion_search=PARAMS.ef,
        )  # fmt: skip
        with timed() as clock:
            in_batches(n, lambda a, b: other.add(np.arange(a, b), rows[a:b], threads=1))
        table.add("add", "usearch", f"{n / clock.seconds:,.0f} /s", f"{base.seconds / clock.seconds:.2f}x hnswlib")
        searches["usearch"] = lambda part: other.search(part, k, threads=1).keys.reshape(len(part), -1)
    if (faiss := installed("faiss")) is not None:
        faiss.omp_set_num_threads(1)
        flat = faiss.IndexHNSWFlat(dim, PARAMS.m, faiss.METRIC_INNER_PRODUCT)
        flat.hnsw.efConstruction, flat.hnsw.efSearch = PARAMS.ef_construction, PARAMS.ef
        with timed() as clock:
            in_batches(n, lambda a, b: flat.add(rows[a:b]))
        table.add("add", "faiss", f"{n / clock.seconds:,.0f} /s", f"{base.seconds / clock.seconds:.2f}x hnswlib")
        searches["faiss"] = lambda part: flat.search(part, k)[1]

    compare(table, searches, queries, truth)
    at_equal_recall(table, graph, searches, queries, truth)
    return ours, graph


def at_equal_recall(table: Table, graph: Any, searches: dict[str, Search], queries: Floats, truth: Ints) -> None:
    """How long hnswlib takes for the recall that others reach, all queries in one batch."""
    k = truth.shape[1]

    def walked(ef: int) -> Ints:
        graph.set_ef(ef)
        found: Ints = graph.knn_query(queries, k=k)[0]
        return found

    others = [who for who in searches if who.startswith("upwell, PCA") or who in ("usearch", "faiss")]
    asked: dict[Any, Callable[[], list[list[str]] | Ints]] = {ef: partial(walked, ef) for ef in EFS}
    asked |= {who: partial(searches[who], queries) for who in others}
    taken, found = rounds(asked)
    graph.set_ef(PARAMS.ef)
    reached = {who: share_found(answers, truth) for who, answers in found.items()}
    for who in others:
        enough = [taken[ef] for ef in EFS if reached[ef] >= reached[who]]
        figure = f"{min(enough) / taken[who]:.2f}x hnswlib" if enough else "hnswlib does not reach it"
        table.add("query at equal recall", who, figure, f"recall {reached[who]:.4f}")


def compare(table: Table, searches: dict[str, Search], queries: Floats, truth: Ints) -> None:
    """Ask everyone the same, one query at a time and in batches; the first is the one to compare with."""

    def asked(search: Search, size: int) -> list[Any]:
        parts = [queries[a : a + size] for a in range(0, len(queries) if size > 1 else 100, size)]
        return [one for part in parts for one in search(part)]

    for size in (1, 32, 128):
        taken, found = rounds({who: partial(asked, search, size) for who, search in searches.items()})
        for who in searches:
            per_query = taken[who] / len(found[who]) * 1e6
            remark = recall(found[who], truth[: len(found[who])])
            if who != "hnswlib":
                remark += f", {taken['hnswlib'] / taken[who]:.2f}x hnswlib"
            table.add(f"query, batches of {size}", who, f"{per_query:,.0f} us", remark)


def churn(table: Table, ours: HnswIndex, graph: Any, fresh: Floats, queries: Floats, k: int) -> None:
    """Replace every vector by another one, a twentieth at a time."""
    n = len(fresh)
    names = np.array([str(i) for i in range(n)])
    parts = np.array_split(np.random.default_rng(2).permutation(n), 20)
    truth, _ = scan(fresh, queries, k)
    with timed() as base:
        for part in parts:
            graph.add_items(fresh[part], part)
    table.add("upsert, all", "hnswlib", f"{n / base.seconds:,.0f} /s", recall(graph.knn_query(queries, k=k)[0], truth))
    width = len(fresh[0]) // 3
    projected = HnswIndex(ours.dim, PARAMS, crossover=NEVER, projection=ours.fitted_projection(width))
    projected.upsert([str(i) for i in range(n)], ours.vectors([str(i) for i in range(n)]))
    for who, index in (("upwell", ours), (f"upwell, PCA {width}", projected)):
        with timed() as clock:
            for part in parts:
                index.upsert(names[part].tolist(), fresh[part])
        remark = f"{recall(index.search(queries, k)[0], truth)}, {base.seconds / clock.seconds:.2f}x hnswlib"
        table.add("upsert, all", who, f"{n / clock.seconds:,.0f} /s", remark)


def delete(table: Table, ours: HnswIndex, graph: Any) -> None:
    """Delete every second item, a hundred at a time, without the rebuild that may follow."""
    gone = list(range(0, len(ours), 2))
    with timed() as base:
        for label in gone:
            graph.mark_deleted(label)
    table.add("delete", "hnswlib", f"{len(gone) / base.seconds:,.0f} /s")
    with timed() as clock:
        for start in range(0, len(gone), 100):
            ours.remove([str(i) for i in gone[start : start + 100]])
    table.add(
        "delete", "upwell", f"{len(gone) / clock.seconds:,.0f} /s", f"{base.seconds / clock.seconds:.2f}x hnswlib"
    )


def filtered(table: Table, ours: HnswIndex, graph: Any, rows: Floats, queries: Floats, k: int) -> None:
    """Ask for rows of a random part only; ours gets the filters as attributes."""
    n, rng = len(rows), np.random.default_rng(3)
    shares = (0.5, 0.1, 0.01, 0.001)
    masks = {f"{share:.1%}": rng.random(n) < share for share in shares}
    names = [str(i) for i in range(n)]
    with timed() as clock:
        ours.describe(names, [{"in": [what for what, mask in masks.items() if mask[i]]} for i in range(n)])
    table.add("describe", "upwell", f"{n / clock.seconds:,.0f} /s")
    few = queries[:24]
    ours.search(few, k, Filter.of({"in": "10.0%"}))  # codes are made at the first scan
    ours.describe([], [])  # and what was gathered is forgotten
    for what, mask in masks.items():
        allowed = np.flatnonzero(mask)
        wanted = min(k, len(allowed))
        truth = allowed[scan(rows[allowed], few, wanted)[0]]
        passes = mask.tolist().__getitem__
        found: list[Any] = []
        with timed() as base:
            for query in few:
                try:
                    found.append(graph.knn_query(query, k=wanted, num_threads=1, filter=passes)[0][0])
                except RuntimeError:  # it reached fewer than that
                    found.append([])
        table.add(f"filter {what}", "hnswlib", f"{base.seconds / len(few) * 1e6:,.0f} us", recall(found, truth))
        where = Filter.of({"in": what})
        with timed() as clock:
            answers = [ours.search(query[None], k, where)[0][0] for query in few]
        remark = f"{recall(answers, truth)}, {base.seconds / clock.seconds:,.1f}x hnswlib"
        table.add(f"filter {what}", "upwell", f"{clock.seconds / len(few) * 1e6:,.0f} us", remark)
        with timed() as clock:
            together = ours.search(few, k, where)[0]
        remark = f"{recall(together, truth)}, {base.seconds / clock.seconds:,.1f}x hnswlib"
        table.add(f"filter {what}", "upwell, together", f"{clock.seconds / len(few) * 1e6:,.0f} us", remark)


def storage(table: Table, ours: HnswIndex, graph: Any) -> None:
    """Save, load, rebuild, and how much there is of it."""
    n = len(ours)
    with tempfile.TemporaryDirectory() as directory:
        with timed() as clock:
            save(ours, Path(directory), SnapshotMeta("benchmark"))
        table.add("save", "upwell", f"{clock.seconds:.2f} s")
        graph.save_index(f"{directory}/hnswlib")
        with timed() as alone:
            hnswlib.Index("ip", ours.dim).load_index(f"{directory}/hnswlib")
        waited = time.perf_counter()
        with timed() as loading:
            loaded = load(Path(directory), NEVER)
        waited = time.perf_counter() - waited
        assert loaded is not None
        assert isinstance(loaded[0], HnswIndex)
        with timed() as warming:
            loaded[0].warm()
    started = time.perf_counter()
    with timed() as building:
        ours.compact()
    started = time.perf_counter() - started
    ratio = f"{building.seconds / loading.seconds:,.0f}x rebuilding"
    wall = f"{waited:.3f} s and {started / waited:,.0f}x by the wall clock"
    table.add("load", "upwell", f"{loading.seconds:.3f} s", f"{ratio}, {wall}")
    whole = loading.seconds + warming.seconds
    table.add("load, graph put together", "upwell", f"{whole:.3f} s", f"{building.seconds / whole:,.0f}x rebuilding")
    table.add("load", "hnswlib", f"{alone.seconds:.3f} s", f"{building.seconds / alone.seconds:,.0f}x, unverified")
    table.add("memory an item", "hnswlib", f"{graph.index_file_size() / n:,.0f} B")
    table.add("memory an item", "upwell", f"{ours.nbytes / n:,.0f} B", "graph, rows, codes; spare capacity included")


async def live(table: Table, rows: Floats, queries: Floats, k: int, seconds: float = 6.0) -> None:
    """One writer and eight readers on one event loop, while the index is saved three times."""
    names = [str(i) for i in range(len(rows))]
    counts = {"upserts": 0, "searches": 0}
    stalls: list[float] = []
    idle: list[float] = []
    forks: list[float] = []
    running, fork = True, os.fork

    async def write() -> None:
        rng = np.random.default_rng(4)
        while running:
            chosen = rng.integers(0, len(rows), 50)
            await opened.upsert([names[i] for i in chosen], rows[rng.integers(0, len(rows), 50)])
            counts["upserts"] += 50
            await asyncio.sleep(0.1)

    async def read(start: int) -> None:
        while running:
            found, _ = await opened.search(queries[start : start + 4], k)
            counts["searches"] += len(found)

    async def watch(stalls: list[float]) -> None:
        while running:
            start = time.perf_counter()
            await asyncio.sleep(0.002)
            stalls.append(time.perf_counter() - start - 0.002)

    def forked() -> int:
        start = time.thread_time()
        pid = fork()
        forks.append(time.thread_time() - start)
        return pid

    index = HnswIndex(rows.shape[1], PARAMS, crossover=NEVER)
    index.upsert(names, rows)
    alone = asyncio.ensure_future(watch(idle))
    await asyncio.sleep(seconds / 2)
    alone.cancel()
    with tempfile.TemporaryDirectory() as directory:
        async with LiveIndex(index) as opened:
            started = time.perf_counter()
            tasks = [asyncio.ensure_future(one) for one in (write(), watch(stalls), *(read(4 * i) for i in range(8)))]
            await asyncio.sleep(seconds / 2)
            os.fork = forked
            for _ in range(3):
                await opened.snapshot(Path(directory), SnapshotMeta("benchmark"))
            os.fork = fork
            await asyncio.sleep(seconds / 2)
            running = False
            await asyncio.gather(*tasks)
            took = time.perf_counter() - started
    beside = f"{counts['upserts'] / took:,.0f} upserts/s beside them"
    table.add("live, wall clock", "upwell", f"{counts['searches'] / took:,.0f} searches/s", beside)
    table.add("live, fork", "upwell", f"{max(forks) * 1e3:.1f} ms", "processor time, the loop waits; longest of three")
    remark = f"p99.9 {np.quantile(stalls, 0.999) * 1e3:.0f} ms, three snapshots included"
    table.add("live, loop stall", "upwell", f"{max(stalls) * 1e3:.0f} ms", remark)
    table.add("live, loop stall", "nothing else", f"{max(idle) * 1e3:.0f} ms", "the machine's own")


def main() -> None:
    parser = argparse.ArgumentParser(description="The live index beside raw hnswlib, usearch and faiss.")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--texts", type=Path, help="real short texts, one a line")
    given.add_argument("--vectors", type=Path, help="float32 (n, dim) embeddings of real short texts, .npy")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="what embeds the texts")
    parser.add_argument("--items", type=int, default=20_000, help="items in the index, at most")
    parser.add_argument("--k", type=int, default=100, help="neighbours asked for")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="besides building and asking")
    chosen = parser.parse_args()
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":  # it is read when numpy is imported: start again with it
        one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        os.execve(
            sys.executable, [sys.executable, "-m", "benchmarks.vector_index", *sys.argv[1:]], {**os.environ, **one}
        )
    wanted = chosen.items + HELD_OUT
    if chosen.texts is not None:
        every = unit(encoded(chosen.texts, chosen.model, wanted))
    else:
        every = mixture(wanted) if chosen.vectors is None else unit(np.load(chosen.vectors).astype(np.float32))
    every = np.random.default_rng(0).permutation(every)[:wanted]
    rows, held_out = every[:-HELD_OUT], every[-HELD_OUT:]
    queries = profiles(rows, held_out, 512)
    file = chosen.texts or chosen.vectors
    corpus = "a mixture of clusters" if file is None else file.name
    print(f"{len(rows):,} items of {rows.shape[1]} dimensions ({corpus}), k = {chosen.k}, {PARAMS}")
    print(f"{processor()}, Python {platform.python_version()}, CPU time of one thread")
    table = Table()
    ours, graph = build_and_query(table, rows, queries, chosen.k)
    steps: dict[str, Callable[[], None]] = {
        "filtered": lambda: filtered(table, ours, graph, rows, queries, chosen.k),
        "storage": lambda: storage(table, ours, graph),
        "churn": lambda: churn(table, ours, graph, np.random.default_rng(5).permutation(rows), queries, chosen.k),
        "delete": lambda: delete(table, ours, graph),
        "live": lambda: asyncio.run(live(table, rows, queries, chosen.k)),
    }
    for step in (step for step in steps if step in chosen.only):
        steps[step]()
    table.print()


if __name__ == "__main__":
    main()
