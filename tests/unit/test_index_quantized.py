"""The int8 scanner, on this machine's products where they are exact and always on a slow stand-in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.products import Products, products
from index.quantized import Int8Scanner
from index.rows import Rows
from index.scan import FloatScanner
from tests.index_products import plain

DIM = 48

PRODUCTS: list[Products] = [one for one in (plain, products(DIM)) if one is not None]


@pytest.fixture(params=PRODUCTS, ids=lambda one: one.__qualname__)
def multiply(request: pytest.FixtureRequest) -> Products:
    one: Products = request.param
    return one


def shadow(rows: Rows, multiply: Products) -> Int8Scanner:
    """A scanner that looks at codes however few there are."""
    return Int8Scanner(rows, lambda dim: multiply, few=0)


def unit(n: int, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    rows[:, 0] *= spread
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def names(n: int, start: int = 0) -> list[str]:
    return [str(i) for i in range(start, start + n)]


def agree(rows: Rows, quick: Int8Scanner, queries: np.ndarray, k: int) -> float:
    """The share of neighbours that a float32 scan finds too; cosines must be exact."""
    truth, _ = FloatScanner(rows).scan(queries, k)
    found, cosines = quick.scan(queries, k)
    np.testing.assert_allclose(cosines, np.einsum("bkd,bd->bk", rows.vectors[found], queries), atol=1e-5)
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(found.tolist(), truth.tolist(), strict=True)]))


@pytest.mark.parametrize("spread", [1.0, 8.0])
@pytest.mark.parametrize("n", [40, 3000, 20_000])
def test_it_finds_what_float32_finds(multiply: Products, n: int, spread: float) -> None:
    rows = Rows(DIM)
    rows.put(names(n), unit(n, spread=spread))
    quick = shadow(rows, multiply)
    assert agree(rows, quick, unit(70, seed=1, spread=spread), 20) >= 0.999


def test_it_follows_writes_and_removals(multiply: Products) -> None:
    rows = Rows(DIM)
    quick = shadow(rows, multiply)
    rng = np.random.default_rng(0)
    for step in range(12):
        chosen = [str(i) for i in rng.choice(800, 200, replace=False)]
        quick.written(rows.put(chosen, unit(200, seed=step)))
        quick.followed(rows.remove([str(i) for i in rng.choice(800, 60, replace=False)]))
        assert agree(rows, quick, unit(10, seed=100 + step), 15) >= 0.999
    assert quick.nbytes >= len(rows) * DIM


def test_a_row_with_a_larger_entry_than_any_before_rescales_all(multiply: Products) -> None:
    rows = Rows(DIM)
    quick = shadow(rows, multiply)
    quick.written(rows.put(names(500), unit(500)))
    peak = np.eye(1, DIM, 3, dtype=np.float32)
    quick.written(rows.put(["peak"], peak))
    found, cosines = quick.scan(np.vstack([peak, -peak]), 1)
    assert rows.ids[found[0]].tolist() == ["peak"]
    assert cosines[0, 0] == pytest.approx(1.0)
    assert agree(rows, quick, unit(30, seed=1), 20) >= 0.99


@pytest.mark.parametrize("allowed", [3, 300, 2500])
def test_it_scans_some_of_the_rows(multiply: Products, allowed: int) -> None:
    rows = Rows(DIM)
    rows.put(names(4000), unit(4000))
    slots = np.sort(np.random.default_rng(2).choice(4000, allowed, replace=False))
    k = min(20, allowed)
    queries = unit(30, seed=1)
    truth, exact = FloatScanner(rows).among(slots)(queries, k)
    found, cosines = shadow(rows, multiply).among(slots)(queries, k)
    np.testing.assert_allclose(exact, -np.sort(-(queries @ rows.vectors[slots].T), axis=1)[:, :k], atol=1e-5)
    assert np.mean([len(set(a) & set(b)) / k for a, b in zip(found.tolist(), truth.tolist(), strict=True)]) >= 0.999
    assert set(found.ravel()) <= set(slots.tolist())
    np.testing.assert_allclose(cosines, np.einsum("bkd,bd->bk", rows.vectors[found], queries), atol=1e-5)


def test_rows_that_rounding_cannot_tell_apart_are_all_looked_at(multiply: Products) -> None:
    rows = Rows(DIM)
    near = np.eye(1, DIM, dtype=np.float32) + 1e-2 * unit(150, seed=3)
    rows.put(names(3150), np.vstack([unit(3000), near / np.linalg.norm(near, axis=1, keepdims=True)]))
    assert agree(rows, shadow(rows, multiply), np.eye(2, DIM, dtype=np.float32), 10) == 1.0


@given(
    n=st.integers(2, 400), dim=st.integers(16, 130), b=st.integers(2, 200), k=st.integers(1, 12), seed=st.integers(0)
)
@settings(max_examples=60)
def test_it_finds_the_best_of_any_number_of_rows_in_any_dimension(n: int, dim: int, b: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = Rows(dim)
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (rng.normal(size=(m, dim)) for m in (n, b))]
    rows.put(names(n), unit[0].astype(np.float32))
    k = min(k, n)
    found, cosines = shadow(rows, products(dim) or plain).scan(unit[1].astype(np.float32), k)
    truth = unit[1] @ unit[0].T
    np.testing.assert_allclose(cosines, -np.sort(-truth, axis=1)[:, :k], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(truth, found, axis=1), cosines, atol=1e-6)


def test_one_query_alone_is_compared_with_the_rows_as_they_are() -> None:
    rows = Rows(DIM)
    rows.put(names(3000), unit(3000))
    quick = Int8Scanner(rows, lambda dim: plain)
    assert agree(rows, quick, unit(1, seed=1), 20) == 1.0
    assert quick._codes is None
    assert agree(rows, quick, unit(2, seed=1), 20) == 1.0
    assert quick._codes is not None


def test_more_queries_than_have_room_are_scanned_in_parts(multiply: Products, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(DIM)
    rows.put(names(3000), unit(3000))
    for kept in (1 << 20, 2 << 20, 4 << 20):  # room for the scores of 87, 174 and 349 queries
        monkeypatch.setattr("index.scan._MOST_KEPT", kept)
        quick = shadow(rows, multiply)
        assert agree(rows, quick, unit(200, seed=1), 20) >= 0.999
        assert quick.nbytes <= rows.nbytes // 4 + kept


def test_codes_are_made_when_they_are_first_wanted(multiply: Products) -> None:
    rows = Rows(DIM)
    quick = shadow(rows, multiply)
    quick.written(rows.put(names(100), unit(100)))
    quick.followed(rows.remove(names(10)))
    assert quick.nbytes == 0
    assert agree(rows, quick, unit(10, seed=1), 15) >= 0.999
    assert quick.nbytes >= 90 * DIM


@pytest.mark.parametrize("few", [0, 4000])
def test_without_products_or_with_few_rows_float32_does_all(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(DIM)
    rows.put(names(4000), unit(4000))
    quick = Int8Scanner(rows, lambda dim: None if few == 0 else plain, few=few)
    assert agree(rows, quick, unit(10, seed=1), 15) == 1.0
    found, _ = quick.among(np.arange(3000))(unit(10, seed=1), 15)
    assert found.max() < 3000
    assert quick._codes is None
    quick.written(rows.put(["more"], unit(1, seed=2)))
    assert agree(rows, quick, unit(10, seed=1), 15) >= 0.999
    assert (quick._codes is not None) == (few > 0)
