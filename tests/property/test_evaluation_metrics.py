"""Every metric against a few plain lines."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.evaluation import metrics
from streams.evaluation.bootstrap import interval, resample
from streams.evaluation.metrics import CUTS, Measured

ITEMS = 12
Case = tuple[list[int], list[int]]
"""Targets, and the list that is shown."""


def _distinct(least: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, ITEMS - 1), min_size=least, max_size=8, unique=True)


cases = st.lists(st.tuples(_distinct(1), _distinct(0)), min_size=1, max_size=12)
cuts = st.sampled_from((1, 3, *CUTS))


def _ranks(case: list[Case]) -> metrics.Ranks:
    lists = np.full((len(case), 20), -1, np.int32)
    for row, (_, shown) in zip(lists, case, strict=True):
        row[: len(shown)] = shown
    return metrics.ranks([targets for targets, _ in case], lists)


def _hit_rate(targets: list[int], shown: list[int], k: int) -> float:
    return float(any(item in targets for item in shown[:k]))


def _recall(targets: list[int], shown: list[int], k: int) -> float:
    return len(set(targets) & set(shown[:k])) / len(targets)


def _mrr(targets: list[int], shown: list[int], k: int) -> float:
    for rank, item in enumerate(shown[:k], start=1):
        if item in targets:
            return 1 / rank
    return 0.0


def _ndcg(targets: list[int], shown: list[int], k: int) -> float:
    gain = sum(1 / math.log2(1 + rank) for rank, item in enumerate(shown[:k], start=1) if item in targets)
    return gain / sum(1 / math.log2(1 + rank) for rank in range(1, min(len(targets), k) + 1))


PER_SET = {"hit_rate": _hit_rate, "recall": _recall, "mrr": _mrr, "ndcg": _ndcg}


@pytest.mark.parametrize("name", PER_SET)
@given(case=cases, k=cuts)
def test_a_metric_of_sets_is_the_mean_of_the_plain_one(name: str, case: list[Case], k: int) -> None:
    plain: Callable[[list[int], list[int], int], float] = PER_SET[name]
    expected = sum(plain(targets, shown, k) for targets, shown in case) / len(case)
    assert metrics.measure(name, _ranks(case), k).value == pytest.approx(expected)


@given(case=cases, k=cuts)
def test_found_is_the_hit_rate_where_each_target_is_a_question(case: list[Case], k: int) -> None:
    questions = [([target], shown) for targets, shown in case for target in targets]
    alone = _ranks(questions)
    assert metrics.measure("found", _ranks(case), k).value == metrics.measure("hit_rate", alone, k).value
    ndcg = metrics.measure("ndcg", alone, k).value
    assert metrics.measure("found_ndcg", _ranks(case), k).value == pytest.approx(ndcg)


@given(case=cases, wanted=st.sets(st.integers(0, ITEMS - 1)), k=cuts)
def test_a_part_of_the_targets_is_judged_as_if_there_were_no_others(case: list[Case], wanted: set[int], k: int) -> None:
    mask = np.array([target in wanted for targets, _ in case for target in targets])
    part, places = _ranks(case).only(mask)
    left = [([target for target in targets if target in wanted], shown) for targets, shown in case]
    kept = [number for number, (targets, _) in enumerate(left) if targets]
    assert places.tolist() == kept
    for name in metrics.ACCURACY:
        expected = metrics.measure(name, _ranks([left[number] for number in kept]), k).value if kept else None
        assert metrics.measure(name, part, k).value == expected


@given(case=cases)
def test_coverage_counts_what_anyone_saw(case: list[Case]) -> None:
    lists = np.full((len(case), 20), -1, np.int32)
    for row, (_, shown) in zip(lists, case, strict=True):
        row[: len(shown)] = shown
    seen = {item for _, shown in case for item in shown}
    assert metrics.coverage(lists, ITEMS) == len(seen) / ITEMS


@given(shown=_distinct(0), seed=st.integers(0, 1000))
def test_diversity_is_the_mean_distance_of_pairs(shown: list[int], seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(ITEMS, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [1 - float(vectors[a] @ vectors[b]) for a in shown for b in shown if a < b]
    expected = sum(pairs) / len(pairs) if pairs else 0.0
    assert metrics.diversity(np.array(shown, np.int32), vectors) == pytest.approx(expected, abs=1e-5)


@given(shown=_distinct(0), counts=st.lists(st.integers(0, 50), min_size=ITEMS, max_size=ITEMS))
def test_novelty_is_mean_surprisal(shown: list[int], counts: list[int]) -> None:
    bits = [-math.log2((counts[item] + 1) / (sum(counts) + ITEMS)) for item in shown]
    expected = sum(bits) / len(bits) if bits else 0.0
    assert metrics.novelty(np.array(shown, np.int32), np.array(counts, float)) == pytest.approx(expected)


fractions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=15)


@given(rows=fractions, seed=st.integers(0, 9))
def test_a_draw_is_the_metric_of_the_users_drawn(rows: list[tuple[int, int, int]], seed: int) -> None:
    """Oracle: count out the sets of the users of every draw, one by one."""
    owners = [user for user, _, _ in rows]
    measured = Measured(np.array([n for _, n, _ in rows], float), np.array([d for _, _, d in rows], float))
    users = sorted(set(owners))
    drawn = resample([measured], np.array(owners), seed, draws=7)[0]
    times = np.random.default_rng(seed).multinomial(len(users), np.full(len(users), 1 / len(users)), 7)
    for value, counts in zip(drawn, times, strict=True):
        often = dict(zip(users, counts.tolist(), strict=True))
        top = sum(often[user] * n for user, n, _ in rows)
        assert value == pytest.approx(top / sum(often[user] * d for user, _, d in rows))


@given(rows=fractions)
def test_the_same_metric_twice_leads_itself_by_nothing(rows: list[tuple[int, int, int]]) -> None:
    owners = np.array([user for user, _, _ in rows])
    measured = Measured(np.array([n for _, n, _ in rows], float), np.array([d for _, _, d in rows], float))
    one, other = resample([measured, measured], owners, draws=20)
    assert interval(one - other) == (0.0, 0.0)


def test_an_interval_narrows_with_users_and_holds_the_truth() -> None:
    chance = np.random.default_rng(3)
    widths = []
    for count in (50, 5_000):
        measured = Measured((chance.random(count) < 0.3).astype(float), np.ones(count))
        bounds = interval(resample([measured], np.arange(count))[0])
        assert bounds is not None
        assert bounds.low < 0.3 < bounds.high
        widths.append(bounds.high - bounds.low)
    assert widths[1] == pytest.approx(widths[0] / 10, rel=0.25), "a hundred times the users, a tenth of the width"


def test_nothing_to_judge_has_no_interval() -> None:
    nothing = Measured(np.zeros(0), np.zeros(0))
    assert nothing.value is None
    assert interval(resample([nothing], np.zeros(0, np.int64))[0]) is None
