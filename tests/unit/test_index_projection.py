"""Principal components, and a graph in fewer dimensions."""

import asyncio

import numpy as np
import pytest

from index.base import IndexInputError
from index.crossover import NEVER
from index.exact import ExactIndex
from index.hnsw import HnswIndex
from index.live import LiveIndex
from index.projection import Projection


def flat(n: int, dim: int, rank: int, seed: int = 0) -> np.ndarray:
    """Unit vectors near a subspace: float32 (n, dim)."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(99).standard_normal((rank, dim))
    rows = rng.standard_normal((n, rank)) @ basis + 0.3 * rng.standard_normal((n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_directions_are_orthonormal_and_keep_what_they_say() -> None:
    rows = flat(500, 40, 6)
    projection = Projection.fit(rows, 6)
    assert (projection.matrix.shape, projection.width) == ((40, 6), 6)
    np.testing.assert_allclose(projection.matrix.T @ projection.matrix, np.eye(6), atol=1e-5)
    kept = float((projection.apply(rows) ** 2).sum() / (rows**2).sum())
    assert projection.share == pytest.approx(kept, abs=1e-4)
    assert kept > 0.9


def test_all_dimensions_keep_every_inner_product() -> None:
    rows = flat(200, 12, 12)
    projected = Projection.fit(rows, 12).apply(rows)
    np.testing.assert_allclose(projected @ projected.T, rows @ rows.T, atol=1e-5)


def test_its_digest_is_that_of_its_matrix() -> None:
    rows = flat(300, 20, 5)
    assert Projection.fit(rows, 5).digest == Projection.fit(rows.copy(), 5).digest
    assert Projection.fit(rows, 5).digest != Projection.fit(rows[1:], 5).digest


@pytest.mark.parametrize(
    ("n", "width", "message"),
    [(100, 0, "to 0 dimensions, wanted 1 to 20"), (100, 21, "to 21 dimensions"), (4, 5, "4 vectors to fit 5")],
)
def test_what_cannot_be_fitted_is_refused(n: int, width: int, message: str) -> None:
    with pytest.raises(IndexInputError, match=message):
        Projection.fit(flat(n, 20, 5), width)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_projected_graph_finds_what_an_exact_index_finds(dtype: type) -> None:
    rows, queries = flat(4000, 64, 10), flat(50, 64, 10, seed=1)
    names = [f"i{i}" for i in range(len(rows))]
    exact, index = ExactIndex(64), HnswIndex(64, crossover=NEVER, dtype=dtype)
    exact.upsert(names, rows)
    index.upsert(names, rows)
    index.compact(index.fitted_projection(16))
    assert index.generation.projection is not None
    assert index.tombstones == 0
    truth, _ = exact.search(queries, 20)
    found, cosines = index.search(queries, 20)
    hits = sum(len(set(a) & set(b)) for a, b in zip(found, truth, strict=True))
    assert hits >= 0.95 * 20 * len(queries)
    for query, ids, row in zip(queries, found, cosines, strict=True):
        np.testing.assert_allclose(row, exact.vectors(ids) @ query, atol=1e-5 if dtype is np.float32 else 2e-3)


async def test_a_live_index_moves_into_fewer_dimensions_while_it_serves() -> None:
    rows = flat(2000, 64, 10)
    names = [f"i{i}" for i in range(len(rows))]
    index = HnswIndex(64, crossover=NEVER)
    async with LiveIndex(index) as live:
        await live.upsert(names, rows)
        await live.rebuild(width=16)
        while (stats := await live.stats()).rebuilding or stats.pending:
            found, _ = await live.search(rows[:10], 5)
            assert [row[0] for row in found] == names[:10]
            await asyncio.sleep(0)
        with pytest.raises(IndexInputError, match="to 65 dimensions"):
            await live.rebuild(width=65)
    assert index.generation.projection is not None
    assert index.generation.projection.width == 16
