"""What a line of JSON becomes: a record for a topic, or a refusal that says where and why."""

import json
from dataclasses import replace

import pytest

from streams.core.events import WEIGHTS
from streams.edge import Limits
from streams.jsonl import BadLine, Kind, Line, Outgoing, parse
from streams.partitioning import partition_of
from streams.pseudonyms import Pseudonyms

NOW = 1_767_607_200_000
DAY_MS = 86_400_000
LIMITS = Limits(max_event_bytes=1_000, max_item_bytes=2_000, max_future_ms=DAY_MS, weights=WEIGHTS)

EVENT = {"id": "e1", "type": "view", "time": NOW, "user": "anna", "item": "hammer"}
ITEM = {"id": "hammer", "title": "Claw hammer"}
DELETION = {"id": "hammer", "deleted": True}
QUESTION = {"id": "q1", "text": "which saw?", "time": NOW, "user": "anna"}


def _parse(data: object, kind: Kind | None = None) -> Outgoing | BadLine:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return parse(Line("shop.jsonl", 7, text), LIMITS, kind, NOW)


def _without(data: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in data.items() if name not in names}


@pytest.mark.parametrize(
    ("data", "kind", "key"),
    [
        (EVENT, Kind.EVENTS, b"anna"),
        (_without(EVENT, "user") | {"anonymous_id": "cookie-1"}, Kind.EVENTS, b"cookie-1"),
        (EVENT | {"anonymous_id": "cookie-1"}, Kind.EVENTS, b"anna"),
        (EVENT | {"title": "a field that Upwell does not read"}, Kind.EVENTS, b"anna"),
        (ITEM, Kind.CATALOGUE, b"hammer"),
        (ITEM | {"type": "tool"}, Kind.CATALOGUE, b"hammer"),
        (ITEM | {"id": "Hämmer"}, Kind.CATALOGUE, "Hämmer".encode()),
        (ITEM | {"text": "a field that Upwell does not read"}, Kind.CATALOGUE, b"hammer"),
        (QUESTION, Kind.QUESTIONS, b"anna"),
        (_without(QUESTION, "user"), Kind.QUESTIONS, b"q1"),
    ],
)
def test_a_line_is_told_by_its_fields_and_keyed(data: dict[str, object], kind: Kind, key: bytes) -> None:
    value = json.dumps(data).encode()
    assert _parse(data) == Outgoing(kind, key, value, NOW), "the value goes out byte for byte"


@pytest.mark.parametrize(("data", "kind"), [(EVENT, Kind.EVENTS), (QUESTION, Kind.QUESTIONS)])
def test_shoppers_leave_by_their_pseudonyms_on_their_partition(data: dict[str, object], kind: Kind) -> None:
    names = Pseudonyms(1, (b"k" * 32,))
    limits = replace(LIMITS, pseudonyms=names, partitions=8)
    sent = parse(Line("shop.jsonl", 7, json.dumps(data).encode()), limits, None, NOW)
    assert isinstance(sent, Outgoing)
    assert (sent.kind, sent.key) == (kind, names.of("anna").encode())
    assert sent.partition == partition_of("anna", 8, limits.partitioner)
    assert json.loads(sent.value or b"") == data | {"user": names.of("anna")}


def test_a_question_of_nobody_is_sent_as_it_is() -> None:
    limits = replace(LIMITS, pseudonyms=Pseudonyms(1, (b"k" * 32,)))
    value = json.dumps(_without(QUESTION, "user")).encode()
    assert parse(Line("shop.jsonl", 7, value), limits, None, NOW) == Outgoing(Kind.QUESTIONS, b"q1", value, NOW)


@pytest.mark.parametrize("data", [DELETION, ITEM | DELETION])
def test_a_deletion_is_a_null_value_under_the_items_key(data: dict[str, object]) -> None:
    assert _parse(data) == Outgoing(Kind.CATALOGUE, b"hammer", None, NOW)
    assert _parse(data, Kind.CATALOGUE) == Outgoing(Kind.CATALOGUE, b"hammer", None, NOW)


def test_an_item_that_is_not_deleted_stays() -> None:
    kept = _parse(ITEM | {"deleted": False})
    assert isinstance(kept, Outgoing)
    assert kept.value is not None


def test_as_forces_the_kind() -> None:
    both = EVENT | ITEM
    assert isinstance(forced := _parse(both, Kind.CATALOGUE), Outgoing)
    assert (forced.kind, forced.key) == (Kind.CATALOGUE, b"hammer")
    assert isinstance(refused := _parse(ITEM, Kind.EVENTS), BadLine)
    assert "missing required field `type`" in refused.detail


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (_without(EVENT, "time"), "neither an event"),
        (_without(EVENT, "user"), "neither `user` nor `anonymous_id`"),
        (_without(QUESTION, "time"), "missing required field `time`"),
        (QUESTION | {"text": " "}, "`text` is empty"),
        (QUESTION | {"user": 17}, "Expected `str | null`, got `int`"),
        (_without(QUESTION, "id", "user"), "missing required field `id`"),
        (EVENT | {"user": ""}, "length >= 1"),
        (EVENT | {"user": 17}, "Expected `str | null`, got `int`"),
        (EVENT | {"type": "stare"}, "Invalid enum value"),
        (EVENT | {"type": "rating", "value": 6}, "stars from 1 to 5"),
        (_without(EVENT, "item"), "`item` is missing"),
        (EVENT | {"time": NOW + DAY_MS + 1}, "ahead of the record's"),
        (EVENT | {"query": "x" * 1_000}, "at most 1000 are read"),
        (ITEM | {"price": -1}, "Expected `float` >= 0"),
        (ITEM | {"id": None}, "Expected `str`, got `null`"),
        (ITEM | {"description": "x" * 2_000}, "at most 2000 are read"),
        (DELETION | {"id": ""}, "length >= 1"),
        (_without(DELETION, "id"), "missing required field `id`"),
        ([EVENT], "Expected `object`, got `array`"),
        (b"{", "Input data was truncated"),
        (b'{"id": NaN}', "JSON is malformed"),
        (b'{"id": "\xff"}', "utf-8"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(data: object, detail: str) -> None:
    bad = _parse(data)
    assert isinstance(bad, BadLine)
    assert str(bad).startswith("shop.jsonl:7: ")
    assert detail in bad.detail


def test_a_line_that_was_too_long_to_keep_is_refused() -> None:
    bad = parse(Line("shop.jsonl", 3, None), LIMITS, None, NOW)
    assert str(bad) == "shop.jsonl:3: longer than any record may be (2000 bytes)"
