"""How much of the truth a graph finds, measured on itself."""

import numpy as np

from index.base import Vectors
from index.hnsw import HnswIndex
from index.scan import scan

_MIXED = 3


def probe_queries(index: HnswIndex, n: int, seed: int = 0) -> Vectors:
    """Queries as profiles ask them: means of three rows near one another, float32 (n, dim), unit length.

    Args:
        index: not empty.
        n: how many.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    rows = index.rows
    starts = rows.gather(rng.integers(0, len(rows), n))
    near, _ = scan(rows.vectors, starts, min(len(rows), 10 * _MIXED))
    chosen = np.stack([rng.choice(slots, _MIXED) for slots in near])
    means = rows.gather(chosen.ravel()).reshape(n, _MIXED, -1).mean(axis=1)
    means += 1e-3 * starts  # opposite rows could cancel out
    unit: Vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def recall(index: HnswIndex, queries: Vectors, k: int) -> float:
    """The share of the true `k` nearest rows that `index.search` finds; 1.0 for an empty index.

    Rows as close as the k-th count as found: which of several equal rows is returned is chance.
    """
    k = min(k, len(index))
    if k == 0:
        return 1.0
    _, truth = scan(index.rows.vectors, queries, k)
    _, found = index.search(queries, k)
    return float(np.mean([np.mean(row >= worst - 1e-5) for row, worst in zip(found, truth[:, -1], strict=True)]))
