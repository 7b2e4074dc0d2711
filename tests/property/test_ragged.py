"""Rows of several shoppers, against going through them one by one."""

from collections.abc import Sequence
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.core import ragged

MOST = 9
numbers = st.lists(st.lists(st.integers(0, MOST)), max_size=5)
different = st.lists(st.lists(st.integers(0, MOST), unique=True), max_size=5)


def _flat(lists: Sequence[Sequence[float]], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    return np.array([one for own in lists for one in own], dtype), ragged.bounds_of([len(own) for own in lists])


@given(numbers)
def test_whose_each_row_is(lists: list[list[int]]) -> None:
    flat, bounds = _flat(lists, np.int64)
    assert [own.tolist() for own in ragged.parted(flat, bounds)] == lists
    assert ragged.owners(bounds).tolist() == [number for number, own in enumerate(lists) for _ in own]
    assert ragged.turns(bounds).tolist() == [turn for own in lists for turn in range(len(own))]


@given(numbers, st.booleans())
def test_each_number_once(lists: list[list[int]], ascending: bool) -> None:
    scratch = np.full(MOST + 1, 7)
    found, bounds, at = ragged.distinct(*_flat(lists, np.int64), scratch, ascending=ascending)
    for own, once in zip(lists, ragged.parted(found, bounds), strict=True):
        last = sorted(set(own), key=lambda number: len(own) - own[::-1].index(number))
        assert once.tolist() == (sorted(last) if ascending else last)
    assert found[at].tolist() == [number for own in lists for number in own]
    assert (ragged.owners(bounds)[at] == ragged.owners(ragged.bounds_of([len(own) for own in lists]))).all()


@given(numbers, different)
def test_where_numbers_are_among_others(wanted: list[list[int]], among: list[list[int]]) -> None:
    count = min(len(wanted), len(among))
    flat, edges = _flat(among[:count], np.int64)
    at = ragged.located(*_flat(wanted[:count], np.int64), flat, edges, np.full(MOST + 1, 3))
    expected = [
        int(edges[number]) + others.index(one) if one in others else ragged.NOWHERE
        for number, (own, others) in enumerate(zip(wanted[:count], among[:count], strict=True))
        for one in own
    ]
    assert at.tolist() == expected


@given(st.lists(st.lists(st.floats(0.1, 9.0)), max_size=5), st.integers(1, 4))
def test_the_largest(lists: list[list[float]], count: int) -> None:
    flat, bounds = _flat(lists, np.float64)
    assert ragged.maxima(flat[None], bounds)[0].tolist() == [max(own, default=0.0) for own in lists]
    least = [sorted(own)[-count] if len(own) > count else -np.inf for own in lists]
    assert ragged.leasts(flat, bounds, count).tolist() == least


@given(st.lists(st.lists(st.integers(0, 3)), max_size=5), st.randoms())
def test_an_order_of_each(lists: list[list[int]], random: Random) -> None:
    flat, bounds = _flat(lists, np.float64)
    ties = np.array(random.sample(range(2**62), len(flat)), np.uint64)
    expected = np.lexsort((ties, -flat, ragged.owners(bounds)))
    assert ragged.ranked(flat, ties, bounds).tolist() == expected.tolist()
