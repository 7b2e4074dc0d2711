"""What speaks against an item acts with the very next recommendation."""

from dataclasses import replace

import pytest

from streams.core.halflives import HALF_LIVES
from streams.core.policy import Channel, Policy
from streams.core.profile import RING
from tests.unit.records import LIMITS, NOW, event, item
from tests.unit.shop import Shop

DAY = 86_400_000
ITEMS = [f"thing {number}" for number in range(8)]


def a_shop(policy: Policy | None = None) -> Shop:
    """Everybody buys the first items most; nothing is explored."""
    shop = Shop(policy or Policy(exploration=0.0, diversity=1.0))
    shop.catalogue(*(item(name, number) for number, name in enumerate(ITEMS)))
    number = 0
    for place, name in enumerate(ITEMS):
        for _ in range(len(ITEMS) - place):
            shop.events(event(number, user=f"other {number}", item=name))
            number += 1
    return shop


def told(shop: Shop, offset: int, kind: str, name: str | None, **more: object) -> list[str]:
    """The items recommended after one event."""
    changes = {"query": "x"} if name is None else {"item": name}
    (recommendation,) = shop.events(event(offset, type=kind, time=NOW + offset * 1_000, **changes, **more))
    return [entry.item for entry in recommendation.items]


@pytest.mark.parametrize(
    ("before", "word", "more"),
    [
        ("view", "dislike", {}), ("cart", "uncart", {}), ("purchase", "return", {}), ("view", "rating", {"value": 1.0}),
    ],
)  # fmt: skip
def test_what_is_turned_down_is_gone_at_once(before: str, word: str, more: dict[str, object]) -> None:
    shop = a_shop()
    told(shop, 100, "view", ITEMS[3])
    told(shop, 101, before, ITEMS[1])
    assert ITEMS[1] not in told(shop, 102, word, ITEMS[1], **more)
    assert ITEMS[1] in told(shop, 103, "view", ITEMS[1])


def test_a_dislike_turns_the_search_away_from_what_is_alike() -> None:
    shop = Shop(Policy(channel_weights={Channel.CONTENT: 1.0}, exploration=0.0, diversity=1.0))
    names = {"oak table": ["oak desk"], "tin lamp": ["tin lantern"], "oak desk": [], "tin lantern": []}
    shop.catalogue(*(item(name, number, title=f"{name} {name}") for number, name in enumerate(names)))
    told(shop, 0, "view", "oak table")
    before = told(shop, 1, "view", "tin lamp")
    after = told(shop, 2, "dislike", "oak table")
    assert before.index("oak desk") < len(before)
    assert after.index("tin lantern") < after.index("oak desk")
    assert "oak table" not in after


def test_a_dislike_holds_when_it_is_long_ago() -> None:
    shop = a_shop()
    told(shop, 100, "dislike", ITEMS[0])
    for number in range(RING):
        last = told(shop, 101 + number, "view", ITEMS[5])
    assert ITEMS[0] not in last
    told(shop, 300, "view", ITEMS[0])
    assert ITEMS[0] in told(shop, 301, "view", ITEMS[5])


def test_what_was_sent_back_is_no_habit() -> None:
    shop = a_shop(Policy(channel_weights={Channel.BUY_AGAIN: 1.0}, exploration=0.0))
    for number in range(3):
        told(shop, 100 + number, "purchase", ITEMS[2])
    told(shop, 110, "return", ITEMS[2])
    assert told(shop, 111, "view", ITEMS[2]) == [ITEMS[2]]
    for number in range(2):
        told(shop, 112 + number, "return", ITEMS[2])
    assert told(shop, 115, "view", ITEMS[2]) == []


def test_what_is_shown_and_not_taken_up_steps_back_until_it_is() -> None:
    shop = a_shop()
    first, *_ = told(shop, 100, "search", None)
    places = [told(shop, 101 + number, "impression", first).index(first) for number in range(6)]
    assert places == sorted(places)
    assert places[-1] > 0
    shop.events(event(110, type="click", item=first, time=NOW + 110_000))
    assert told(shop, 111, "search", None)[0] == first


def test_impressions_fade() -> None:
    shop = a_shop()
    first, *_ = told(shop, 100, "search", None)
    for number in range(6):
        told(shop, 101 + number, "impression", first)
    later = event(120, type="search", item=None, query="x", time=NOW + 60 * DAY)
    (recommendation,) = shop.events(replace(later, timestamp=NOW + 60 * DAY))
    assert recommendation.items[0].item == first


def test_a_policy_may_not_mind() -> None:
    shop = a_shop(Policy(exploration=0.0, diversity=1.0, fatigue=1.0))
    first, *_ = told(shop, 100, "search", None)
    for number in range(6):
        assert told(shop, 101 + number, "impression", first)[0] == first


def test_half_lives_of_the_settings_are_used() -> None:
    limits = replace(LIMITS, half_lives=HALF_LIVES._replace(impressions_ms=1.0))
    shop = Shop(Policy(exploration=0.0, diversity=1.0), limits)
    shop.catalogue(*(item(name, number) for number, name in enumerate(ITEMS)))
    for number, name in enumerate([*ITEMS, ITEMS[0]]):
        shop.events(event(number, user=f"other {number}", item=name))
    first, *_ = told(shop, 100, "search", None)
    for number in range(6):
        told(shop, 101 + number, "impression", first)
    assert told(shop, 110, "search", None)[0] == first
