"""Off-policy estimates: right where the truth is known, silent where little is known."""

import numpy as np
import pytest

from streams.evaluation.offpolicy import estimate

REWARDED = np.array([0.05, 0.1, 0.4])
"""Chance that each of three things is clicked on."""

SHOWN = np.array([0.7, 0.2, 0.1])
OTHER = np.array([0.1, 0.3, 0.6])


def _looks(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    things = chance.choice(3, count, p=SHOWN)
    rewards = (chance.random(count) < REWARDED[things]).astype(np.float64)
    return rewards, SHOWN[things], OTHER[things]


def test_the_other_policy_is_judged_by_what_it_would_have_shown() -> None:
    truth = float(OTHER @ REWARDED)
    found = estimate(*_looks(40_000, 1))
    assert found.shown == pytest.approx(float(SHOWN @ REWARDED), abs=0.01)
    for guess in (found.ips, found.snips):
        assert guess is not None
        assert guess.value == pytest.approx(truth, abs=0.02)
        assert guess.interval.low < truth < guess.interval.high


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    truth = float(OTHER @ REWARDED)
    held = np.zeros(2)
    for seed in range(300):
        found = estimate(*_looks(1_500, seed))
        assert found.ips is not None
        assert found.snips is not None
        held += [found.ips.interval.low < truth < found.ips.interval.high,
                 found.snips.interval.low < truth < found.snips.interval.high]  # fmt: skip
    assert (held > 0.9 * 300).all()
    assert (held < 300).all()


def test_the_same_policy_earns_what_was_earned() -> None:
    rewards, shown, _ = _looks(1_000, 3)
    found = estimate(rewards, shown, shown)
    assert found.effective == pytest.approx(1_000)
    assert found.ips is not None
    assert found.snips is not None
    assert found.ips.value == found.snips.value == pytest.approx(rewards.mean())


def test_where_few_looks_carry_the_weight_nothing_is_told() -> None:
    rewards, shown = np.ones(10_000), np.full(10_000, 0.5)
    other = np.where(np.arange(10_000) < 5, 0.9, 1e-6)
    found = estimate(rewards, shown, other)
    assert found.effective < 10
    assert found.ips is None
    assert found.snips is None
    assert estimate(np.zeros(0), np.zeros(0), np.zeros(0)).effective == 0.0
    assert estimate(rewards, shown, np.zeros(10_000)).snips is None


@pytest.mark.parametrize(("shown", "other"), [(0.0, 0.5), (1.5, 0.5), (0.5, -0.1), (0.5, 1.1), (np.nan, 0.5)])
def test_impossible_chances_are_refused(shown: float, other: float) -> None:
    with pytest.raises(ValueError, match="chances must be in"):
        estimate(np.ones(200), np.full(200, shown), np.full(200, other))
