"""Popularity within categories is that of the board, left to the items of the category."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.categories import Categories
from streams.core.items import tie
from streams.core.trending import Board
from tests.property.strategies import items

paths = st.sampled_from([(), ("food",), ("food", "dairy"), ("food", "bread"), ("tools",), ("tools", "saws")])
CATEGORIES = ("food", "dairy", "bread", "tools", "saws", "none of these")
masses = st.dictionaries(items, st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]))


def _stocked(moves: list[tuple[str, tuple[str, ...]]], popularity: dict[str, float]) -> Categories:
    """Items put into categories, some again into others, before and after they are popular."""
    board = Board(partitions=1)
    categories = Categories(board)
    for item, path in moves[::2]:
        categories.put(item, path)
    categories.popular("food", 3)
    for item, mass in popularity.items():
        board.update(item, 0, mass)
    for item, path in moves[1::2]:
        categories.put(item, path)
    return categories


@given(st.lists(st.tuples(items, paths), max_size=30), masses, st.integers(1, 8))
def test_each_category_ranks_its_own_items(
    moves: list[tuple[str, tuple[str, ...]]], popularity: dict[str, float], count: int
) -> None:
    categories = _stocked(moves, popularity)
    path_of = dict([*moves[::2], *moves[1::2]])
    ranked = sorted(popularity, key=lambda item: (-popularity[item], tie(item)))
    for category in CATEGORIES:
        inside = [item for item in ranked if category in path_of.get(item, ())]
        assert categories.popular(category, count) == inside[:count]


@given(st.lists(st.tuples(items, paths), max_size=30), masses, st.dictionaries(items, st.floats(0.1, 9)))
def test_a_shoppers_categories_weigh_what_is_popular(
    moves: list[tuple[str, tuple[str, ...]]], popularity: dict[str, float], weights: dict[str, float]
) -> None:
    categories = _stocked(moves, popularity)
    path_of = dict([*moves[::2], *moves[1::2]])
    sums: dict[str, float] = {}
    for item, weight in weights.items():
        if path := path_of.get(item):
            sums[path[0]] = sums.get(path[0], 0.0) + weight
    shares = categories.shares(weights)
    assert shares == pytest.approx({name: weight / sum(sums.values()) for name, weight in sums.items()})
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    scores = {
        item: round(math.log(shares[path_of[item][0]]) + mass, 9)
        for item, mass in popularity.items()
        if path_of.get(item, ("",))[:1] and path_of.get(item, ("",))[0] in shares
    }
    assert categories.popular_in(shares, 5) == sorted(scores, key=lambda item: (-scores[item], tie(item)))[:5]
