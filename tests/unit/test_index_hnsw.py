"""What the graph's keeper does about tombstones, and how well it finds things afterwards."""

import numpy as np
import pytest

from index.crossover import NEVER, Crossover
from index.graph import HnswParams
from index.hnsw import HnswIndex
from index.order import Order
from index.probe import probe_queries, recall
from index.quantized import Int8Scanner
from index.scan import FloatScanner

DIM = 32


def clustered(n: int, seed: int = 0) -> np.ndarray:
    """Unit vectors in 40 clusters, float32 (n, DIM); the same clusters for every seed."""
    centres = np.random.default_rng(99).standard_normal((40, DIM))
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(0, 40, n)] + 0.7 * rng.standard_normal((n, DIM))
    return unit(rows)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def ids(n: int, start: int = 0) -> list[str]:
    return [f"i{i}" for i in range(start, start + n)]


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_recall_survives_a_whole_turnover(share: float) -> None:
    n = 3000
    index = HnswIndex(DIM, HnswParams(tombstone_share=share), crossover=NEVER)
    index.upsert(ids(n), clustered(n))
    order = np.random.default_rng(1).permutation(n)
    fresh = clustered(n, seed=2)
    for part in np.array_split(order, 15):
        index.upsert([f"i{i}" for i in part], fresh[part])
        assert index.tombstones <= share * n
    assert recall(index, probe_queries(index, 200), 50) >= 0.97


def test_searches_that_tombstones_slow_down_bring_a_rebuild_about() -> None:
    index = HnswIndex(DIM, crossover=NEVER)
    rows = clustered(500)
    index.upsert(ids(500), rows)
    index.delete(ids(100))
    assert index.tombstones == 100
    assert not index.rebuild_due
    for _ in range(5):
        index.search(rows, 10)
    assert index.rebuild_due
    index.delete(["i100"])
    assert index.tombstones == 0
    assert not index.rebuild_due


def test_queries_into_a_cluster_that_died_are_answered_in_full() -> None:
    index = HnswIndex(DIM, HnswParams(tombstone_share=9.0), crossover=NEVER)
    rng = np.random.default_rng(0)
    near = np.eye(1, DIM, 0) + 0.05 * rng.standard_normal((600, DIM))
    far = np.eye(1, DIM, 1) + 0.05 * rng.standard_normal((3000, DIM))
    index.upsert(ids(600), near)
    index.upsert(ids(3000, 600), far)
    index.delete(ids(600))
    assert index.tombstones == 600
    found, cosines = index.search(near[:20], 100)
    assert all(len(set(row)) == 100 for row in found)
    assert all(int(name[1:]) >= 600 for row in found for name in row)
    assert all(np.all(np.diff(row) <= 0) for row in cosines)
    assert recall(index, unit(near[:20]), 100) >= 0.99


@pytest.mark.parametrize("width", [None, 16])
def test_queries_are_answered_alike_alone_and_together(width: int | None) -> None:
    index = HnswIndex(DIM, crossover=NEVER)
    index.upsert(ids(3000), clustered(3000))
    if width is not None:
        index.compact(index.fitted_projection(width))
    queries = clustered(70, seed=1)
    names, cosines = index.search(queries, 20)
    for place, query in enumerate(queries):
        ((alone,), (theirs,)) = index.search(query[None], 20)
        assert alone == names[place]
        np.testing.assert_allclose(theirs, cosines[place], atol=1e-6)


def test_rows_that_wait_for_others_are_found_and_taken_in_by_searches() -> None:
    index = HnswIndex(DIM, crossover=NEVER)
    rows = clustered(2100)
    index.upsert(ids(2000), rows[:2000])
    assert index.pending == 0
    for place in range(2000, 2020):
        index.upsert(ids(1, place), rows[place : place + 1])
        assert index.search(rows[place : place + 1], 1)[0] == [ids(1, place)]
    index.upsert(ids(20, 2020), rows[2020:2040])
    assert index.pending == 20
    assert [index.search(rows[2039:2040], 1)[0][0][0] for _ in range(3)] == ["i2039"] * 3
    assert index.pending == 0
    index.upsert(ids(60, 2040), rows[2040:])
    assert index.pending == 0


def test_near_queries_follow_one_another() -> None:
    pivots = unit(np.array([[0, 1], [1, 0], [0.9, 0.5], [-1, 0.1]]))
    order = Order(pivots).of(unit(np.array([[-1, 0], [1, 0.1], [0.1, 1], [1, 0.6], [-0.9, 0.3], [0.2, 1]])))
    assert order.tolist() == [2, 5, 3, 1, 0, 4]


def test_a_small_catalogue_has_no_graph() -> None:
    index = HnswIndex(DIM, crossover=Crossover(((1, 400),)))
    index.upsert(ids(400), clustered(400))
    assert index.generation.labels.given == index.pending == 0
    assert recall(index, probe_queries(index, 50), 20) == 1.0
    index.upsert(ids(200, 400), clustered(200, seed=1))
    assert index.generation.labels.given == 600
    assert index.pending == 0


def test_an_abandoned_rebuild_changes_nothing() -> None:
    index = HnswIndex(DIM, crossover=NEVER)
    rows = clustered(300)
    index.upsert(ids(300), rows)
    index.start_rebuild()
    portion = index.rebuild_portion(100)
    assert portion is not None
    index.delete(ids(10))
    index.abandon_rebuild()
    assert index.rebuild_portion() is None
    assert index.tombstones == 10
    assert sorted(index.search(rows[:1], 300)[0][0]) == sorted(ids(290, 10))


def test_the_probe_sees_a_graph_that_misses_things() -> None:
    index = HnswIndex(DIM, HnswParams(m=4, ef_construction=8, ef=8), crossover=NEVER)
    index.upsert(ids(2000), clustered(2000))
    assert recall(index, probe_queries(index, 100), 10) < 0.9
    assert recall(HnswIndex(DIM), clustered(3), 10) == 1.0


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
def test_tombstones_spread_by_chance_leave_searches_to_the_graph(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    index = HnswIndex(DIM, crossover=NEVER)
    rows = clustered(3000)
    index.upsert(ids(3000), rows)
    gone = np.random.default_rng(0).random(3000) < share
    index.delete([f"i{i}" for i in np.flatnonzero(gone)])
    scanned: list[int] = []
    monkeypatch.setattr(FloatScanner, "scan", lambda self, queries, k: scanned.append(len(queries)))
    monkeypatch.setattr(Int8Scanner, "scan", lambda self, queries, k: scanned.append(len(queries)))
    found, _ = index.search(rows[:300], 100)
    assert all(len(set(row)) == 100 for row in found)
    assert not scanned
