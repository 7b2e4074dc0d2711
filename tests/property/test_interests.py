"""Long-term interests as clusters: what must hold for any items, and that known groups are found."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.interests import HEAVIEST, NARROW, clustered
from streams.core.profile import Interest

DIM = 12


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@st.composite
def memories(draw: st.DrawFn, most: int = 40) -> tuple[Interest, np.ndarray]:
    """Items with weights (some of them none), and vectors (some of them missing, some the same)."""
    count = draw(st.integers(0, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = rng.normal(size=(draw(st.integers(1, 6)), DIM))
    spread = draw(st.sampled_from([0.0, 0.2, 1.0]))
    vectors = unit(centres[rng.integers(0, len(centres), count)] + spread * rng.normal(size=(count, DIM)))
    vectors[rng.random(count) < 0.1] = 0.0
    weights = draw(st.lists(st.sampled_from([-1.0, 0.0, 0.3, 1.0, 2.5]), min_size=count, max_size=count))
    return Interest("long", [f"item-{number}" for number in range(count)], weights), vectors


@settings(deadline=None)
@given(memories(), st.integers(1, 6))
def test_every_item_of_weight_is_in_one_cluster(memory: tuple[Interest, np.ndarray], most: int) -> None:
    interest, vectors = memory
    found = clustered(interest, vectors, most)
    usable = {
        item: weight
        for item, weight, vector in zip(interest.items, interest.weights, vectors, strict=True)
        if weight > 0 and vector.any()
    }
    assert len(found) <= most
    assert sorted(item for cluster in found for item in cluster.items) == sorted(usable)
    assert all(usable[item] == weight for one in found for item, weight in zip(one.items, one.weights, strict=True))
    assert [sum(one.weights) for one in found] == sorted((sum(one.weights) for one in found), reverse=True)


@settings(deadline=None)
@given(memories(), st.integers(1, 6))
def test_the_medoid_is_what_an_oracle_picks(memory: tuple[Interest, np.ndarray], most: int) -> None:
    interest, vectors = memory
    by_item = dict(zip(interest.items, vectors.astype(float), strict=True))
    for cluster in clustered(interest, vectors, most):
        nearness = {
            item: sum(
                w * by_item[item] @ by_item[other] for other, w in zip(cluster.items, cluster.weights, strict=True)
            )
            for item in cluster.items
        }
        name, _, medoid = cluster.name.partition("/")
        assert name == "long"
        assert nearness[medoid] == pytest.approx(max(nearness.values()))


@settings(deadline=None)
@given(memories(), st.integers(1, 6), st.integers(0, 2**32))
def test_the_order_of_the_items_makes_no_difference(memory: tuple[Interest, np.ndarray], most: int, seed: int) -> None:
    interest, vectors = memory
    places = list(range(len(interest.items)))
    random.Random(seed).shuffle(places)
    shuffled = Interest("long", [interest.items[p] for p in places], [interest.weights[p] for p in places])
    assert clustered(shuffled, vectors[places], most) == clustered(interest, vectors, most)


@settings(deadline=None)
@given(memories())
def test_one_cluster_is_the_whole_direction(memory: tuple[Interest, np.ndarray]) -> None:
    interest, vectors = memory
    by_item = dict(zip(interest.items, vectors, strict=True))
    for cluster in clustered(interest, vectors, 1):
        direction = sum(w * by_item[item] for item, w in zip(cluster.items, cluster.weights, strict=True))
        whole = np.maximum(interest.weights, 0.0) @ vectors
        assert direction == pytest.approx(whole, abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 2**32))
def test_groups_that_are_apart_are_found(groups: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.eye(DIM)[:groups], size, axis=0)
    vectors = unit(centres + 0.05 * rng.normal(size=centres.shape))
    items = [f"item-{number}" for number in range(groups * size)]
    found = clustered(Interest("long", items, rng.uniform(0.5, 1.0, len(items)).tolist()), vectors, 5)
    assert {frozenset(one.items) for one in found} == {
        frozenset(items[group * size : (group + 1) * size]) for group in range(groups)
    }


@settings(deadline=None)
@given(memories(), st.integers(2, 6))
def test_what_is_close_is_put_together(memory: tuple[Interest, np.ndarray], most: int) -> None:
    interest, vectors = memory
    by_item = dict(zip(interest.items, vectors.astype(float), strict=True))
    found = clustered(interest, vectors, most)
    directions = [sum(w * by_item[i] for i, w in zip(one.items, one.weights, strict=True)) for one in found]
    directions = [direction / np.linalg.norm(direction) for direction in directions]
    for place, one in enumerate(directions):
        assert all(one @ other < NARROW + 1e-6 for other in directions[:place])


def test_only_the_heaviest_are_clustered() -> None:
    count = HEAVIEST + 10
    vectors = unit(np.random.default_rng(0).normal(size=(count, DIM)))
    interest = Interest("long", [f"item-{number}" for number in range(count)], list(map(float, range(1, count + 1))))
    found = clustered(interest, vectors, 3)
    assert {item for one in found for item in one.items} == {f"item-{number}" for number in range(10, count)}


def test_nothing_is_no_interest() -> None:
    assert clustered(Interest("long", [], []), np.zeros((0, DIM), np.float32), 3) == []
    assert clustered(Interest("long", ["a"], [1.0]), np.zeros((1, DIM), np.float32), 3) == []
