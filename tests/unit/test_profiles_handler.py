"""The profiles agent's logic: what goes out after what came in."""

import pytest

from streams import codecs
from streams.core.policy import Channel, Policy
from streams.engine.effects import RejectReason
from tests.unit.records import NOW, FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop, told

GROCERIES = [
    item("milk", 0, title="Whole milk", category=["food", "dairy"]),
    item("oatmilk", 1, title="Oat milk", category=["food", "dairy"]),
    item("cheese", 2, title="Cheddar cheese", category=["food", "dairy"]),
    item("hammer", 3, title="Claw hammer", category=["tools"]),
    item("nails", 4, title="Steel nails", category=["tools"]),
]


@pytest.fixture
def shop() -> Shop:
    shop = Shop()
    shop.catalogue(*GROCERIES)
    return shop


def test_a_purchase_brings_a_recommendation_with_reasons(shop: Shop) -> None:
    (recommendation,) = shop.events(event(0, item="milk"))
    assert recommendation.user == "anna"
    assert recommendation.time == NOW
    assert (recommendation.trigger.offset, recommendation.trigger.item, recommendation.trigger.event) == (
        0,
        "milk",
        "e0",
    )
    assert recommendation.stage == "profile"
    assert recommendation.model == shop.encoder.id
    assert recommendation.as_of == {"shop.events.v1/0": 0, "shop.catalogue.v1/0": 4, "shop.embeddings.v1/0": 4}
    by_item = {entry.item: entry for entry in recommendation.items}
    assert by_item["milk"].channel == Channel.BUY_AGAIN
    (reason,) = by_item["milk"].reasons
    assert (reason.text, reason.because[0].item) == ("bought once, last on 2023-11-14", "milk")
    (reason,) = by_item["oatmilk"].reasons
    assert reason.text == "like Whole milk, bought on 2023-11-14"
    assert [entry.rank for entry in recommendation.items] == list(range(1, len(by_item) + 1))
    for entry in recommendation.items:
        assert sum(reason.share for reason in entry.reasons) == pytest.approx(1.0, abs=1e-3)


def test_content_finds_the_alike_first(shop: Shop) -> None:
    shop = Shop(Policy(channel_weights={Channel.CONTENT: 1.0}, diversity=1.0))
    shop.catalogue(*GROCERIES)
    (recommendation,) = shop.events(event(0, type="view", item="milk"))
    assert [entry.item for entry in recommendation.items[:2]] == ["milk", "oatmilk"]


def test_one_recommendation_per_shopper_and_batch_for_the_newest_event(shop: Shop) -> None:
    first, second = shop.events(event(0), event(1, user="bert"), event(2, item="nails"))
    assert [(r.user, r.trigger.offset) for r in (first, second)] == [("anna", 2), ("bert", 1)]


def test_popularity_speaks_to_those_of_whom_nothing_is_known(shop: Shop) -> None:
    shop.events(event(0, item="nails"), event(1, user="bert", item="nails"))
    (recommendation,) = shop.events(event(2, user="new", type="search", item=None, query="nails"))
    assert recommendation.stage == "popularity"
    assert [entry.item for entry in recommendation.items] == ["nails"]
    assert recommendation.items[0].reasons[0].text == "popular now (number 1)"


def test_unavailable_deleted_refused_and_excluded_items_stay_out() -> None:
    shop = Shop(Policy(excluded=frozenset({"cheese"})))
    shop.catalogue(*GROCERIES)
    shop.catalogue(item("oatmilk", 5, title="Oat milk", available=False), FakeRecord(b"nails", None, 6))
    (recommendation,) = shop.events(
        *(event(n, item=name) for n, name in enumerate(["cheese", "oatmilk", "nails", "hammer", "unheard-of"])),
        event(5, item="hammer", type="dislike"),
        event(6, item="milk", type="view"),
    )
    assert [entry.item for entry in recommendation.items] == ["milk"]


def test_what_is_in_the_cart_is_not_recommended(shop: Shop) -> None:
    (recommendation,) = shop.events(event(0, item="milk", type="cart"))
    assert "milk" not in {entry.item for entry in recommendation.items}


def test_a_redelivered_batch_puts_the_same_rows_and_sends_the_same_ids(shop: Shop) -> None:
    batch = [event(0), event(1, user="bert", item="nails"), event(2, item="cheese")]
    once = shop.events(*batch)
    tables = {name: dict(rows) for name, rows in shop.tables.items()}
    twice = shop.events(*batch)
    assert shop.tables == tables
    assert [r.id for r in twice] == [r.id for r in once]


def test_a_redelivered_part_of_the_past_sends_nothing(shop: Shop) -> None:
    shop.events(event(0), event(1, item="nails"))
    tables = {name: dict(rows) for name, rows in shop.tables.items()}
    assert shop.events(event(0)) == []
    assert shop.tables == tables


def test_a_crash_between_popularity_and_profiles_counts_once(shop: Shop) -> None:
    """Popularity rows are acknowledged first: on redelivery they are there and the profile is not."""
    expected = Shop()
    expected.catalogue(*GROCERIES)
    batch = [event(0), event(1, user="bert")]
    expected.events(*batch)
    shop.events(*batch)
    shop.tables["profiles"].clear()
    shop.events(*batch)
    assert shop.tables["profiles"] == expected.tables["profiles"]
    assert shop.tables["trending"] == expected.tables["trending"]


def test_a_producers_duplicate_counts_once(shop: Shop) -> None:
    shop.events(event(0))
    before = codecs.decode_popularity(shop.tables["trending"][b"milk"]).log_mass
    shop.events(event(1, id="e0"))
    assert codecs.decode_popularity(shop.tables["trending"][b"milk"]).log_mass == before
    profile = codecs.decode_profile(shop.tables["profiles"][b"anna"])
    assert (profile.habits["milk"].purchases, profile.offset) == (1, 1)


def test_bad_records_are_rejected_and_the_rest_goes_on(shop: Shop) -> None:
    bad = FakeRecord(b"anna", b"}", 1)
    effects = shop._run(shop.profiles, TOPICS.events.name, [event(0), bad, event(2, user="bert")])
    assert [(r.record, r.reason) for r in effects.rejections] == [(bad, RejectReason.UNDECODABLE)]
    assert len(told(effects)) == 2


def test_outputs_stay_on_the_partition_of_the_event(shop: Shop) -> None:
    effects = shop._run(shop.profiles, TOPICS.events.name, [event(0)])
    where = [(output.topic, output.key, output.partition) for output in effects.outputs]
    assert where == [("shop.sessions.v1", b"anna", 0), ("shop.recommendations.v1", b"anna", 0)]
