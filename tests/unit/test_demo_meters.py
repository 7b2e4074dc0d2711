"""Rates and percentiles, with a clock that the test moves."""

import math

from hypothesis import given
from hypothesis import strategies as st

from streams.demo.meters import WINDOW_S, Latency, Rate, percentile


def test_a_rate_looks_back_over_the_window() -> None:
    rate = Rate(start=100.0)
    assert rate.per_second(100.0) == 0.0
    rate.add(101.0, 10)
    assert rate.per_second(102.0) == 5.0
    rate.add(103.0, 20)
    assert rate.per_second(104.0 + WINDOW_S / 2) == 20 / WINDOW_S
    assert rate.per_second(200.0) == 0.0
    assert rate.total == 30


def test_recent_latencies_leave_the_window_and_stay_in_the_whole() -> None:
    latency = Latency()
    latency.add(0.0, 900.0)
    latency.add(WINDOW_S, 10.0)
    assert latency.recent(WINDOW_S, 0.99) == 10.0
    assert latency.overall(0.99) == 900.0
    assert latency.recent(3 * WINDOW_S, 0.5) is None


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_is_the_nearest_rank(values: list[float], share: float) -> None:
    expected = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    assert percentile(values, share) == expected


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 0.5) is None
