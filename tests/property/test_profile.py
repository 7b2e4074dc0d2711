"""The fold of a profile against a plain oracle, in any order, in any batches, with anything delivered twice."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core import decay
from streams.core import profile as profiles
from streams.core.events import Arrival, EventType
from streams.core.profile import HABIT_HALF_LIFE_MS, HABITS, RING, SEEN, Profile, fold, fresh
from tests.property.strategies import T0, logs


def oracle_recent(arrivals: list[Arrival]) -> list[tuple[str, int]]:
    """The ring: all interactions by time (then arrival), the last RING of them."""
    ordered = sorted((a.interaction.time, a.offset, a.interaction.item) for a in arrivals if a.interaction)
    return [(item, time) for time, _, item in ordered][-RING:]


def oracle_habits(arrivals: list[Arrival]) -> dict[str, tuple[int, int, int, float]]:
    bought: dict[str, list[int]] = {}
    for arrival in arrivals:
        if arrival.interaction and arrival.interaction.type is EventType.PURCHASE:
            bought.setdefault(arrival.interaction.item, []).append(arrival.interaction.time)
    return {
        item: (len(times), min(times), max(times), sum(2.0 ** ((time - T0) / HABIT_HALF_LIFE_MS) for time in times))
        for item, times in bought.items()
    }


@given(logs())
def test_the_fold_is_what_the_oracle_says(log: list[Arrival]) -> None:
    profile = fold(Profile(), log)
    assert [(i.item, i.time) for i in profile.recent] == oracle_recent(log)
    expected = oracle_habits(log)
    assert profile.habits.keys() == expected.keys()
    for item, (purchases, first, last, mass) in expected.items():
        habit = profile.habits[item]
        assert (habit.purchases, habit.first, habit.last) == (purchases, first, last)
        assert decay.values_at([habit.log_mass], T0, HABIT_HALF_LIFE_MS) == pytest.approx([mass])


@given(logs(), st.lists(st.integers(0, 80), max_size=6))
def test_batches_do_not_matter(log: list[Arrival], cuts: list[int]) -> None:
    edges = sorted({0, len(log), *(cut for cut in cuts if cut < len(log))})
    profile = Profile()
    for begin, end in pairwise(edges):
        profile = fold(profile, log[begin:end])
    assert profile == fold(Profile(), log)


@given(logs(), st.integers(0, 80), st.integers(0, 80))
def test_redelivery_changes_nothing(log: list[Arrival], begin: int, end: int) -> None:
    profile = fold(Profile(), log)
    again = log[begin:end]
    assert fold(profile, again) is profile
    assert fresh(profile, again) == []


@given(logs(max_size=SEEN), st.data())
def test_a_producers_duplicate_counts_once(log: list[Arrival], data: st.DataObject) -> None:
    repeats = data.draw(st.lists(st.sampled_from(log), max_size=10)) if log else []
    offset = log[-1].offset if log else 0
    resent = [repeat._replace(offset=offset + number) for number, repeat in enumerate(repeats, start=1)]
    once, twice = fold(Profile(), log), fold(Profile(), [*log, *resent])
    assert (twice.recent, twice.habits, twice.seen) == (once.recent, once.habits, once.seen)
    assert twice.offset == offset + len(repeats) if log or repeats else twice.offset == -1
    assert fresh(once, resent) == []


@given(logs(max_size=RING, unique_times=True), st.integers(0, 2**32))
def test_the_order_of_arrival_does_not_matter(log: list[Arrival], seed: int) -> None:
    shuffled = list(log)
    random.Random(seed).shuffle(shuffled)
    late = [arrival._replace(offset=place) for place, arrival in enumerate(shuffled)]
    a, b = fold(Profile(), log), fold(Profile(), late)
    assert (a.recent, a.attributes) == (b.recent, b.attributes)
    assert a.habits.keys() == b.habits.keys()
    for item, habit in a.habits.items():
        other = b.habits[item]
        assert habit[:3] == other[:3]
        assert habit.log_mass == pytest.approx(other.log_mass)


def test_the_bounds_hold_and_the_weakest_habit_goes() -> None:
    from streams.core.events import Interaction

    log = [Arrival(n, f"e{n}", Interaction(f"item-{n}", EventType.PURCHASE, 1.0, T0 + n)) for n in range(HABITS + 1)]
    profile = fold(Profile(), log)
    assert len(profile.recent) == RING
    assert len(profile.habits) == HABITS
    assert "item-0" not in profile.habits
    assert len(profile.seen) == SEEN


@given(logs(max_size=30))
def test_rejected_and_cart_follow_the_newest_word(log: list[Arrival]) -> None:
    profile = fold(Profile(), log)
    said: dict[str, float] = {}
    cart: set[str] = set()
    for interaction in profile.recent:
        if interaction.weight:
            said[interaction.item] = interaction.weight
        if interaction.type is EventType.CART:
            cart |= {interaction.item}
        if interaction.type in (EventType.UNCART, EventType.PURCHASE):
            cart -= {interaction.item}
    assert profiles.rejected(profile) == {item for item, weight in said.items() if weight < 0}
    assert profiles.in_cart(profile) == cart
