"""Rules as filters of the index: never less than the rules leave, and no more where they can be told in full."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.exact import ExactIndex
from streams import filters
from streams.core.rules import parse_all
from streams.core.rules import syntax as s
from streams.filters import Told
from streams.replicas import Facts
from tests.property.rulebook import Row, holds, rows, rules

DIM = 4
QUERY = np.ones((1, DIM), np.float32)


def facts(row: Row) -> Facts:
    return Facts("title", row["available"], row["category"], row["brand"], row["price"], row["attributes"])


def described(told: Told, items: dict[str, Facts]) -> ExactIndex:
    index = ExactIndex(DIM)
    rng = np.random.default_rng(0)
    index.upsert(list(items), rng.standard_normal((len(items), DIM)).astype(np.float32))
    index.describe(list(items), [told.attributes(fact) for fact in items.values()])
    return index


def found(index: ExactIndex, told: Told, wanted: list[s.Rule]) -> set[str]:
    return set(index.search(QUERY, 1000, told.filter(wanted))[0][0])


@settings(max_examples=300, deadline=None)
@given(st.lists(rows, min_size=1, max_size=12), st.lists(rules, max_size=3), st.sampled_from((0, 2, 64)))
def test_whatever_the_rules_leave_is_let_through(shelf: list[Row], wanted: list[s.Rule], names: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "MAX_NAMES", names)
        items = {f"{row['id']}{number}": {**row, "id": f"{row['id']}{number}"} for number, row in enumerate(shelf)}
        told = Told()
        index = described(told, {item: facts(row) for item, row in items.items()})
        left = {
            item
            for item, row in items.items()
            if row["available"]
            and not any(isinstance(rule, s.Exclude) and holds(rule.condition, row) for rule in wanted)
            and all(holds(rule.condition, row) for rule in wanted if isinstance(rule, s.Include))
        }
        assert left <= found(index, told, wanted) <= {item for item, row in items.items() if row["available"]}


ITEMS = {
    "red": Facts("", True, "shoes", "acme", 19.99, {"colour": "red", "vegan": True, "size": 40.0}),
    "blue": Facts("", True, "shoes", "best", 25.0, {"colour": "blue", "size": 44.0}),
    "long": Facts("", True, "books", None, 3.0, {"colour": "x" * 100}),
    "bare": Facts("", True, None, None, None, {}),
    "gone": Facts("", False, "shoes", "acme", 19.99, {"colour": "red"}),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('include category = "shoes"', {"red", "blue"}),
        ('exclude category = "shoes"', {"long", "bare"}),
        ('include brand in ("acme", "best") and price < 22', {"red"}),
        ('include brand = "acme" or has attributes.size', {"red", "blue"}),
        ('exclude brand = "acme" or price > 24', {"long", "bare"}),
        ('include not (brand = "acme" or category = "books")', {"blue", "bare"}),
        ("include has price", {"red", "blue", "long"}),
        ("exclude has brand", {"long", "bare"}),
        ('include attributes.colour = "red"', {"red"}),
        ('exclude attributes.colour = "red"', {"blue", "long", "bare"}),
        (f'include attributes.colour = "{"x" * 100}"', {"long"}),
        ("include attributes.vegan = true", {"red"}),
        ("include attributes.size >= 42", {"blue"}),
        ('include id in ("long", "gone", "nobody")', {"long"}),
        ('exclude id = "long"', {"red", "blue", "bare"}),
        ("exclude available = false", {"red", "blue", "long", "bare"}),
        ('include attributes.nobody = "has it"', set()),
        ("include purchased", {"red", "blue", "long", "bare"}),  # the index knows no shopper
        ("exclude price >= 3 and price < 4", {"red", "blue", "long", "bare"}),  # not all of the band of 3 is dropped
        ("exclude price >= 2 and price < 4", {"red", "blue", "bare"}),
    ],
)
def test_rules_on_the_catalogue_are_told_in_full(text: str, expected: set[str]) -> None:
    told = Told()
    assert found(described(told, ITEMS), told, list(parse_all([text]))) == expected


@given(st.lists(st.floats(allow_nan=False), min_size=2))
def test_bands_are_in_the_order_of_numbers(numbers: list[float]) -> None:
    bands = [filters._band(number) for number in sorted(numbers)]
    assert bands == sorted(bands)


def test_more_attributes_than_are_told_are_left_to_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "MAX_NAMES", 1)
    told = Told()
    index = described(told, ITEMS)  # the first one it sees is the colour
    assert found(index, told, list(parse_all(["include attributes.vegan = true"]))) == {"red", "blue", "long", "bare"}
    assert found(index, told, list(parse_all(['include attributes.colour = "blue"']))) == {"blue"}
