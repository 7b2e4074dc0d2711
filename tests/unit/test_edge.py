"""The guarded edge: what is let in, what is refused, and under which name."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from streams.core.events import Alias, EventType
from streams.edge import AcceptedEvent, accept_event, accept_item, limits_of
from streams.engine.effects import Rejection, RejectReason
from streams.errors import ConfigError
from streams.partitioning import Partitioner, partition_of
from streams.pseudonyms import is_pseudonym, new_line, parse
from streams.settings import Settings
from tests.unit.records import LIMITS, NOW, FakeRecord, event, item

DAY = 86_400_000


def test_a_good_event_is_accepted_with_its_shopper_and_offset() -> None:
    accepted = accept_event(event(7), LIMITS)
    assert isinstance(accepted, AcceptedEvent)
    assert (accepted.shopper, accepted.arrival.offset, accepted.arrival.event) == ("anna", 7, "e7")
    assert accepted.arrival.interaction == ("milk", EventType.PURCHASE, 1.0, NOW + 7)


def test_unknown_fields_are_ignored() -> None:
    assert isinstance(accept_event(event(colour="red"), LIMITS), AcceptedEvent)


def test_an_anonymous_shopper_is_the_key() -> None:
    accepted = accept_event(event(user="cookie", anonymous_id="cookie"), LIMITS)
    assert isinstance(accepted, AcceptedEvent)
    raw = FakeRecord(
        b"c1", json.dumps({"id": "1", "type": "view", "time": 1, "anonymous_id": "c1", "item": "x"}).encode()
    )
    assert isinstance(accept_event(raw, LIMITS), AcceptedEvent)


def test_a_search_is_fine_without_an_item() -> None:
    accepted = accept_event(event(type="search", item=None, query="oat milk"), LIMITS)
    assert isinstance(accepted, AcceptedEvent)
    assert accepted.arrival.interaction is None


@pytest.mark.parametrize(("stars", "weight"), [(1, -1.0), (2, -0.5), (3, 0.0), (4, 0.5), (5, 1.0)])
def test_a_rating_weighs_by_its_stars(stars: float, weight: float) -> None:
    accepted = accept_event(event(type="rating", value=stars), LIMITS)
    assert isinstance(accepted, AcceptedEvent)
    assert accepted.arrival.interaction is not None
    assert accepted.arrival.interaction.weight == weight


def with_value(number: bytes) -> FakeRecord:
    """A rating whose `value` is written as given."""
    return FakeRecord(b"anna", b'{"id":"1","type":"rating","time":1,"user":"anna","item":"x","value":' + number + b"}")


BAD_EVENTS = {
    "not JSON": (FakeRecord(b"anna", b"\x00\xff"), RejectReason.UNDECODABLE),
    "empty": (FakeRecord(b"anna", b""), RejectReason.UNDECODABLE),
    "cut short": (FakeRecord(b"anna", b'{"id": "1", "type": "view'), RejectReason.UNDECODABLE),
    "NaN": (with_value(b"NaN"), RejectReason.UNDECODABLE),
    "a number past float64": (with_value(b"1e999"), RejectReason.INVALID),
    "deeply nested": (FakeRecord(b"anna", b'{"attributes":' + b"[" * 400 + b"]" * 400 + b"}"), RejectReason.INVALID),
    "oversize": (FakeRecord(b"anna", b" " * 1_001), RejectReason.OVERSIZE),
    "null": (FakeRecord(b"anna", None), RejectReason.INVALID),
    "no key": (FakeRecord(None, event().value), RejectReason.WRONG_KEY),
    "empty key": (FakeRecord(b"", event().value), RejectReason.WRONG_KEY),
    "key not text": (FakeRecord(b"\xff\xfe", event().value), RejectReason.WRONG_KEY),
    "someone else's key": (FakeRecord(b"bert", event().value), RejectReason.WRONG_KEY),
    "no id": (event(id=None), RejectReason.INVALID),
    "no type": (event(type=None), RejectReason.INVALID),
    "unknown type": (event(type="teleport"), RejectReason.INVALID),
    "no time": (event(time=None), RejectReason.INVALID),
    "time as text": (event(time="yesterday"), RejectReason.INVALID),
    "negative time": (event(time=-1), RejectReason.INVALID),
    "no item": (event(item=None), RejectReason.INVALID),
    "empty item": (event(item=""), RejectReason.INVALID),
    "item as number": (event(item=17), RejectReason.INVALID),
    "long item": (event(item="x" * 257), RejectReason.INVALID),
    "six stars": (event(type="rating", value=6), RejectReason.INVALID),
    "a rating without stars": (event(type="rating"), RejectReason.INVALID),
    "the future": (event(time=NOW + DAY + 1), RejectReason.TIME_TRAVEL),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_EVENTS)
def test_a_bad_event_is_refused_with_its_reason(name: str) -> None:
    record, reason = BAD_EVENTS[name]
    refused = accept_event(record, LIMITS)
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.record) == (reason, record)
    assert refused.detail


def test_nesting_past_the_parsers_depth_is_refused() -> None:
    deep = FakeRecord(b"anna", b'{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}")
    refused = accept_event(deep, replace(LIMITS, max_event_bytes=200_000))
    assert isinstance(refused, Rejection)
    assert (refused.reason, refused.detail) == (RejectReason.UNDECODABLE, "nested too deeply")


def test_the_clock_plays_no_part() -> None:
    old = event(time=1)
    assert isinstance(accept_event(old, LIMITS), AcceptedEvent)
    assert isinstance(accept_event(event(time=NOW + DAY), LIMITS), AcceptedEvent)


def test_items_are_accepted_and_deleted() -> None:
    accepted = accept_item(item("milk", price=1.5, category=["food", "dairy"]), LIMITS)
    assert not isinstance(accepted, Rejection)
    key, milk = accepted
    assert key == "milk"
    assert milk is not None
    assert (milk.price, milk.category) == (1.5, ["food", "dairy"])
    assert accept_item(FakeRecord(b"milk", None), LIMITS) == ("milk", None)


BAD_ITEMS = {
    "no title": (item("milk", title=""), RejectReason.INVALID),
    "negative price": (item("milk", price=-1), RejectReason.INVALID),
    "currency": (item("milk", currency="euro"), RejectReason.INVALID),
    "wrong key": (FakeRecord(b"tea", item("milk").value), RejectReason.WRONG_KEY),
    "oversize": (item("milk", description="x" * 2_000), RejectReason.OVERSIZE),
}


@pytest.mark.parametrize("name", BAD_ITEMS)
def test_a_bad_item_is_refused_with_its_reason(name: str) -> None:
    record, reason = BAD_ITEMS[name]
    refused = accept_item(record, LIMITS)
    assert isinstance(refused, Rejection)
    assert refused.reason is reason


def login(**changes: Any) -> FakeRecord:
    body = {"id": "e7", "type": "login", "time": NOW, "anonymous_id": "cookie", "as": "anna", **changes}
    return FakeRecord(b"cookie", json.dumps({name: value for name, value in body.items() if value}).encode(), 7)


def test_a_login_names_the_user_and_the_partition_of_their_events() -> None:
    limits = replace(LIMITS, partitions=5, partitioner=Partitioner.CRC32)
    accepted = accept_event(login(), limits)
    assert isinstance(accepted, AcceptedEvent)
    assert accepted.shopper == "cookie"
    assert accepted.arrival.login == Alias("anna", partition_of("anna", 5, Partitioner.CRC32))
    assert accepted.arrival.interaction is None


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"as": None}, "`as` is missing"),
        ({"as": "cookie"}, "the `anonymous_id` itself"),
        ({"user": "cookie"}, "carries no `user`"),
        ({"as": "pn1_" + "a" * 32}, "is a pseudonym"),
    ],
)
def test_what_is_no_login_is_refused(changes: dict[str, Any], detail: str) -> None:
    refused = accept_event(login(**changes), LIMITS)
    assert isinstance(refused, Rejection)
    assert refused.reason == RejectReason.INVALID
    assert detail in refused.detail


def test_as_means_something_in_a_login_only() -> None:
    accepted = accept_event(event(**{"as": "bert"}), LIMITS)
    assert isinstance(accepted, AcceptedEvent)
    assert accepted.arrival.login is None


def test_half_lives_come_from_the_settings() -> None:
    limits = limits_of(Settings(half_lives={"habits": 30, "intent": None}))
    assert (limits.half_lives.habits_ms, limits.half_lives.intent) == (30 * 86_400_000, math.inf)
    with pytest.raises(ConfigError, match="UPWELL_HALF_LIVES: unknown half-life 'sleep'"):
        limits_of(Settings(half_lives={"sleep": 1}))


def test_a_login_of_pseudonyms_names_a_pseudonym_and_finds_the_ids_partition() -> None:
    limits = replace(LIMITS, partitions=5, pseudonyms=parse(new_line(1)))
    accepted = accept_event(login(), limits)
    assert isinstance(accepted, AcceptedEvent)
    assert accepted.arrival.login is not None
    assert is_pseudonym(accepted.arrival.login.user)
    assert accepted.arrival.login.partition == partition_of("anna", 5)
