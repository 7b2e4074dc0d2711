"""Shards answer as one index would."""

import numpy as np
import pytest

from index.base import IndexInputError
from index.exact import ExactIndex
from index.shards import ShardedIndex


def test_three_shards_find_what_one_index_finds() -> None:
    rng = np.random.default_rng(0)
    rows, queries = rng.standard_normal((500, 8)), rng.standard_normal((30, 8))
    names = [f"i{i}" for i in range(500)]
    parts = [ExactIndex(8) for _ in range(3)]
    sharded, whole = ShardedIndex(parts), ExactIndex(8)
    for index in (sharded, whole):
        index.upsert(names, rows)
        index.delete(names[:100])
    assert sharded.search(queries, 25)[0] == whole.search(queries, 25)[0]
    assert min(len(part) for part in parts) > 90
    assert sum(len(part) for part in parts) == 400


@pytest.mark.parametrize("dims", [[], [4, 5]])
def test_shards_that_do_not_fit_are_refused(dims: list[int]) -> None:
    with pytest.raises(IndexInputError, match="shards have the dimensions"):
        ShardedIndex([ExactIndex(dim) for dim in dims])
