"""Filtered search over any churn, compared with a dictionary."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from index.attributes import Filter
from index.base import IndexInputError
from index.crossover import NEVER
from index.exact import ExactIndex
from index.hnsw import HnswIndex

DIM = 6
NAMES = [f"i{n}" for n in range(30)]
POOL = np.random.default_rng(0).standard_normal((64, DIM)).astype(np.float32)
POOL /= np.linalg.norm(POOL, axis=1, keepdims=True)

MAKE = (lambda: HnswIndex(DIM, crossover=NEVER), lambda: HnswIndex(DIM), lambda: ExactIndex(DIM))

sides = st.dictionaries(
    st.sampled_from(["colour", "stock", "tags"]),
    st.one_of(st.sampled_from(["red", "blue", True]), st.lists(st.sampled_from(["a", "b", "red"]), max_size=2)),
    max_size=2,
)

named = st.dictionaries(st.just("id"), st.lists(st.sampled_from([*NAMES, "nobody"]), max_size=4), max_size=1)
simple = st.builds(lambda one, other, name: Filter.of({**one, **name}, other), sides, sides, named)
filters = st.recursive(
    simple,
    lambda inner: st.builds(
        lambda one, group, other: Filter.of(either=group).also(one).also(other),
        simple, st.lists(inner, min_size=1, max_size=3), inner,
    ),
    max_leaves=6,
)  # fmt: skip


def as_set(values: object) -> set[object]:
    return set(values) if isinstance(values, list) else {values}


class Filters(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.live: dict[str, int] = {}
        self.known: dict[str, dict[str, set[object]]] = {}
        self.index: HnswIndex | ExactIndex

    @initialize(make=st.sampled_from(MAKE))
    def start(self, make: Callable[[], HnswIndex | ExactIndex]) -> None:
        self.index = make()

    @rule(batch=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, len(POOL) - 1)), max_size=20))
    def upsert(self, batch: list[tuple[str, int]]) -> None:
        self.live.update(batch)
        self.index.upsert([name for name, _ in batch], POOL[[row for _, row in batch]])

    @rule(names=st.lists(st.sampled_from(NAMES), max_size=20))
    def delete(self, names: list[str]) -> None:
        for name in names:
            self.live.pop(name, None)
            self.known.pop(name, None)
        self.index.delete(names)

    @rule(batch=st.dictionaries(st.sampled_from(NAMES), sides, max_size=20))
    def describe(self, batch: dict[str, dict[str, object]]) -> None:
        for name, record in batch.items():
            if name in self.live:
                self.known[name] = {key: as_set(values) for key, values in record.items()}
        self.index.describe(list(batch), list(batch.values()))

    def passes(self, name: str, chosen: Filter) -> bool:
        known = {**self.known.get(name, {}), "id": {name}}
        return (
            all(known.get(key, set()) & values for key, values in chosen.required)
            and not any(known.get(key, set()) & values for key, values in chosen.excluded)
            and all(any(self.passes(name, one) for one in group) for group in chosen.either)
        )

    @rule(chosen=filters, k=st.integers(1, 40), query=st.integers(0, len(POOL) - 1))
    def search(self, chosen: Filter, k: int, query: int) -> None:
        truth = {name: float(POOL[row] @ POOL[query]) for name, row in self.live.items() if self.passes(name, chosen)}
        found, cosines = self.index.search(POOL[query : query + 1], k, chosen)
        assert len(found[0]) == len(set(found[0])) == min(k, len(truth))
        np.testing.assert_allclose(cosines[0], [truth[name] for name in found[0]], atol=1e-5)
        np.testing.assert_allclose(cosines[0], sorted(truth.values(), reverse=True)[:k], atol=1e-5)

    @invariant()
    def holds_as_many(self) -> None:
        assert len(self.index) == len(self.live)


TestFilters = Filters.TestCase
TestFilters.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("clustered", [False, True])
def test_filtered_recall(share: float, clustered: bool) -> None:
    rng = np.random.default_rng(0)
    n, dim, k = 6000, 32, 20
    centres = rng.standard_normal((50, dim))
    rows = (centres[rng.integers(0, 50, n)] + 0.6 * rng.standard_normal((n, dim))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = rows @ centres[0].astype(np.float32)
    allowed = near >= np.quantile(near, 1 - share) if clustered else rng.random(n) < share
    index = HnswIndex(dim, crossover=NEVER)
    names = [f"i{i}" for i in range(n)]
    index.upsert(names, rows)
    index.describe(names, [{"in": bool(one)} for one in allowed])
    queries = rows[rng.choice(n, 40, replace=False)]
    found, _ = index.search(queries, k, Filter.of({"in": True}))
    wanted = min(k, int(allowed.sum()))
    assert all(len(set(row)) == wanted for row in found)
    candidates = np.flatnonzero(allowed)
    best = np.argsort(-(queries @ rows[candidates].T), axis=1)[:, :wanted]
    hits = [len({names[candidates[i]] for i in row} & set(got)) for row, got in zip(best, found, strict=True)]
    assert sum(hits) >= 0.95 * wanted * len(queries)


@pytest.mark.parametrize(
    ("ids", "records", "message"),
    [
        (["a"], [{}, {}], "2 attribute records for 1 ids"),
        (["a"], [{"price": 1.5}], "an attribute is a float"),
        (["a"], [{"tags": [None]}], "an attribute holds a NoneType"),
        (["a"], [{"id": "b"}], "an attribute is called 'id'"),
    ],
)
def test_attributes_that_it_cannot_hold_are_refused(ids: list[str], records: list[dict], message: str) -> None:
    index = HnswIndex(DIM)
    index.upsert(["a"], POOL[:1])
    index.describe(["a"], [{"colour": "red"}])
    with pytest.raises(IndexInputError, match=message):
        index.describe(ids, records)
    assert index.search(POOL[:1], 1, Filter.of({"colour": "red"}))[0] == [["a"]]


def test_values_that_nobody_has_any_more_are_forgotten() -> None:
    index = HnswIndex(DIM)
    index.upsert(NAMES, POOL[: len(NAMES)])
    index.describe(NAMES, [{"colour": "red", "tags": ["a", n]} for n in range(len(NAMES))])
    for turn in range(200):
        index.describe(NAMES[:20], [{"colour": f"{turn}-{n}", "tags": ["a"]} for n in range(20)])
    (colours, tags) = (sets for _, sets in index.attributes.described())
    assert len(colours) <= 2000
    assert [] in colours
    assert len(tags) <= len(NAMES) + 2
    assert index.search(POOL[:1], 1, Filter.of({"colour": "199-7"}))[0] == [[NAMES[7]]]
    assert len(index.search(POOL[:1], 30, Filter.of({"colour": "red"}))[0][0]) == 10
    assert len(index.search(POOL[:1], 30, Filter.of({"tags": "a"}, {"colour": "0-0"}))[0][0]) == 30


def test_the_last_record_of_an_id_counts() -> None:
    index = HnswIndex(DIM)
    index.upsert(["a"], POOL[:1])
    index.describe(["a", "nobody", "a"], [{"colour": "red", "tags": "x"}, {"colour": "red"}, {"tags": "y"}])
    assert index.search(POOL[:1], 1, Filter.of({"tags": "y"}, {"colour": "red"}))[0] == [["a"]]
