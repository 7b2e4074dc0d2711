"""Whom to watch, and for how long a recommendation stays.

time    0   1   2   3   4   5   6   7
added   A   B   C               D
shown   A   A   A   C   C   C   D   D
"""

from streams.demo.following import DWELL_S, WAIT_S, Following, Moment, choose
from tests.unit.demo_shop import basket, recommendation


def moment(name: str) -> Moment:
    return Moment(basket("ann", ["milk"], name=name), None, recommendation("ann", f"{name}-milk", [name]))


def test_a_moment_stays_long_enough_and_those_between_are_passed_over() -> None:
    assert DWELL_S == 3.0
    following = Following("ann")
    added = {0: "A", 1: "B", 2: "C", 6: "D"}
    shown = ""
    for now in range(8):
        if now in added:
            following.add(moment(added[now]))
        scene = following.scene(float(now))
        assert scene is not None
        shown += scene.moment.basket.events[0].session or ""
    assert shown == "AAACCCDD"


def test_changes_are_told_against_what_was_shown() -> None:
    following = Following("ann")
    following.add(moment("A"))
    following.scene(0.0)
    following.add(moment("B"))
    following.add(moment("C"))
    scene = following.scene(10.0)
    assert scene is not None
    assert scene.previous == moment("A").after


def test_nothing_is_shown_before_something_happened() -> None:
    assert Following("ann").scene(5.0) is None


def test_the_shopper_who_buys_soon_and_regularly_is_chosen() -> None:
    #  second   0 1 2 3 4 5 6 7 8 …
    #  shopper  R H L L L R L L L …      R regular, H once only, L late but often
    shoppers = ["R" if second % WAIT_S == 0 else "L" for second in range(60)]
    shoppers[1] = "H"
    baskets = [basket(user, ["milk"], name=str(second)) for second, user in enumerate(shoppers)]
    assert choose(baskets, rate=1.0) == "R"


def test_nobody_buys() -> None:
    assert choose([], 1.0) is None
