"""The channel of others' sessions, from what profiles send to what is recommended."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from streams import sessions
from streams.core.events import Alias, EventType, Interaction
from streams.core.policy import Channel, Policy
from streams.core.profile import Profile
from streams.core.sessions import Session
from streams.engine.effects import Output
from tests.unit.records import LIMITS, NOW, FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop

GOODS = ("milk", "tea", "bread", "jam")
ALONE = Policy(channel_weights={Channel.SESSIONS: 1.0}, diversity=1.0, exploration=0.0)


def shop_with(policy: Policy) -> Shop:
    shop = Shop(policy)
    shop.catalogue(*(item(name, offset, title=name.title()) for offset, name in enumerate(GOODS)))
    return shop


@pytest.fixture
def shop() -> Shop:
    return shop_with(ALONE)


def _told(shop: Shop, *records: FakeRecord) -> dict[bytes, Session | None]:
    """What is sent of sessions, by shopper."""
    outputs = shop._run(shop.profiles, TOPICS.events.name, records).outputs
    sent = [output for output in outputs if output.topic == TOPICS.sessions.name]
    assert {output.partition for output in sent} <= {0}
    return {output.key or b"": None if output.value is None else sessions.decode(output.value) for output in sent}


def _baskets(shop: Shop) -> None:
    for offset, (user, name) in enumerate((u, n) for u, goods in (("bert", 3), ("carl", 2)) for n in GOODS[:goods]):
        shop.events(event(offset, user=user, item=name))


def test_what_others_with_the_same_had_is_recommended_with_its_reason(shop: Shop) -> None:
    _baskets(shop)
    (recommendation,) = shop.events(event(9, item="milk"))
    assert [entry.item for entry in recommendation.items] == ["tea", "bread"]
    (reason,) = recommendation.items[0].reasons
    assert (reason.channel, reason.share) == ("sessions", 1.0)
    assert reason.text == "others with Milk, which you bought on 2023-11-14, went for it"
    assert [(cited.item, cited.time) for cited in reason.because] == [("milk", NOW + 9)]
    assert recommendation.stage == "profile"


def test_nobody_is_others_to_themselves(shop: Shop) -> None:
    (first,) = shop.events(event(0, item="milk", type="view"))
    (second,) = shop.events(event(1, item="tea", type="view"))
    assert not any(
        reason.channel == "sessions" for sent in (first, second) for one in sent.items for reason in one.reasons
    )


def test_of_all_that_was_done_with_an_item_the_newest_is_cited(shop: Shop) -> None:
    _baskets(shop)
    shop.events(event(9, item="milk", type="view"))
    (recommendation,) = shop.events(event(10, item="milk"))
    (reason,) = recommendation.items[0].reasons
    assert [(cited.item, cited.type, cited.time) for cited in reason.because] == [("milk", "purchase", NOW + 10)]


def test_a_session_is_sent_with_every_event_and_alike_when_it_comes_again(shop: Shop) -> None:
    first = [event(0, item="milk"), event(1, user="bert", item="tea")]
    once = _told(shop, *first)
    assert once == {b"anna": Session(["milk"], NOW), b"bert": Session(["tea"], NOW + 1)}
    assert _told(shop, *first) == once
    later = _told(shop, event(2, item="tea"), event(3, type="dislike", item="milk"))
    assert later == {b"anna": Session(["tea"], NOW + 2)}
    assert _told(shop, *first) == {b"bert": once[b"bert"]}  # of anna a newer one was sent
    assert _told(shop, event(4, type="dislike", item="tea")) == {b"anna": None}


def test_who_is_erased_is_in_nobodys_recommendations(shop: Shop) -> None:
    _baskets(shop)
    erasing = FakeRecord(b"bert", None, 10, headers=[("upwell.erase", b"1")])
    assert _told(shop, erasing) == {b"bert": None}
    (recommendation,) = shop.events(event(11, item="milk"))
    assert [entry.item for entry in recommendation.items] == ["tea"]


def test_who_logs_in_is_one_shopper() -> None:
    topic, profile = TOPICS.sessions, Profile(7, (Interaction("milk", EventType.VIEW, 0.1, NOW),))
    known = sessions.record_of(topic, "anna", profile, 2)
    assert known == Output(topic.name, b"anna", sessions.encode(Session(["milk"], NOW), 7), 2)
    assert sessions.record_of(topic, "cookie", replace(profile, alias=Alias("anna", 2)), 1).value is None


def test_a_policy_may_do_without() -> None:
    shop = shop_with(replace(ALONE, channel_weights={Channel.POPULAR: 1.0}))
    _baskets(shop)
    (recommendation,) = shop.events(event(9, item="milk"))
    assert {reason.channel for entry in recommendation.items for reason in entry.reasons} == {"popular"}


def test_a_replica_that_reads_the_newest_of_each_key_says_the_same(shop: Shop) -> None:
    """As one does that starts, where Kafka has compacted the topic."""
    newest: dict[bytes, FakeRecord] = {}
    for offset in range(60):
        user, name = f"user-{offset % 7}", GOODS[offset * 5 % 4]
        happened = event(offset, user=user, item=name, time=NOW + offset * 3_600_000)
        for output in shop._run(shop.profiles, TOPICS.events.name, [happened]).outputs:
            if output.topic == TOPICS.sessions.name and output.key:
                newest[output.key] = FakeRecord(output.key, output.value, offset, output.topic)
    started = Shop(ALONE, LIMITS).replica
    asyncio.run(started.apply(TOPICS.sessions.name, 0, sorted(newest.values(), key=lambda record: record.offset)))
    answers = []
    for replica in (shop.replica, started):
        ring = replica.items.places(["milk", "bread"])
        alike = replica.sessions.alike(replica.sessions.held(ring, np.array([0, 2])), np.ones(2), [NOW])
        places, _, scores, _ = replica.sessions.votes(alike, np.zeros(2000), [NOW])
        answers.append({replica.items.ids[place]: score for place, score in zip(places, scores, strict=True)})
    assert answers[0] == pytest.approx(answers[1])
    assert len(answers[0]) == len(GOODS)
