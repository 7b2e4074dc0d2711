"""What is explored is drawn with the chances that are recorded, and the same whenever it is drawn again."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.exploration import DRAWN_FROM, Draw, draw

FRESH = [f"item-{number}" for number in range(4)]


@given(st.lists(st.sampled_from(FRESH)), st.floats(0, 1), st.text())
def test_the_same_id_draws_the_same(nearest: list[str], rate: float, key: str) -> None:
    drawn = draw(nearest, rate, key)
    assert draw(nearest, rate, key) == drawn
    assert 0.0 <= drawn.chance <= 1.0
    assert drawn.fresh is None or drawn.fresh in nearest


def test_every_outcome_comes_as_often_as_its_chance_says() -> None:
    draws = [draw(FRESH, 0.2, f"recommendation-{number}") for number in range(20_000)]
    chances = {drawn.fresh: drawn.chance for drawn in draws}
    assert chances == {None: 0.8, **dict.fromkeys(FRESH, 0.05)}
    for outcome, times in Counter(drawn.fresh for drawn in draws).items():
        assert times / len(draws) == pytest.approx(chances[outcome], abs=0.01)


def test_without_fresh_items_or_rate_the_place_is_never_given_away() -> None:
    assert draw([], 1.0, "a") == Draw(None, 1.0)
    assert draw(FRESH, 0.0, "a") == Draw(None, 1.0)


def test_the_nearest_alone_are_drawn_from() -> None:
    many = [f"item-{number}" for number in range(3 * DRAWN_FROM)]
    drawn = {draw(many, 1.0, f"recommendation-{number}").fresh for number in range(500)}
    assert drawn == set(many[:DRAWN_FROM])
