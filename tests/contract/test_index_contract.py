"""One suite for everything that claims to be a `VectorIndex`."""

from collections.abc import Callable

import numpy as np
import pytest

from index.base import IndexInputError, VectorIndex
from index.crossover import NEVER, Crossover
from index.exact import ExactIndex
from index.graph import HnswParams
from index.hnsw import HnswIndex
from index.products import products
from index.projection import Projection
from index.quantized import Int8Scanner
from index.rows import Rows
from index.scan import FloatScanner, Scanner
from index.shards import ShardedIndex
from tests.index_products import plain

DIM = 24
Make = Callable[[], VectorIndex]

SPARSE = HnswParams(m=4, ef_construction=20, ef=20)
ROTATION = Projection.fit(np.eye(DIM, dtype=np.float32), DIM)


def scanned(scanner: Callable[[Rows], Scanner]) -> ExactIndex:
    index = ExactIndex(DIM)
    index._scanner = scanner(index.rows)
    return index


INDEXES: dict[str, Make] = {
    "exact, float32": lambda: scanned(FloatScanner),
    "exact, int8": lambda: scanned(lambda rows: Int8Scanner(rows, lambda dim: products(dim) or plain, few=0)),
    "hnsw, scan where quicker": lambda: HnswIndex(DIM),
    "hnsw": lambda: HnswIndex(DIM, crossover=NEVER),
    "hnsw, sparse": lambda: HnswIndex(DIM, SPARSE, crossover=NEVER),
    "hnsw, scan up to 150": lambda: HnswIndex(DIM, crossover=Crossover(((1, 150),))),
    "three shards": lambda: ShardedIndex([HnswIndex(DIM, crossover=NEVER), HnswIndex(DIM), ExactIndex(DIM)]),
    "hnsw, projected": lambda: HnswIndex(DIM, crossover=NEVER, projection=ROTATION),
}


@pytest.fixture(params=INDEXES.values(), ids=INDEXES.keys())
def index(request: pytest.FixtureRequest) -> VectorIndex:
    return request.param()


