"""Rules of any kind, rows that they are judged on, and the oracle that judges one row in plain words."""

import operator
from collections.abc import Callable, Collection, Sequence
from typing import Any as Anything

import numpy as np
from hypothesis import strategies as st

from streams.core.rules import syntax as s
from streams.core.rules.verdict import NEVER

TEXTS = ("acme", "toys", 'a "b" \\', "it's", "ж 玩具", "", "price > 3")
NUMBERS = (-1.5, 0.0, 1.0, 9.99, 100.0, 1e-9, 1e300)
NAMES = ("colour", "shoe size", "in", "9", "x-y", "")
WEEK = 604_800_000

texts = st.sampled_from(TEXTS)
numbers = st.sampled_from(NUMBERS) | st.floats(allow_nan=False, allow_infinity=False)
attributes = st.builds(s.Field, st.sampled_from(NAMES), st.just(True))
fields = st.sampled_from([s.Field(name) for name in s.FIELDS]) | attributes
durations = st.none() | st.integers(1, 5_000_000).map(lambda seconds: 1_000 * seconds)


def values(kind: s.Kind) -> st.SearchStrategy[s.Value]:
    by_kind: dict[s.Kind, st.SearchStrategy[Anything]] = {
        s.Kind.TEXT: texts, s.Kind.NUMBER: numbers, s.Kind.FLAG: st.booleans()
    }  # fmt: skip
    return by_kind[kind]


@st.composite
def comparisons(draw: st.DrawFn) -> s.Condition:
    field = draw(fields)
    kinds = [s.Kind.TEXT, s.Kind.NUMBER, s.Kind.FLAG] if field.kind is s.Kind.ANY else [field.kind]
    kind = draw(st.sampled_from(kinds))
    if draw(st.booleans()):
        return s.Among(field, tuple(draw(st.lists(values(kind), min_size=1, max_size=4))))
    signs = list(s.Operator) if kind is s.Kind.NUMBER else [s.Operator.EQUAL, s.Operator.UNEQUAL]
    return s.Comparison(field, draw(st.sampled_from(signs)), draw(values(kind)))


simple = comparisons() | st.builds(s.Has, fields) | st.builds(s.Did, st.sampled_from(s.Deed), durations)
conditions: st.SearchStrategy[s.Condition] = st.recursive(
    simple,
    lambda part: (
        part.map(s.Not)
        | st.lists(part, min_size=2, max_size=3).map(lambda parts: s.All(tuple(parts)))
        | st.lists(part, min_size=2, max_size=3).map(lambda parts: s.Any(tuple(parts)))
    ),
    max_leaves=8,
)
rules: st.SearchStrategy[s.Rule] = (
    st.builds(s.Exclude, conditions)
    | st.builds(s.Include, conditions)
    | st.builds(s.Boost, conditions, st.floats(0.001, 1000))
    | st.builds(s.Cap, st.sampled_from(s.Group), st.integers(1, 1000))
)

Row = dict[str, Anything]
rows = st.fixed_dictionaries({
    "id": st.sampled_from(("a", "b")),
    "category": st.none() | texts,
    "brand": st.none() | texts,
    "price": st.none() | st.sampled_from(NUMBERS),
    "available": st.booleans(),
    "attributes": st.dictionaries(
        st.sampled_from(NAMES), st.none() | texts | st.sampled_from(NUMBERS) | st.booleans(), max_size=3
    ),
    "ages": st.dictionaries(st.sampled_from(s.Deed), st.integers(-10_000, 2 * WEEK), max_size=3),
})  # fmt: skip


class Rows:
    """Candidates as rows."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def numbers(self, field: str) -> np.ndarray:
        return np.array([np.nan if row[field] is None else row[field] for row in self._rows], np.float64)

    def flags(self, field: str) -> np.ndarray:
        return np.array([row[field] for row in self._rows], np.bool_)

    def among(self, field: str, values: Collection[str]) -> np.ndarray:
        return np.array([row[field] in values for row in self._rows], np.bool_)

    def known(self, field: str) -> np.ndarray:
        return np.array([row[field] is not None for row in self._rows], np.bool_)

    def attributes(self, name: str) -> list[s.Value | None]:
        return [row["attributes"].get(name) for row in self._rows]

    def ages(self, deed: s.Deed) -> np.ndarray:
        return np.array([row["ages"].get(deed, NEVER) for row in self._rows], np.int64)


SIGNS: dict[str, Callable[[Anything, Anything], bool]] = {
    "=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip


def holds(condition: Anything, row: Row) -> bool:
    """The oracle: one row, in plain words."""
    if isinstance(condition, s.Not):
        return not holds(condition.part, row)
    if isinstance(condition, (s.All, s.Any)):
        return (all if isinstance(condition, s.All) else any)(holds(part, row) for part in condition.parts)
    if isinstance(condition, s.Did):
        limit = NEVER - 1 if condition.within_ms is None else condition.within_ms
        return row["ages"].get(condition.deed, NEVER) <= limit
    value = (row["attributes"] if condition.field.attribute else row).get(condition.field.name)
    if isinstance(condition, s.Has):
        return value is not None
    if isinstance(condition, s.Among):
        return any(type(value) is type(wanted) and value == wanted for wanted in condition.values)
    if condition.operator is s.Operator.UNEQUAL:
        return not holds(s.Comparison(condition.field, s.Operator.EQUAL, condition.value), row)
    return type(value) is type(condition.value) and SIGNS[condition.operator](value, condition.value)
