"""Formats of records: what is read, what is refused in which words, and a registry that is there, away or wrong."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.agents.encoder import EncoderHandler
from streams.agents.profiles import ProfilesHandler
from streams.core.policy import Policy
from streams.edge import AcceptedEvent, accept_event, accept_item, limits_of
from streams.engine.effects import Batch, Rejection, RejectReason
from streams.errors import ConfigError
from streams.formats import registry as registries
from streams.formats.avro import avro_reader
from streams.formats.base import Fault, Format, FormatError
from streams.formats.reading import Formats, Subject
from streams.formats.registry import Access, Registry, RegistryError
from streams.formats.settings import formats_of
from streams.items import ItemEncoder
from streams.records import CatalogueItem
from streams.replicas import Replica
from streams.settings import Settings
from tests.registry import EVENT_SCHEMA, ITEM_SCHEMA, FakeRegistry, framed, written
from tests.unit.records import LIMITS, FakeRecord, event, item
from tests.unit.shop import TOPICS, Shop, immediate_index

VIEW = {"id": "e1", "type": "view", "time": 1_700_000_000_000, "user": "anna", "item": "milk"}
BINARY = [("ce_specversion", b"1.0"), ("ce_id", b"e1"), ("ce_source", b"/shop"), ("ce_type", b"shop.view")]
WHEN = ("ce_time", b"2023-11-14T22:13:20Z")
ENVELOPE = [("Content-Type", b"application/cloudevents+json")]
SCHEMAS: dict[int, object] = {
    1: EVENT_SCHEMA,
    2: ITEM_SCHEMA,
    3: {"schema": '{"type": "object"}', "schemaType": "JSON"},
    4: {"schema": 'syntax = "proto3";', "schemaType": "PROTOBUF"},
    5: {"schema": EVENT_SCHEMA, "references": [{"name": "x", "subject": "x", "version": 1}]},
    6: "no schema at all",
    7: json.dumps({"type": "array", "items": "null"}),
}


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry(dict(SCHEMAS)).serving() as serving:
        yield serving


def record(value: bytes | None, headers: list[tuple[str, bytes]] | None = None, offset: int = 0) -> FakeRecord:
    return FakeRecord(b"anna", value, offset, headers=headers or [])


def why(verdict: object) -> tuple[RejectReason, str]:
    assert isinstance(verdict, Rejection), verdict
    return verdict.reason, verdict.detail


def test_a_cloud_event_says_in_headers_what_its_data_does_not() -> None:
    accepted = accept_event(record(b'{"user": "anna", "item": "milk"}', [*BINARY, WHEN]), LIMITS)
    assert isinstance(accepted, AcceptedEvent)
    assert (accepted.event.id, accepted.event.type.value, accepted.event.time) == ("e1", "view", 1_700_000_000_000)


def test_what_the_data_says_counts_more() -> None:
    accepted = accept_event(record(json.dumps(VIEW | {"id": "own"}).encode(), BINARY), LIMITS)
    assert isinstance(accepted, AcceptedEvent)
    assert accepted.event.id == "own"


def test_an_item_is_not_the_event_that_tells_of_it() -> None:
    body = json.dumps({"specversion": "1.0", "id": "e9", "type": "t", "source": "/", "data": {"title": "The milk"}})
    told = replace(record(body.encode(), ENVELOPE), key=b"e9")
    assert why(accept_item(told, LIMITS)) == (RejectReason.INVALID, "Object missing required field `id`")


@pytest.mark.parametrize(
    ("value", "headers", "reason", "said"),
    [
        (b"{}", [("ce_specversion", b"0.3")], "undecodable", "another version than 1"),
        (b"{}", [("ce_specversion", b"\xff")], "undecodable", "not UTF-8"),
        (b"{}", [*BINARY, ("ce_time", b"yesterday")], "invalid", "RFC 3339"),
        (b"{}", [*BINARY, ("ce_time", b"2023-11-14T22:13:20")], "invalid", "with its zone"),
        (b"{}", [*BINARY, ("content-type", b"application/xml")], "undecodable", "application/json alone"),
        (b"[]", BINARY, "invalid", "Expected `object`"),
        (b"{}", ENVELOPE, "invalid", "specversion"),
        (b"{", ENVELOPE, "undecodable", ""),
        (b'{"specversion": "1.0", "data_base64": "?"}', ENVELOPE, "undecodable", "not base64"),
        (b'{"specversion": "1.0", "id": 7, "data": {}}', ENVELOPE, "invalid", "`id` of a CloudEvent is a text"),
        (b"{}", [("content-type", b"application/cloudevents+avro")], "undecodable", "not application/cloudevents+json"),
        (
            b"{}",
            [("content-type", b"application/cloudevents-batch+json")],
            "undecodable",
            "not application/cloudevents",
        ),
        (framed(1, b""), [], "undecodable", "set UPWELL_REGISTRY_URL"),
    ],
)
def test_what_is_no_cloud_event_is_refused(
    value: bytes, headers: list[tuple[str, bytes]], reason: str, said: str
) -> None:
    found, detail = why(accept_event(record(value, headers), LIMITS))
    assert found == reason
    assert said in detail


@pytest.mark.parametrize(
    ("wanted", "value", "headers", "said"),
    [
        (Format.CLOUDEVENTS, json.dumps(VIEW).encode(), [], "no CloudEvent"),
        (Format.AVRO, json.dumps(VIEW).encode(), [], "does not begin with byte 0"),
        (Format.AVRO, b"{}", BINARY, "does not begin with byte 0"),
        (Format.JSON, framed(1, b""), [], "malformed"),
    ],
)
def test_a_topic_of_one_format_takes_no_other(
    wanted: Format, value: bytes, headers: list[tuple[str, bytes]], said: str
) -> None:
    limits = replace(LIMITS, formats=Formats({Subject.EVENTS: wanted}))
    reason, detail = why(accept_event(record(value, headers), limits))
    assert reason is RejectReason.UNDECODABLE
    assert said in detail


def test_json_is_json_whatever_headers_say_where_nothing_else_is_read() -> None:
    limits = replace(LIMITS, formats=Formats({Subject.EVENTS: Format.JSON}))
    assert isinstance(accept_event(record(json.dumps(VIEW).encode(), [*BINARY, *ENVELOPE]), limits), AcceptedEvent)


async def test_schemas_are_asked_for_once(fake: FakeRegistry) -> None:
    formats = Formats({}, Registry(Access(fake.url)))
    records = [record(written(1, EVENT_SCHEMA, VIEW)), record(json.dumps(VIEW).encode()), record(None)]
    for _ in range(3):
        await formats.learn(records)
    assert fake.asked == [1]
    accepted = accept_event(records[0], replace(LIMITS, formats=formats))
    assert isinstance(accepted, AcceptedEvent)
    assert accepted.event.item == "milk"


@pytest.mark.parametrize(
    ("schema", "payload", "reason", "said"),
    [
        (9, b"", "unknown-schema", "the registry has no schema 9"),
        (4, b"", "unknown-schema", "schema 4 is of type PROTOBUF: AVRO and JSON are read"),
        (5, b"", "unknown-schema", "schema 5 refers to others"),
        (6, b"", "unknown-schema", "schema 6: its schema cannot be read"),
        (7, b"", "unknown-schema", "schema 7: its schema has an array of what takes no bytes"),
        (1, b"", "undecodable", "not what its Avro schema says"),
        (1, b"\xff" * 40, "undecodable", "not what its Avro schema says"),
        (3, b"{", "undecodable", "truncated"),
    ],
)
async def test_what_the_registry_says_is_told_of_the_record(
    fake: FakeRegistry, schema: int, payload: bytes, reason: str, said: str
) -> None:
    formats = Formats({}, Registry(Access(fake.url)))
    bad = record(framed(schema, payload))
    await formats.learn([bad])
    found, detail = why(accept_event(bad, replace(LIMITS, formats=formats)))
    assert found == reason
    assert said in detail


async def test_json_of_a_json_schema_is_read(fake: FakeRegistry) -> None:
    formats = Formats({}, Registry(Access(fake.url)))
    good = record(framed(3, json.dumps(VIEW).encode()))
    await formats.learn([good])
    assert isinstance(accept_event(good, replace(LIMITS, formats=formats)), AcceptedEvent)


async def test_what_was_not_there_is_asked_for_again(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(Access(fake.url))
    await registry.learn([9])
    await registry.learn([9])
    assert fake.asked == [9]
    monkeypatch.setattr(registries, "AGAIN_S", 0.0)
    fake.answers[9] = EVENT_SCHEMA
    await registry.learn([9])
    assert registry.reader(9)(written(9, EVENT_SCHEMA, VIEW)[5:])


async def test_credentials_are_sent_and_never_shown(fake: FakeRegistry) -> None:
    for access, sent in (
        (Access(fake.url, "me", "secret"), "Basic bWU6c2VjcmV0"),
        (Access(fake.url, token="secret"), "Bearer secret"),
        (Access(fake.url), None),
    ):
        await Registry(access).learn([1])
        assert fake.authorizations.pop() == sent
        assert "secret" not in repr(access)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (503, "answers 503 where a schema was asked for"),
        (401, "answers 401: check UPWELL_REGISTRY_USER"),
        (302, "answers 302"),
        (b"<html>", "something that is no schema"),
    ],
)
async def test_a_registry_that_does_not_answer_says_nothing_of_the_record(
    fake: FakeRegistry, answer: object, said: str
) -> None:
    fake.answers[1] = answer
    registry = Registry(Access(fake.url))
    with pytest.raises(RegistryError, match=said):
        await registry.learn([1, 2])
    fake.answers[1] = EVENT_SCHEMA
    await registry.learn([1, 2])
    assert registry.reader(1)


async def test_a_registry_that_is_away_is_waited_for(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "PATIENCE_S", 0.0)
    away = Registry(Access("http://127.0.0.1:9"))
    with pytest.raises(RegistryError, match="does not answer"):
        await away.learn([1])
    fake.down = True
    registry = Registry(Access(fake.url))
    waiting = asyncio.create_task(registry.learn_patiently([1]))
    async with asyncio.timeout(30):
        while len(fake.asked) < 3:  # noqa: ASYNC110 - the server has no event to wait for
            await asyncio.sleep(0.001)
    fake.down = False
    await asyncio.wait_for(waiting, 30)
    assert registry.reader(1)


async def test_handlers_and_the_replica_learn_schemas_first(fake: FakeRegistry) -> None:
    limits = replace(LIMITS, formats=Formats({}, Registry(Access(fake.url))))
    shop = await asyncio.to_thread(Shop, limits=limits)
    value = written(2, ITEM_SCHEMA, {"id": "milk", "title": "The milk", "price": Decimal("24.90")})
    milk = FakeRecord(b"milk", value, 0, TOPICS.catalogue.name)
    replica = Replica(TOPICS, immediate_index, limits)
    await replica.apply(milk.topic, 0, [milk])
    assert replica.facts["milk"].title == "The milk"
    encoding = EncoderHandler(ItemEncoder(shop.encoder), limits)
    effects = await encoding(Batch(milk.topic, 0, [milk]), shop.read)
    assert len(effects.rows["embeddings"]) == 1
    handler = ProfilesHandler(TOPICS, replica, Policy(), limits)
    bad, good = record(framed(9, b""), offset=1), record(written(1, EVENT_SCHEMA, VIEW), offset=2)
    effects = await handler(Batch(TOPICS.events.name, 0, [event(0), bad, good]), shop.read)
    assert [(one.record, one.reason) for one in effects.rejections] == [(bad, RejectReason.UNKNOWN_SCHEMA)]
    assert len(effects.rows["profiles"]) == 1
    fake.down = True
    with pytest.raises(RegistryError):  # not one record is refused for that
        await handler(Batch(TOPICS.events.name, 0, [event(0), record(framed(11, b""))]), shop.read)


@pytest.mark.parametrize(
    ("kind", "value", "json_value"),
    [
        ({"type": "long", "logicalType": "timestamp-millis"}, 1_700_000_000_123, "1700000000123"),
        ({"type": "long", "logicalType": "timestamp-micros"}, 1_700_000_000_123_999, "1700000000123"),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, 1_700_000_000_123, "1700000000123"),
        ("long", 7, "7"),
        ("float", 0.5, "0.5"),
        ({"type": "enum", "name": "T", "symbols": ["view"]}, "view", '"view"'),
        ({"type": "string", "logicalType": "uuid"}, "12345678-1234-5678-1234-567812345678", None),
        ({"type": "array", "items": ["null", "int"]}, [None, 1], "[null,1]"),
    ],
)  # fmt: skip
def test_avro_becomes_the_json_of_a_producer_of_json(kind: object, value: Any, json_value: str | None) -> None:
    schema = json.dumps({"type": "record", "name": "V", "fields": [{"name": "v", "type": kind}]})
    found = avro_reader(schema)(written(1, schema, {"v": value})[5:])
    assert found.decode() == f'{{"v":{json_value or json.dumps(value)}}}'


def test_a_decimal_is_a_number() -> None:
    item_value = avro_reader(ITEM_SCHEMA)(b"\x02i\x02t\x04\x09\xba")  # 0x09ba = 2490, two places
    assert json.loads(item_value) == {"id": "i", "title": "t", "price": 24.9}


@pytest.mark.parametrize(
    ("kind", "payload", "fault", "said"),
    [
        ({"type": "array", "items": "int"}, b"\xfe\xff\xff\xff\x0f", Fault.UNDECODABLE, "not what its Avro schema"),
        ("double", struct.pack("<d", float("nan")), Fault.INVALID, "not finite"),
        ("double", struct.pack("<d", float("inf")), Fault.INVALID, "not finite"),
        ("bytes", b"\x02a", Fault.INVALID, "of type bytes"),
        ({"type": "int", "logicalType": "date"}, b"\x02", Fault.INVALID, "of type date"),
        ("int", b"\x02\x02", Fault.UNDECODABLE, "more behind it"),
        ("string", b"\xfe\xff\xff\xff\x0f", Fault.UNDECODABLE, "not what its Avro schema says"),
    ],
)  # fmt: skip
def test_what_json_does_not_have_is_refused(kind: object, payload: bytes, fault: Fault, said: str) -> None:
    schema = json.dumps({"type": "record", "name": "V", "fields": [{"name": "v", "type": kind}]})
    with pytest.raises(FormatError, match=said) as refused:
        avro_reader(schema)(payload)
    assert refused.value.fault is fault


@pytest.mark.parametrize(
    "items",
    [
        "null",
        {"type": "null"},
        {"type": "fixed", "name": "F", "size": 0},
        {"type": "record", "name": "R", "fields": []},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "null"}]},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "fixed", "name": "G", "size": 0}}]},
    ],
)  # fmt: skip
def test_arrays_that_a_few_bytes_could_fill_memory_by_are_refused(items: object) -> None:
    field = {"name": "v", "type": ["null", {"type": "array", "items": items}]}
    with pytest.raises(FormatError, match="array of what takes no bytes"):
        avro_reader(json.dumps({"type": "record", "name": "V", "fields": [field]}))


def test_an_array_of_itself_is_read() -> None:
    tree = {"type": "record", "name": "T", "fields": [{"name": "t", "type": {"type": "array", "items": "T"}}]}
    assert avro_reader(json.dumps(tree))(b"\x02\x00\x00") == b'{"t":[{"t":[]}]}'


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ("UPWELL_EVENTS_FORMAT=avro needs a schema registry", {"events_format": "avro"}),
        ("UPWELL_REGISTRY_URL is not http", {"registry_url": "ftp://here"}),
        ("UPWELL_REGISTRY_URL is not http", {"registry_url": "http://me:secret@127.0.0.1"}),
        ("UPWELL_REGISTRY_URL is not http", {"registry_url": "http://[broken"}),
        ("belong together", {"registry_url": "http://127.0.0.1", "registry_user": "me"}),
        ("belong together", {"registry_url": "http://127.0.0.1", "registry_password": "secret"}),
        (
            "wants one of them",
            {"registry_url": "http://127.0.0.1", "registry_user": "me", "registry_token": "secret"},
        ),
        ("in the clear", {"registry_url": "http://registry.example", "registry_token": "secret"}),
        ("REGISTRY_TOKEN_FILE cannot be read", {"registry_url": "http://127.0.0.1", "registry_token_file": "/none"}),
        ("REGISTRY_CAFILE cannot be used", {"registry_url": "https://127.0.0.1", "registry_cafile": "/none"}),
    ],
)
def test_settings_that_cannot_be_are_told(said: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=said) as told:
        limits_of(Settings(**options))
    assert "secret" not in str(told.value)


def test_settings_name_a_registry_and_how_to_be_let_in(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    options: dict[str, Any] = {"registry_user": "me", "registry_password_file": tmp_path / "password"}
    formats = formats_of(Settings(registry_url="https://registry.example/api", **options))
    assert formats.registry is not None
    assert formats.registry._access == Access("https://registry.example/api", "me", "secret")
    trusting = Settings(registry_url="http://registry.example", registry_allow_plaintext_credentials=True, **options)
    assert formats_of(trusting).registry is not None
    assert formats_of(Settings()).registry is None


def test_without_what_reads_avro_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'upwell\[avro\]'"):
        formats_of(Settings(registry_url="http://127.0.0.1:8081"))


def test_an_item_in_avro_is_the_item_in_json() -> None:
    registry = Registry(Access("http://127.0.0.1:9"))
    registry._readers[2] = avro_reader(ITEM_SCHEMA)
    limits = replace(LIMITS, formats=Formats({}, registry))
    avro = FakeRecord(b"milk", framed(2, b"\x08milk\x10The milk\x04\x09\xba"), 0)
    assert accept_item(avro, limits) == accept_item(item("milk", price=24.9), limits)
    assert accept_item(avro, limits) == ("milk", CatalogueItem("milk", "The milk", price=24.9))
