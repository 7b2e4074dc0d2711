"""The threshold select, against a plain sort."""

import numpy as np
import pytest

from index.scan import Scratch, scan, select


def pick(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`select` over scores that are there already, float32 (n, b)."""

    def score(start: int, stop: int, out: np.ndarray) -> None:
        out[:] = scores[start:stop]

    return select(score, np.empty_like(scores), k)


@pytest.mark.parametrize("n", [1, 5, 16, 100, 1999, 2049, 6400, 6401, 20_015])
@pytest.mark.parametrize("k", [1, 3, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_select_is_what_a_sort_gives(n: int, k: int, dtype: type) -> None:
    k = min(n, k)
    scores: np.ndarray = (1000 * np.random.default_rng(n + k).standard_normal((n, 7))).astype(dtype)
    rows, values = pick(scores, k)
    np.testing.assert_array_equal(values, -np.sort(-scores, axis=0)[:k].T)
    np.testing.assert_array_equal(values, np.take_along_axis(scores.T, rows, axis=1))
    assert all(len(set(row.tolist())) == k for row in rows)


def test_select_lives_with_equal_scores() -> None:
    scores = np.zeros((10_000, 3), np.float32)
    scores[5_000:5_010] = 1.0
    rows, values = pick(scores, 20)
    assert all(len(set(row.tolist())) == 20 for row in rows)
    np.testing.assert_array_equal(np.sort(rows[:, :10]), np.tile(np.arange(5_000, 5_010), (3, 1)))
    np.testing.assert_array_equal(values[:, 10:], 0.0)


def test_scores_are_kept_memory_unless_they_are_many() -> None:
    scratch = Scratch()
    first = scratch.scores(100, 7, np.float32)
    first[:] = 1.5
    again = scratch.scores(50, 3, np.int32)
    assert first.shape == (100, 7)
    assert again.shape == (50, 3)
    assert again.dtype == np.int32
    assert np.shares_memory(first, again)
    assert scratch.nbytes == 4 * 700
    many = scratch.scores(1_000_000, 64, np.int32)
    assert many.shape == (1_000_000, 64)
    assert scratch.nbytes == 4 * 700


def test_answers_outlive_the_next_scan() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((3000, 8)).astype(np.float32)
    scratch = Scratch()
    found, products = scan(rows, rows[:5], 4, scratch)
    before = found.copy(), products.copy()
    scan(rows, -rows[:5], 4, scratch)
    np.testing.assert_array_equal(found, before[0])
    np.testing.assert_array_equal(products, before[1])


def test_scan_cuts_many_queries_into_parts_without_a_seam() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((70_000, 4)).astype(np.float32)
    queries = rng.standard_normal((600, 4)).astype(np.float32)
    positions, products = scan(rows, queries, 10)
    np.testing.assert_allclose(products, -np.sort(-(queries @ rows.T), axis=1)[:, :10], rtol=1e-5)
    np.testing.assert_allclose(np.einsum("bkd,bd->bk", rows[positions], queries), products, rtol=1e-5)
