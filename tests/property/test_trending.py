"""Popularity against a plain sum, over any partitions and with anything delivered twice."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core import decay
from streams.core.events import Arrival
from streams.core.items import NEVER, tie
from streams.core.trending import DISCOVERY_HALF_LIFE_MS, HALF_LIFE_MS, Board, Popularity, arrivals, fold
from tests.property.strategies import T0, items, logs


def plain_sum(log: list[Arrival], half_life: float = HALF_LIFE_MS) -> float:
    return sum(
        arrival.interaction.weight * 2.0 ** ((arrival.interaction.time - T0) / half_life)
        for arrival in log
        if arrival.interaction and arrival.interaction.weight > 0
    )


@given(logs())
def test_the_fold_is_the_decayed_sum(log: list[Arrival]) -> None:
    mass = fold(Popularity(), log).log_mass - T0 / HALF_LIFE_MS * math.log(2.0)
    assert math.exp(mass) == pytest.approx(plain_sum(log))


@given(logs(), st.sets(st.integers(0, 240)))
def test_discoveries_are_summed_apart_and_the_first_event_is_remembered(log: list[Arrival], found: set[int]) -> None:
    popularity = fold(Popularity(), log, found)
    mass = popularity.log_found - T0 / DISCOVERY_HALF_LIFE_MS * math.log(2.0)
    assert math.exp(mass) == pytest.approx(plain_sum([a for a in log if a.offset in found], DISCOVERY_HALF_LIFE_MS))
    times = [a.interaction.time for a in log if a.interaction and a.interaction.weight > 0]
    assert popularity.first == min(times, default=NEVER)


@given(logs(), st.integers(0, 80), st.integers(0, 80), st.sets(st.integers(0, 240)))
def test_redelivery_changes_nothing(log: list[Arrival], begin: int, end: int, found: set[int]) -> None:
    once = fold(Popularity(), log, found)
    assert fold(once, log[begin:end], found) == once


@given(
    st.lists(st.tuples(items, st.integers(0, 3), st.floats(-40, 40)), max_size=60),
    st.integers(0, 15),
)
def test_the_board_ranks_by_the_sum_over_partitions(updates: list[tuple[str, int, float]], count: int) -> None:
    board = Board(partitions=4)
    newest: dict[tuple[str, int], float] = {}
    for item, partition, mass in updates:
        board.update(item, partition, mass)
        board.top(1)
        newest[item, partition] = mass
    totals: dict[str, float] = {}
    for (item, _), mass in newest.items():
        totals[item] = totals.get(item, 0.0) + math.exp(mass)
    ranked = sorted(totals, key=lambda item: (-round(math.log(totals[item]), 9), tie(item)))
    top = board.top(count)
    assert len(top) == min(count, len(totals))
    assert [totals[item] for item in top] == pytest.approx([totals[item] for item in ranked[:count]])
    for item, total in totals.items():
        assert board.total(item) == pytest.approx(math.log(total), abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(-3, 3)), max_size=40), st.sets(st.integers(0, 39)))
def test_a_mended_order_is_one_made_anew(updates: list[tuple[int, int]], looks: set[int]) -> None:
    board = Board(partitions=1)
    for number in range(60):
        board.update(f"item-{number}", 0, number / 7)
    board.order()
    masses = {number: number / 7 for number in range(60)}
    for begin, (number, mass) in enumerate(updates):
        board.update(f"item-{number}", 0, float(mass))
        masses[number] = float(mass)
        if begin in looks:
            board.order()
    names = {f"item-{number}": mass for number, mass in masses.items()}
    assert board.top(60) == sorted(names, key=lambda item: (-round(names[item], 9), tie(item)))


def test_equal_sums_are_ranked_by_tie_and_the_board_grows() -> None:
    board = Board(partitions=1)
    names = [f"item-{number:04}" for number in range(3000)]
    for name in names:
        board.update(name, 0, 0.0)
    first, second, third = sorted(names, key=tie)[:3]
    assert board.top(3) == [first, second, third]
    board.update(third, 0, 1.0)
    assert board.top(2) == [third, first]
    assert len(board.top(5000)) == 3000


@given(
    st.dictionaries(
        items, st.tuples(st.integers(-1, 40), st.one_of(st.none(), st.sampled_from([0.5, 1.0, 2.0, 3.0, 9.0, 11.0])))
    )
)
def test_arrivals_are_what_is_new_and_little_known_the_quickest_first(
    known: dict[str, tuple[int, float | None]],
) -> None:
    board = Board(partitions=1)
    for item, (days, count) in known.items():
        board.items.place(item)
        if count is not None:
            board.items.met(item, T0 - days * decay.DAY_MS)
            board.update(item, 0, decay.log_mass(count, T0, HALF_LIFE_MS))
    speeds = {
        item: count / (max(days, 0) + 3)
        for item, (days, count) in known.items()
        if count is not None and count < 10 and days < 30
    }
    found = [board.items.ids[place] for place in arrivals(board, T0)]
    assert sorted(found) == sorted(speeds)
    assert [speeds[item] for item in found] == pytest.approx(sorted(speeds.values(), reverse=True))