def vectors(n: int, seed: int = 0) -> np.ndarray:
    """float32 (n, DIM), not of unit length, in a few clusters."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((8, DIM))
    return (centres[rng.integers(0, 8, n)] + 0.7 * rng.standard_normal((n, DIM))).astype(np.float32)


def ids(n: int, start: int = 0) -> list[str]:
    return [f"item-{i}" for i in range(start, start + n)]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_an_empty_index_answers_with_nothing(index: VectorIndex) -> None:
    assert len(index) == 0
    assert index.dim == DIM
    found, cosines = index.search(vectors(3), 5)
    assert found == [[], [], []]
    assert [len(row) for row in cosines] == [0, 0, 0]
    assert index.search(np.empty((0, DIM), np.float32), 5) == ([], [])
    assert "a" not in index
    assert not index.vectors(["a"]).any()


def test_each_item_is_nearest_to_itself(index: VectorIndex) -> None:
    rows = vectors(400)
    index.upsert(ids(400), rows)
    found, cosines = index.search(rows, 1)
    hits = sum(row == [one] for row, one in zip(found, ids(400), strict=True))
    assert hits >= 380  # a sparse graph may miss a few
    assert np.median([row[0] for row in cosines]) == pytest.approx(1.0, abs=1e-5)


def test_cosines_are_true_and_descend(index: VectorIndex) -> None:
    rows = vectors(300)
    index.upsert(ids(300), rows)
    queries = vectors(20, seed=1)
    found, cosines = index.search(queries, 30)
    for query, names, row in zip(unit(queries), found, cosines, strict=True):
        assert row.dtype == np.float32
        assert len(set(names)) == 30
        np.testing.assert_allclose(row, index.vectors(names) @ query, atol=1e-5)
        assert np.all(np.diff(row) <= 1e-6)


def test_vectors_come_back_as_unit_rows_and_unknown_ones_as_zeros(index: VectorIndex) -> None:
    rows = vectors(10)
    index.upsert(ids(10), rows)
    got = index.vectors(["item-3", "nobody", "item-3"])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[[0, 2]], unit(rows)[[3, 3]], atol=1e-6)
    assert not got[1].any()
    got[:] = 7
    np.testing.assert_allclose(index.vectors(["item-3"]), unit(rows)[[3]], atol=1e-6)
    assert index.vectors([]).shape == (0, DIM)


def test_a_replaced_vector_is_forgotten(index: VectorIndex) -> None:
    rows = vectors(200)
    index.upsert(ids(200), rows)
    index.upsert(["item-0"], -rows[:1])
    assert len(index) == 200
    found, cosines = index.search(-rows[:1], 1)
    assert found == [["item-0"]]
    assert cosines[0][0] == pytest.approx(1.0, abs=1e-5)
    everything, cosines = index.search(rows[:1], 200)
    assert sorted(everything[0]) == sorted(ids(200))
    assert everything[0][-1] == "item-0"


def test_a_deleted_item_is_never_returned_and_may_come_back(index: VectorIndex) -> None:
    rows = vectors(200)
    index.upsert(ids(200), rows)
    index.delete([*ids(50), "nobody", "item-0"])
    assert len(index) == 150
    assert "item-0" not in index
    assert "item-50" in index
    found, _ = index.search(rows[:50], 200)
    assert all(sorted(row) == sorted(ids(150, 50)) for row in found)
    index.upsert(["item-7"], rows[7:8])
    found, _ = index.search(rows[7:8], 151)
    assert found[0][0] == "item-7"
    assert found[0].count("item-7") == 1


@pytest.mark.parametrize("live", [1, 2, 5, 63, 64, 65])
def test_k_beyond_the_live_items_returns_them_all(index: VectorIndex, live: int) -> None:
    rows = vectors(200)
    index.upsert(ids(200), rows)
    index.delete(ids(200 - live, live))
    found, cosines = index.search(rows, 1000)
    assert all(sorted(row) == sorted(ids(live)) for row in found)
    assert all(len(row) == live for row in cosines)


def test_emptied_it_can_be_filled_again(index: VectorIndex) -> None:
    rows = vectors(100)
    for _ in range(3):
        index.upsert(ids(100), rows)
        index.delete(ids(100))
        assert len(index) == 0
        assert index.search(rows[:2], 3)[0] == [[], []]
    index.upsert(ids(30), rows[:30])
    found, _ = index.search(rows[:5], 30)
    assert all(sorted(row) == sorted(ids(30)) for row in found)


def test_it_grows_far_beyond_its_first_capacity(index: VectorIndex) -> None:
    rows = vectors(3000)
    for start in range(0, 3000, 250):
        index.upsert(ids(250, start), rows[start : start + 250])
    assert len(index) == 3000
    found, _ = index.search(rows[::100], 100)
    assert all(len(set(row)) == 100 for row in found)


def test_the_last_of_a_repeated_id_wins(index: VectorIndex) -> None:
    rows = vectors(4)
    index.upsert(["a", "b", "a", "a"], rows)
    assert len(index) == 2
    np.testing.assert_allclose(index.vectors(["a", "b"]), unit(rows)[[3, 1]], atol=1e-6)


def test_an_empty_batch_changes_nothing(index: VectorIndex) -> None:
    index.upsert([], np.empty((0, DIM), np.float32))
    index.delete([])
    assert len(index) == 0


@pytest.mark.parametrize(
    ("names", "rows", "message"),
    [
        (["a"], np.ones((1, DIM + 1)), f"vectors have {DIM + 1} dimensions, this index has {DIM}"),
        (["a"], np.ones(DIM), rf"vectors have 1 axes, wanted 2: \(n, {DIM}\)"),
        (["a", "b", "c"], np.ones((2, DIM)), "3 ids for 2 vectors"),
        (["a"], np.empty((0, DIM)), "1 ids for 0 vectors"),
        (
            ["a", "b"],
            np.array([[1.0] * DIM, [np.nan] * DIM]),
            "1 of 2 vectors hold NaN or infinity, .* in row 1",
        ),
        (
            ["a", "b"],
            np.array([[np.inf] * DIM, [1.0] * DIM]),
            "1 of 2 vectors hold NaN or infinity, .* in row 0",
        ),
        (["a", "b"], np.array([[1.0] * DIM, [0.0] * DIM]), "1 of 2 vectors have length zero, the first in row 1"),
        (["a", 7], np.ones((2, DIM)), "id 1 of 2 is a int, wanted str"),
        ("a", np.ones((1, DIM)), "ids is one string"),
        (["a", "b"], [[1.0] * DIM, [1.0]], "vectors are not a rectangular array of numbers"),
    ],
)
def test_what_it_cannot_hold_is_refused_whole(
    index: VectorIndex, names: list[str], rows: np.ndarray, message: str
) -> None:
    index.upsert(["a"], -np.ones((1, DIM), np.float32))
    with pytest.raises(IndexInputError, match=message):
        index.upsert(names, rows)
    assert len(index) == 1
    np.testing.assert_allclose(index.vectors(["a"]), -np.ones((1, DIM)) / np.sqrt(DIM), atol=1e-6)


@pytest.mark.parametrize(
    ("queries", "k", "message"),
    [
        (np.ones((1, DIM - 1)), 1, f"queries have {DIM - 1} dimensions, this index has {DIM}"),
        (np.ones(DIM), 1, "queries have 1 axes, wanted 2"),
        (np.full((2, DIM), np.nan), 1, "2 of 2 queries hold NaN or infinity, .* in row 0"),
        (np.zeros((1, DIM)), 1, "1 of 1 queries have length zero"),
        (np.ones((1, DIM)), 0, "k is 0, wanted at least 1"),
        (np.ones((1, DIM)), -3, "k is -3, wanted at least 1"),
        (np.ones((1, DIM)), 2.5, "k is a float, wanted an integer"),
    ],
)
def test_a_query_it_cannot_answer_is_refused(index: VectorIndex, queries: np.ndarray, k: int, message: str) -> None:
    index.upsert(ids(5), vectors(5))
    with pytest.raises(IndexInputError, match=message):
        index.search(queries, k)


def test_deleting_one_string_is_refused(index: VectorIndex) -> None:
    with pytest.raises(IndexInputError, match="one string"):
        index.delete("item-1")


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e-12, 1e12, 1e30, 1e150])
def test_length_does_not_matter(index: VectorIndex, scale: float) -> None:
    rows = vectors(20)
    index.upsert(ids(20), rows.astype(np.float64) * scale)
    np.testing.assert_allclose(index.vectors(ids(20)), unit(rows), atol=1e-6)
    found, _ = index.search(rows[:3].astype(np.float64) / scale, 20)
    assert all(sorted(row) == sorted(ids(20)) for row in found)


@pytest.mark.parametrize("order", ["F", "C"])
def test_any_layout_and_number_type_will_do(index: VectorIndex, order: str) -> None:
    rows = vectors(40)
    index.upsert(ids(20), np.asarray(rows[::2], dtype=np.float64, order=order))
    np.testing.assert_allclose(index.vectors(ids(20)), unit(rows[::2]), atol=1e-6)
