"""The ladder, rung by rung: what somebody gets of whom nothing, little, or enough is known."""

import asyncio
import math
from dataclasses import replace

import pytest

from streams import codecs
from streams.core.exploration import DRAWN_FROM
from streams.core.policy import Channel, Policy
from streams.core.rules import parse_all
from streams.engine.effects import Batch
from streams.records import Recommendation
from streams.replicas import ENOUGH, MAX_SEGMENTS
from tests.unit.records import LIMITS, event, item
from tests.unit.shop import TOPICS, Shop

ITEMS = [f"thing {number}" for number in range(ENOUGH + 4)]
SEGMENTED = replace(LIMITS, segments=("age", "country"))


@pytest.fixture
def shop() -> Shop:
    """A shop where the old buy the last items most, and the young the first ones."""
    # Everybody together buys all things alike: a segment has to weigh more for its order to show.
    weights = {Channel.CONTENT: 0.3, Channel.POPULAR: 0.3, Channel.SEGMENT: 3.0}
    shop = Shop(Policy(exploration=0.0, diversity=1.0, channel_weights=weights), SEGMENTED)
    shop.catalogue(*(item(name, number) for number, name in enumerate(ITEMS)))
    number = 0
    for place, name in enumerate(ITEMS):
        for times, age in ((place + 1, "old"), (len(ITEMS) - place, "young")):
            for _ in range(times):
                shop.events(event(number, user=f"user {number}", item=name, attributes={"age": age}))
                number += 1
    return shop


def _ask(shop: Shop, user: str = "new", **attributes: str) -> Recommendation:
    told = {"attributes": attributes} if attributes else {}
    (recommendation,) = shop.events(event(10_000, user=user, type="search", item=None, query="x", **told))
    return recommendation


def test_of_whom_nothing_is_known_popularity_speaks(shop: Shop) -> None:
    recommendation = _ask(shop)
    assert recommendation.stage == "popularity"
    assert len(recommendation.items) == len(ITEMS)


def test_a_segment_speaks_before_everybody(shop: Shop) -> None:
    for age, order in (("old", ITEMS[::-1]), ("young", ITEMS)):
        recommendation = _ask(shop, f"new {age}", age=age)
        assert recommendation.stage == "segment"
        first = recommendation.items[0]
        assert first.item == order[0]
        assert f"popular with age {age} (number 1)" in [reason.text for reason in first.reasons]


def test_an_unknown_segment_falls_back(shop: Shop) -> None:
    assert _ask(shop, age="ageless").stage == "popularity"
    finer = _ask(shop, "other", age="old", country="CH")
    assert (finer.stage, finer.items[0].item) == ("segment", ITEMS[-1])


def test_a_shopper_who_did_something_has_a_profile(shop: Shop) -> None:
    (recommendation,) = shop.events(event(20_000, user="new", type="view", item=ITEMS[3], attributes={"age": "old"}))
    assert recommendation.stage == "profile"


def test_popularity_within_a_segment_is_what_its_shoppers_did(shop: Shop) -> None:
    rows = shop.tables["trending"]
    alone = Shop()
    alone.catalogue(item(ITEMS[0], 0))
    alone.events(event(0, item=ITEMS[0]))
    one = codecs.decode_popularity(alone.tables["trending"][ITEMS[0].encode()]).log_mass
    for segment, count in ((None, len(ITEMS) + 1), ("age=old", 1), ("age=young", len(ITEMS))):
        row = codecs.decode_popularity(rows[codecs.popularity_key(ITEMS[0], segment)])
        assert row.log_mass - one == pytest.approx(math.log(count), abs=1e-6)


def test_segments_are_bounded(shop: Shop) -> None:
    for number in range(MAX_SEGMENTS + 5):
        shop.events(event(30_000 + number, user=f"flood {number}", item=ITEMS[0], attributes={"age": f"x{number}"}))
    assert len(shop.replica.boards) == MAX_SEGMENTS


def test_a_policy_may_leave_segments_out(shop: Shop) -> None:
    weights = {Channel.POPULAR: 1.0}
    shop.profiles._policy = Policy(channel_weights=weights, exploration=0.0, diversity=1.0)
    recommendation = _ask(shop, age="old")
    assert {entry.channel for entry in recommendation.items} == {"popular"}
    assert recommendation.stage == "popularity"


def test_exploration_shows_what_nobody_has_dealt_with_by_a_known_chance() -> None:
    shop = Shop(Policy(size=3, exploration=0.5, diversity=1.0))
    shop.catalogue(*(item(name, number) for number, name in enumerate(ITEMS)))
    fresh, chances = 0, set()
    for number in range(200):
        happened = event(number, user=f"user {number}", item=ITEMS[number % 4])
        batch = Batch(TOPICS.events.name, 0, [happened])
        once, again = (asyncio.run(shop.profiles(batch, shop.read)).outputs for _ in range(2))
        assert once == again
        (recommendation,) = shop.events(happened)
        *others, last = recommendation.items
        assert all(entry.propensity is None for entry in others)
        assert last.item not in {entry.item for entry in others}
        if last.channel == "fresh":
            fresh += 1
            assert [reason.text for reason in last.reasons] == ["new here"]
        chances.add((last.channel == "fresh", last.propensity))
    assert 70 < fresh < 130
    assert chances == {(True, 0.5 / DRAWN_FROM), (False, 0.5)}


def test_exploration_keeps_the_rules() -> None:
    shop = Shop(Policy(size=3, exploration=1.0, rules=parse_all(["cap brand 1", 'exclude id = "thing 9"'])))
    shop.catalogue(*(item(name, n, brand=["acme", "other", "none"][n % 3]) for n, name in enumerate(ITEMS)))
    explored = 0
    for number in range(60):
        (recommendation,) = shop.events(event(number, user=f"user {number}", item=ITEMS[number % 3]))
        brands = [shop.replica.facts[entry.item].brand for entry in recommendation.items]
        assert len(set(brands)) == len(brands)
        assert "thing 9" not in {entry.item for entry in recommendation.items}
        explored += recommendation.items[-1].channel == "fresh"
    assert explored


def test_the_only_fresh_item_is_explored_for_certain() -> None:
    shop = Shop(Policy(size=3, exploration=1.0))
    shop.catalogue(*(item(name, number) for number, name in enumerate(ITEMS[:4])))
    (recommendation,) = shop.events(event(item=ITEMS[0], type="view"))
    last = recommendation.items[-1]
    assert (last.channel, last.propensity) == ("fresh", 1.0)
