"""Lag, freshness and click-through against oracles that remember everything."""

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.events import EventType
from streams.telemetry.clicks import MOST_POLICIES, OTHER, UNKNOWN, ClickThrough, Place
from streams.telemetry.freshness import Freshness
from streams.telemetry.lag import LagClock, Progress


@given(
    arrivals=st.lists(st.floats(0, 1000), max_size=30).map(sorted),
    looks=st.lists(st.floats(0, 1000), min_size=1, max_size=20).map(sorted),
    data=st.data(),
)
def test_the_age_is_that_of_the_record_at_the_position_to_within_a_look(
    arrivals: list[float], looks: list[float], data: st.DataObject
) -> None:
    clock = LagClock()
    clock.sample(0.0, 0)
    for now in looks:
        clock.sample(now, bisect_right(arrivals, now))
    now = looks[-1]
    end = bisect_right(arrivals, now)
    position = data.draw(st.integers(0, end))
    told = clock.seconds(now, position, None)
    if position == end:
        assert told == 0
        return
    arrived = arrivals[position]
    seen = next(look for look in looks if look >= arrived)
    assert told == pytest.approx(now - seen)
    assert told <= now - arrived + 1e-9


def test_a_backlog_from_before_is_as_old_as_what_was_done_last() -> None:
    clock = LagClock()
    clock.sample(100.0, 50)
    clock.sample(105.0, 60)
    assert clock.seconds(105.0, 10, newest_done=None) == 5.0
    assert clock.seconds(105.0, 10, newest_done=40.0) == 65.0
    assert clock.seconds(105.0, 50, newest_done=40.0) == 0.0, "the record at 50 came between the looks"


def test_many_samples_make_answers_coarser_by_little() -> None:
    clock = LagClock()
    for second in range(10_000):
        clock.sample(float(second), second + 1)
    assert len(clock._samples) <= 257
    for position in (0, 5_000, 9_999):
        assert clock.seconds(9_999.0, position, None) == pytest.approx(9_999 - position, abs=9_999 / 64)
    assert clock.seconds(9_999.0, 10_000, None) == 0.0


def test_a_partition_that_left_and_came_back_starts_anew() -> None:
    progress = Progress()
    progress.looked(0.0, {0: 0, 1: 0}, {0: 10, 1: 10})
    progress.committed(0, 4, -1.0)
    assert {number: behind for number, (behind, _) in progress.lag(1.0).items()} == {0: 5, 1: 10}
    progress.looked(5.0, {1: 3}, {1: 10})
    progress.looked(10.0, {0: 20, 1: 3}, {0: 21, 1: 10})
    assert {number: behind for number, (behind, _) in progress.lag(10.0).items()} == {0: 1, 1: 7}
    assert progress.watermark() is None


def test_what_is_fetched_and_not_committed_is_behind() -> None:
    progress = Progress()
    progress.committed(0, 9, 1.0)
    assert progress.lag(1.0) == {}, "nobody has looked"
    progress.looked(2.0, {0: 500}, {0: 500})
    assert progress.lag(2.0)[0][0] == 490
    assert progress.watermark() == 1.0


changes = st.lists(
    st.tuples(st.sampled_from(["changed", "searchable", "deleted"]), st.sampled_from("ab"), st.integers(0, 4)),
    max_size=40,
)


@given(changes)
def test_freshness_pairs_an_item_with_the_vector_of_its_newest_change(steps: list[tuple[str, str, int]]) -> None:
    """The oracle keeps both sides whole and looks for a partner."""
    join = Freshness()
    changed: dict[str, tuple[int, float]] = {}
    embedded: dict[str, tuple[int, float]] = {}
    for now, (what, item, offset) in enumerate(steps):
        if what == "changed":
            partner = embedded.pop(item, None)
            expected = partner[1] - now if partner and partner[0] >= offset else None
            if expected is None:
                changed[item] = (offset, now)
            assert join.changed(item, offset, now) == (None if expected is None else max(0.0, expected))
        elif what == "searchable":
            change = changed.get(item)
            if change is None:
                embedded[item] = (offset, now)
                expected = None
            elif change[0] <= offset:
                expected = now - changed.pop(item)[1]
            else:
                expected = None
            assert join.searchable(item, offset, now) == expected
        else:
            changed.pop(item, None)
            embedded.pop(item, None)
            join.deleted(item)


def test_freshness_forgets_what_never_finds_a_partner() -> None:
    join = Freshness(capacity=2)
    for number in range(3):
        join.changed(f"i{number}", number, 0.0)
        join.searchable(f"v{number}", number, 1.0)
    assert join.searchable("i0", 9, 5.0) is None
    assert join.searchable("i2", 9, 5.0) == 5.0
    assert join.changed("v0", 0, 0.5) is None
    assert join.changed("v2", 0, 0.5) == 0.5


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(EventType), st.sampled_from(["x", "y", "z"])), max_size=60)
)
def test_every_place_counts_once(happened: list[tuple[int, EventType, str]]) -> None:
    clicks = ClickThrough()
    for number in range(3):
        clicks.recommended(str(number), f"p{number % 2}", [Place("x", "popular"), Place("y", "content")])
    for number, kind, item in happened:
        clicks.happened(str(number), kind, item)
    counted = {EventType.IMPRESSION, EventType.CLICK}
    distinct = {one for one in happened if one[0] < 3 and one[1] in counted and one[2] != "z"}
    unknown = [one for one in happened if one[0] == 3 and one[1] in counted]
    assert clicks.counts.total() == len(distinct) + len(unknown)
    for (policy, channel, kind), count in clicks.counts.items():
        if policy == UNKNOWN:
            assert (channel, count) == (UNKNOWN, sum(one[1] is kind for one in unknown))
        else:
            item = {"popular": "x", "content": "y"}[channel]
            assert count == sum((f"p{one[0] % 2}", one[1], one[2]) == (policy, kind, item) for one in distinct)


def test_policies_and_memory_are_bounded() -> None:
    clicks = ClickThrough(capacity=100)
    for number in range(1_000):
        clicks.recommended(str(number), f"policy-{number}", [Place("x", "popular")])
        clicks.happened(str(number), EventType.CLICK, "x")
    assert len({policy for policy, _, _ in clicks.counts}) == MOST_POLICIES + 1
    assert clicks.counts[OTHER, "popular", EventType.CLICK] == 1_000 - MOST_POLICIES
    assert len(clicks._sent) == 100
    clicks.happened("0", EventType.CLICK, "x")
    assert clicks.counts[UNKNOWN, UNKNOWN, EventType.CLICK] == 1
