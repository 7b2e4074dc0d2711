"""Hit rates, and the popularity they are held against, compared with plain sums."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.trending import HALF_LIFE_MS
from streams.demo.score import AT, HitRate, Popularity
from tests.unit.demo_shop import DAY


def test_there_is_no_rate_before_the_first_target() -> None:
    assert HitRate().rate is None


def test_distinct_items_among_the_first_twenty_are_hits() -> None:
    hits = HitRate()
    shown = [f"i{rank}" for rank in range(1, 31)]
    hits.add(["i1", "i1", "i20", "i21", "other"], shown)
    assert (hits.hits, hits.targets) == (2, 4)
    hits.add(["i2", "i3"], shown)
    assert hits.rate == 4 / 6


def test_without_purchases_nothing_is_popular() -> None:
    assert Popularity().top() == []


purchases = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), max_size=80)


@given(purchases)
def test_popularity_is_the_decayed_number_of_purchases(bought: list[tuple[int, int]]) -> None:
    popularity = Popularity()
    mass: dict[str, float] = {}
    for item, day in sorted(bought, key=lambda purchase: purchase[1]):
        popularity.bought([f"i{item:02}"], day * DAY)
        mass[f"i{item:02}"] = mass.get(f"i{item:02}", 0.0) + 2 ** (day * DAY / HALF_LIFE_MS)
    expected = sorted(mass, key=lambda item: (-round(mass[item], 6), item))[:AT]
    assert [round(mass[item], 6) for item in popularity.top()] == [round(mass[item], 6) for item in expected]


def test_a_newer_fashion_overtakes_an_older_one() -> None:
    popularity = Popularity()
    popularity.bought(["old", "old", "old"], 0)
    popularity.bought(["new"], 40 * DAY)
    assert popularity.top() == ["new", "old"]
