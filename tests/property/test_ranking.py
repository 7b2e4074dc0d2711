"""Diversification against its formulas, written plainly."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.diversity import Cap, Shortlist, choose


@st.composite
def shortlists(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str]]:
    count = draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    vectors = rng.standard_normal((count, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.sort(rng.uniform(0.1, 1.0, count))[::-1]
    return scores, vectors, [f"category-{place}" for place in rng.integers(0, 4, count)]


@given(shortlists(), st.integers(1, 30), st.floats(0, 1))
def test_mmr_takes_the_best_trade_at_every_step(
    shortlist: tuple[np.ndarray, np.ndarray, list[str]], size: int, balance: float
) -> None:
    scores, vectors, _ = shortlist
    (chosen,) = choose([Shortlist(scores, vectors)], size, balance)
    assert len(chosen) == min(size, len(scores))
    assert len(set(chosen)) == len(chosen)

    def trade(place: int, taken: list[int]) -> float:
        # A list has nothing to be similar to at first, and opposites are no better than strangers.
        near = max([0.0, *(float(vectors[place] @ vectors[other]) for other in taken)])
        return balance * scores[place] / scores[0] - (1 - balance) * near

    for step, place in enumerate(chosen):
        taken = chosen[:step]
        best = max(trade(other, taken) for other in range(len(scores)) if other not in taken)
        assert trade(place, taken) == pytest.approx(best, abs=1e-6)


@given(shortlists(), st.integers(1, 30), st.integers(1, 3))
def test_caps_are_never_broken(shortlist: tuple[np.ndarray, np.ndarray, list[str]], size: int, cap: int) -> None:
    scores, vectors, categories = shortlist
    (chosen,) = choose([Shortlist(scores, vectors, [Cap(categories, cap)])], size, 0.8)
    counts = [sum(categories[place] == category for place in chosen) for category in set(categories)]
    assert max(counts) <= cap
    room = sum(min(cap, categories.count(category)) for category in set(categories))
    assert len(chosen) == min(size, room)


@given(st.lists(shortlists(), max_size=4), st.integers(1, 30), st.floats(0, 1))
def test_several_are_chosen_from_as_each_alone(
    several: list[tuple[np.ndarray, np.ndarray, list[str]]], size: int, balance: float
) -> None:
    together = [Shortlist(scores, vectors, [Cap(categories, 2)]) for scores, vectors, categories in several]
    assert choose(together, size, balance) == [choose([one], size, balance)[0] for one in together]


def test_less_balance_gives_less_similar_lists() -> None:
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((8, 32))
    vectors = (centres[rng.integers(0, 8, 200)] + 0.5 * rng.standard_normal((200, 32))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors[0]
    order = np.argsort(-cosines)
    scores, vectors = (1.0 + cosines[order]).astype(np.float64), vectors[order]
    sameness = []
    for balance in (1.0, 0.8, 0.6, 0.4, 0.2):
        chosen = vectors[choose([Shortlist(scores, vectors)], 20, balance)[0]]
        sameness.append(float((chosen @ chosen.T)[np.triu_indices(20, 1)].mean()))
    assert sameness == sorted(sameness, reverse=True)
    assert sameness[0] > 2 * sameness[-1]


def test_nothing_to_choose_from() -> None:
    assert choose([Shortlist(np.empty(0), np.empty((0, 4), np.float32))], 20, 0.8) == [[]]
    assert choose([], 20, 0.8) == []


def test_many_long_lists_take_no_more_memory_than_a_few() -> None:
    rng = np.random.default_rng(3)
    scores = np.sort(rng.uniform(0.1, 1.0, (64, 400)))[:, ::-1]
    together = [Shortlist(own, rng.standard_normal((400, 4)).astype(np.float32)) for own in scores]
    tracemalloc.start()
    try:
        chosen = choose(together, 5, 0.5)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
    assert chosen == [choose([one], 5, 0.5)[0] for one in together]
