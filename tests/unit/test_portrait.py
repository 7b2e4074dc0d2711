"""A profile in words and as JSON."""

import pytest

from streams import portrait
from streams.core.events import WEIGHTS, Alias, Arrival, EventType, Interaction, Known
from streams.core.halflives import HalfLives
from streams.core.profile import Profile, fold

DAY = 86_400_000
T0 = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC
TITLES = {"milk": "Whole milk", "drill": "Cordless drill"}


def profile(*happened: tuple[EventType, str]) -> Profile:
    """What is left of events, one a day."""
    return fold(
        Profile(),
        [
            Arrival(number, f"e{number}", Interaction(item, kind, WEIGHTS[kind], T0 + number * DAY))
            for number, (kind, item) in enumerate(happened)
        ],
    )


SHOPPER = profile(
    (EventType.PURCHASE, "milk"),
    (EventType.VIEW, "drill"),
    (EventType.PURCHASE, "milk"),
    (EventType.DISLIKE, "spam"),
    (EventType.CART, "drill"),
)


def test_in_words() -> None:
    assert portrait.in_words(SHOPPER, TITLES).splitlines() == [
        "stage: profile",
        "recent, newest first (5 of at most 50):",
        "  2023-11-18 22:13:20  cart        Cordless drill (drill)",
        "  2023-11-17 22:13:20  dislike     spam",
        "  2023-11-16 22:13:20  purchase    Whole milk (milk)",
        "  2023-11-15 22:13:20  view        Cordless drill (drill)",
        "  2023-11-14 22:13:20  purchase    Whole milk (milk)",
        "habits, strongest first:",
        "  Whole milk (milk)  bought 2 times, first on 2023-11-14, last on 2023-11-16; counts 1.93 now",
        "was for, purchases left out, most first:",
        "   +0.60  Cordless drill (drill)",
        "would search for what is like (intent):",
        "   +1.42  Whole milk (milk)",
        "   -0.89  spam",
        "   +0.57  Cordless drill (drill)",
        "would search for what is like (long-term):",
        "   +1.93  Whole milk (milk)",
        "would leave out, turned down:",
        "  spam",
        "would leave out, in the cart:",
        "  Cordless drill (drill)",
    ]


def test_the_half_lives_of_the_shop_hold() -> None:
    slow, fast = (portrait.as_json(SHOPPER, {}, HalfLives(intent=intent)) for intent in (1e9, 1.0))
    assert [round(row["weight"], 2) for row in slow["interests"]["intent"]] == [2.0, -1.0, 0.6]
    assert [round(row["weight"], 2) for row in fast["interests"]["intent"]] == [0.51, -0.5, 0.31]
    shown = profile((EventType.IMPRESSION, "milk"), (EventType.VIEW, "drill"))
    (gone,) = portrait.as_json(shown, {}, HalfLives(impressions_ms=DAY))["unanswered"]
    assert gone["impressions"] == pytest.approx(0.5)
    assert "   +0.50  milk" in portrait.in_words(shown, {}, HalfLives(impressions_ms=DAY))


def test_what_was_bought_once_is_half_a_habit() -> None:
    told = portrait.in_words(profile((EventType.PURCHASE, "milk")), {})
    assert "  milk  bought once, last on 2023-11-14; counts 0.50 now, as half a habit" in told.splitlines()


def test_of_many_things_the_first_are_told() -> None:
    lines = portrait.in_words(profile(*((EventType.VIEW, f"item-{number}") for number in range(13))), {}).splitlines()
    assert lines[1] == "recent, newest first (13 of at most 50):"
    assert lines[2 + portrait.SHOWN] == "  … and 3 more"


def test_who_has_only_looked_around_is_told_what_is_popular() -> None:
    nobody = profile((EventType.IMPRESSION, "milk"), (EventType.DISLIKE, "spam"))
    assert portrait.in_words(nobody, {}).startswith("stage: popularity\n")
    assert portrait.in_words(Profile(), {}) == "stage: popularity"


def test_who_has_only_told_of_themselves_is_in_a_segment() -> None:
    told = Profile(attributes={"country": Known(T0, "CH"), "age": Known(T0, "30")})
    stage, *known = portrait.in_words(told, {}).splitlines()
    assert stage == "stage: segment, or popularity while little is known of it"
    assert known == ["attributes:", "  age: 30", "  country: CH"]
    assert portrait.as_json(told, {})["attributes"]["age"] == {"time": T0, "value": "30"}


def test_as_json_nothing_is_left_out() -> None:
    told = portrait.as_json(SHOPPER, TITLES)
    assert (told["offset"], told["stage"], told["time"]) == (4, "profile", T0 + 4 * DAY)
    assert [row["item"] for row in told["recent"]] == ["milk", "drill", "milk", "spam", "drill"]
    assert told["recent"][0] == {"item": "milk", "type": "purchase", "weight": 1.0, "time": T0, "title": "Whole milk"}
    (habit,) = told["habits"]
    assert (habit["purchases"], habit["first"], habit["last"]) == (2, T0, T0 + 2 * DAY)
    assert [row["item"] for row in told["interests"]["intent"]] == ["milk", "spam", "drill"]
    assert (told["turned_down"], told["in_cart"], told["remembered_event_ids"]) == (["spam"], ["drill"], 5)


def test_what_was_shown_and_who_it_is_are_told() -> None:
    arrivals = [
        Arrival(number, f"e{number}", Interaction("milk", EventType.IMPRESSION, 0.0, T0 + number))
        for number in range(2)
    ]
    known = fold(Profile(), [*arrivals, Arrival(2, "e2", None, login=Alias("anna", 3))])
    assert portrait.in_words(known, TITLES).splitlines() == [
        "stage: popularity",
        "was shown and not taken up, most often first:",
        "   +2.00  Whole milk (milk)",
        "has logged in as:",
        "  anna",
    ]
    told = portrait.as_json(known, TITLES)
    assert told["unanswered"] == [{"item": "milk", "impressions": pytest.approx(2.0), "title": "Whole milk"}]
    assert (told["logged_in_as"], portrait.as_json(SHOPPER, {})["past"][0]["item"]) == ("anna", "drill")
