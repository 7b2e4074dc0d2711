"""The threshold select, against a plain sort."""

import numpy as np
import pytest

from index.scan import best, scan


@pytest.mark.parametrize("n", [1, 5, 16, 100, 6400, 6401, 20_015])
@pytest.mark.parametrize("k", [1, 3, 100])
def test_best_is_what_a_sort_gives(n: int, k: int) -> None:
    k = min(n, k)
    scores = np.random.default_rng(n + k).standard_normal((7, n)).astype(np.float32)
    columns, values = best(scores, k)
    np.testing.assert_array_equal(values, -np.sort(-scores, axis=1)[:, :k])
    np.testing.assert_array_equal(values, np.take_along_axis(scores, columns, axis=1))
    assert all(len(set(row.tolist())) == k for row in columns)


def test_best_lives_with_equal_scores() -> None:
    scores = np.zeros((3, 10_000), np.float32)
    scores[:, 5_000:5_010] = 1.0
    columns, values = best(scores, 20)
    assert all(len(set(row.tolist())) == 20 for row in columns)
    np.testing.assert_array_equal(np.sort(columns[:, :10]), np.tile(np.arange(5_000, 5_010), (3, 1)))
    np.testing.assert_array_equal(values[:, 10:], 0.0)


def test_scan_cuts_many_queries_into_parts_without_a_seam() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((30_000, 4)).astype(np.float32)
    queries = rng.standard_normal((300, 4)).astype(np.float32)
    positions, products = scan(rows, queries, 10)
    np.testing.assert_allclose(products, -np.sort(-(queries @ rows.T), axis=1)[:, :10], rtol=1e-5)
    np.testing.assert_allclose(np.einsum("bkd,bd->bk", rows[positions], queries), products, rtol=1e-5)
