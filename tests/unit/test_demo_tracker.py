"""A run as the tracker sees it: what counts as answered, how late, and what is scored."""

from streams.demo.tracker import Tracker
from tests.unit.demo_shop import DAY, basket, recommendation


def test_latency_runs_from_when_the_event_was_due() -> None:
    tracker = Tracker(None, start=0.0)
    tracker.sent(basket("ann", ["milk", "eggs"]), due=1.0)
    tracker.received(recommendation("ann", "b-eggs", ["milk"]), now=1.25)
    assert tracker.whole(2.0).p50_ms == 250.0
    assert tracker.unanswered == 0


def test_a_basket_is_scored_with_what_was_recommended_before_its_first_line() -> None:
    tracker = Tracker(None, start=0.0)
    tracker.sent(basket("ann", ["milk"], name="b1"), due=0.0)
    tracker.received(recommendation("ann", "b1-milk", ["milk", "eggs"]), now=0.1)
    assert tracker.now(0.1).targets == 0  # nothing was recommended before the first basket
    tracker.sent(basket("ann", ["milk", "bread"], DAY, "b2"), due=1.0)
    tracker.received(recommendation("ann", "b2-milk", ["bread"]), now=1.1)  # knows a part of the basket
    tracker.received(recommendation("ann", "b2-bread", []), now=1.2)
    figures = tracker.whole(2.0)
    assert (figures.targets, figures.hit_rate) == (2, 0.5)


def test_popularity_is_scored_on_the_same_targets_with_the_state_before_the_basket() -> None:
    tracker = Tracker(None, start=0.0)
    tracker.sent(basket("ann", ["milk"], name="b1"), due=0.0)
    tracker.received(recommendation("ann", "b1-milk", []), now=0.1)
    tracker.sent(basket("bob", ["bread"], DAY, "b2"), due=0.5)  # bob has no recommendation yet: not scored
    tracker.sent(basket("ann", ["bread", "eggs"], 2 * DAY, "b3"), due=1.0)
    tracker.received(recommendation("ann", "b3-eggs", []), now=1.1)
    figures = tracker.whole(2.0)
    assert (figures.targets, figures.hit_rate, figures.popularity_hit_rate) == (2, 0.0, 0.5)


def test_a_recommendation_that_was_sent_again_counts_once() -> None:
    tracker = Tracker(None, start=0.0)
    tracker.sent(basket("ann", ["milk"]), due=0.0)
    for _ in range(2):
        tracker.received(recommendation("ann", "b-milk", ["milk"]), now=0.1)
    assert tracker.now(1.0).recommendations == 1


def test_acknowledged_events_are_counted() -> None:
    tracker = Tracker(None, start=0.0)
    tracker.acknowledged(1.0)
    tracker.acknowledged(1.5, events=3)
    assert tracker.now(2.0).events == 4
    assert tracker.now(2.0).events_rate == 2.0


def test_the_followed_shopper_is_shown_with_the_recommendation_from_before_the_basket() -> None:
    tracker = Tracker("ann", start=0.0)
    tracker.sent(basket("ann", ["milk"], name="b1"), due=0.0)
    first = recommendation("ann", "b1-milk", ["milk"])
    tracker.received(first, now=0.1)
    shown = tracker.now(0.2).scene
    assert shown is not None
    assert (shown.moment.before, shown.moment.after, shown.previous) == (None, first, None)
    second = basket("ann", ["milk", "eggs"], DAY, "b2")
    tracker.sent(second, due=5.0)
    tracker.received(recommendation("ann", "b2-milk", ["eggs"]), now=5.1)
    assert tracker.now(5.2).scene == shown  # the basket is not answered whole
    after = recommendation("ann", "b2-eggs", ["bread"])
    tracker.received(after, now=5.3)
    changed = tracker.now(5.4).scene
    assert changed is not None
    assert (changed.moment, changed.previous) == ((second, first, after), first)
