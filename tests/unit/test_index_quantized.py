"""The int8 scanner, on numkong where it is installed and always on a slow stand-in that computes the same."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from index.quantized import Int8Scanner, numkong, scanner
from index.rows import Rows
from index.scan import FloatScanner
from tests.index_kernel import PlainKernel

DIM = 48


KERNELS: list[Any] = [kernel for kernel in (PlainKernel(), numkong()) if kernel is not None]


@pytest.fixture(params=KERNELS, ids=lambda kernel: type(kernel).__name__)
def kernel(request: pytest.FixtureRequest) -> Any:
    return request.param


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
def test_it_finds_what_float32_finds(kernel: Any, n: int, spread: float) -> None:
    rows = Rows(DIM)
    rows.put(names(n), unit(n, spread=spread))
    quick = Int8Scanner(rows, kernel)
    assert agree(rows, quick, unit(70, seed=1, spread=spread), 20) >= 0.999


def test_it_follows_writes_and_removals(kernel: Any) -> None:
    rows = Rows(DIM)
    quick = Int8Scanner(rows, kernel)
    rng = np.random.default_rng(0)
    for step in range(12):
        chosen = [str(i) for i in rng.choice(800, 200, replace=False)]
        quick.written(rows.put(chosen, unit(200, seed=step)))
        quick.followed(rows.remove([str(i) for i in rng.choice(800, 60, replace=False)]))
        assert agree(rows, quick, unit(10, seed=100 + step), 15) >= 0.999
    assert quick.nbytes >= len(rows) * DIM


def test_a_row_with_a_larger_entry_than_any_before_rescales_all(kernel: Any) -> None:
    rows = Rows(DIM)
    quick = Int8Scanner(rows, kernel)
    quick.written(rows.put(names(500), unit(500)))
    peak = np.eye(1, DIM, 3, dtype=np.float32)
    quick.written(rows.put(["peak"], peak))
    found, cosines = quick.scan(peak, 1)
    assert rows.ids[found].tolist() == [["peak"]]
    assert cosines[0, 0] == pytest.approx(1.0)
    assert agree(rows, quick, unit(30, seed=1), 20) >= 0.99


@pytest.mark.parametrize("allowed", [3, 300, 2500])
def test_it_scans_some_of_the_rows(kernel: Any, allowed: int) -> None:
    rows = Rows(DIM)
    rows.put(names(4000), unit(4000))
    slots = np.sort(np.random.default_rng(2).choice(4000, allowed, replace=False))
    k = min(20, allowed)
    queries = unit(30, seed=1)
    truth, exact = FloatScanner(rows).among(slots)(queries, k)
    found, cosines = Int8Scanner(rows, kernel).among(slots)(queries, k)
    np.testing.assert_allclose(exact, -np.sort(-(queries @ rows.vectors[slots].T), axis=1)[:, :k], atol=1e-5)
    assert np.mean([len(set(a) & set(b)) / k for a, b in zip(found.tolist(), truth.tolist(), strict=True)]) >= 0.999
    assert set(found.ravel()) <= set(slots.tolist())
    np.testing.assert_allclose(cosines, np.einsum("bkd,bd->bk", rows.vectors[found], queries), atol=1e-5)


def test_rows_that_rounding_cannot_tell_apart_are_all_looked_at(kernel: Any) -> None:
    rows = Rows(DIM)
    near = np.eye(1, DIM, dtype=np.float32) + 1e-2 * unit(150, seed=3)
    rows.put(names(3150), np.vstack([unit(3000), near / np.linalg.norm(near, axis=1, keepdims=True)]))
    assert agree(rows, Int8Scanner(rows, kernel), np.eye(1, DIM, dtype=np.float32), 10) == 1.0


def test_codes_are_made_when_they_are_first_wanted(kernel: Any) -> None:
    rows = Rows(DIM)
    quick = Int8Scanner(rows, kernel)
    quick.written(rows.put(names(100), unit(100)))
    quick.followed(rows.remove(names(10)))
    assert quick.nbytes == 0
    assert agree(rows, quick, unit(10, seed=1), 15) >= 0.999
    assert quick.nbytes >= 90 * DIM


def test_the_scanner_is_the_one_that_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.quantized.numkong", lambda: None)
    assert isinstance(scanner(Rows(DIM)), FloatScanner)
    monkeypatch.setattr("index.quantized.numkong", SimpleNamespace)
    assert isinstance(scanner(Rows(DIM)), Int8Scanner)
