"""Any order of upserts, deletes and re-adds, compared with a dictionary."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from index.base import VectorIndex
from index.crossover import Crossover
from index.exact import ExactIndex
from index.generation import Portion
from index.graph import HnswParams
from index.hnsw import HnswIndex

DIM = 6
NAMES = [f"i{n}" for n in range(40)]
POOL = np.random.default_rng(0).standard_normal((64, DIM)).astype(np.float32)
POOL /= np.linalg.norm(POOL, axis=1, keepdims=True)

batches = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, len(POOL) - 1)), max_size=30)


class Churn(RuleBasedStateMachine):
    """The oracle is `self.live`: id to row of the pool."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[str, int] = {}
        self.index: VectorIndex
        self.rebuilding = False
        self.unfinished: list[Portion] = []

    @initialize(m=st.sampled_from([2, 4, 16]), ef=st.sampled_from([1, 10, 130]), scanned=st.sampled_from([0, 0, 15]))
    def start_hnsw(self, m: int, ef: int, scanned: int) -> None:
        params = HnswParams(m=m, ef_construction=ef, ef=ef)
        self.index = HnswIndex(DIM, params, crossover=Crossover(((1, scanned),)))

    @initialize()
    def start_exact(self) -> None:
        self.index = ExactIndex(DIM)

    @rule(batch=batches)
    def upsert(self, batch: list[tuple[str, int]]) -> None:
        self.live.update(batch)
        self.index.upsert([name for name, _ in batch], POOL[[row for _, row in batch]])

    @rule(batch=batches, limit=st.integers(1, 10))
    def write_and_absorb_later(self, batch: list[tuple[str, int]], limit: int) -> None:
        if isinstance(self.index, HnswIndex):
            self.live.update(batch)
            self.index.write([name for name, _ in batch], POOL[[row for _, row in batch]])
            self.index.absorb(limit)

    @rule(limit=st.integers(1, 20))
    def rebuild_a_little(self, limit: int) -> None:
        if isinstance(self.index, HnswIndex):
            if not self.rebuilding:
                self.index.start_rebuild()
                self.rebuilding = True
            if (portion := self.index.rebuild_portion(limit)) is not None:
                self.unfinished.append(portion)
            if len(self.unfinished) > 1:
                self.unfinished.pop(0).insert()

    @rule()
    def finish_the_rebuild(self) -> None:
        if isinstance(self.index, HnswIndex) and self.rebuilding:
            for portion in self.unfinished:
                portion.insert()
            self.index.finish_rebuild()
            self.unfinished, self.rebuilding = [], False

    @rule(names=st.lists(st.sampled_from(NAMES), max_size=30))
    def delete(self, names: list[str]) -> None:
        for name in names:
            self.live.pop(name, None)
        self.index.delete(names)

    @rule(query=st.integers(0, len(POOL) - 1), k=st.integers(1, 60))
    def search(self, query: int, k: int) -> None:
        found, cosines = self.index.search(POOL[query : query + 1], k)
        truth = {name: float(POOL[row] @ POOL[query]) for name, row in self.live.items()}
        assert len(found[0]) == len(set(found[0])) == min(k, len(truth))
        np.testing.assert_allclose(cosines[0], [truth[name] for name in found[0]], atol=1e-5)
        if isinstance(self.index, ExactIndex):
            np.testing.assert_allclose(cosines[0], sorted(truth.values(), reverse=True)[:k], atol=1e-5)

    @invariant()
    def holds_the_same(self) -> None:
        assert len(self.index) == len(self.live)
        assert [name in self.index for name in NAMES] == [name in self.live for name in NAMES]
        wanted = [POOL[self.live[name]] if name in self.live else np.zeros(DIM) for name in NAMES]
        np.testing.assert_allclose(self.index.vectors(NAMES), wanted, atol=1e-6)


TestChurn = Churn.TestCase
TestChurn.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
