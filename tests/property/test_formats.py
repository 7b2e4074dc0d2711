"""The same event in every format gives the same profile bytes, and no bytes at all make the edge raise anything."""

import asyncio
import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.events import EventType
from streams.edge import Limits, accept_event, accept_item, accept_question
from streams.engine.effects import Batch, Rejection
from streams.formats.avro import avro_reader
from streams.formats.base import Format
from streams.formats.reading import Formats, Subject
from streams.formats.registry import Access, Registry
from tests.registry import EVENT_SCHEMA, framed, written
from tests.unit.records import LIMITS, NOW, FakeRecord
from tests.unit.shop import TOPICS, Shop

READER = avro_reader(EVENT_SCHEMA)


def reading(**formats: Format) -> Limits:
    registry = Registry(Access("http://127.0.0.1:9"))
    registry._readers[7] = READER
    return replace(LIMITS, formats=Formats({Subject(name): one for name, one in formats.items()}, registry))


AUTO = reading()
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
events = st.fixed_dictionaries(
    {
        "id": texts,
        "type": st.sampled_from([kind.value for kind in EventType if kind is not EventType.LOGIN]),
        "time": st.integers(0, NOW),
        "user": st.sampled_from(["anna", "bert"]),
        "item": st.sampled_from(["milk", "bread", "茶"]),
        "value": st.floats(1, 5),
    },
    optional={
        "session": texts,
        "query": texts,
        "attributes": st.dictionaries(
            texts,
            st.one_of(texts, st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()),
            max_size=3,
        ),
    },
)


def in_json(event: dict[str, Any], offset: int) -> FakeRecord:
    return FakeRecord(event["user"].encode(), json.dumps(event).encode(), offset)


def in_avro(event: dict[str, Any], offset: int) -> FakeRecord:
    return replace(in_json(event, offset), value=written(7, EVENT_SCHEMA, event))


def attributes(event: dict[str, Any]) -> dict[str, str]:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=event["time"])
    return {
        "specversion": "1.0", "id": event["id"], "source": "/test", "type": f"com.example.shop.{event['type']}.v1",
        "time": when.isoformat().replace("+00:00", "Z"),
    }  # fmt: skip


def bare(event: dict[str, Any]) -> dict[str, Any]:
    """The event without what a CloudEvent says in its attributes."""
    return {name: value for name, value in event.items() if name not in ("id", "type", "time")}


def in_headers(event: dict[str, Any], offset: int) -> FakeRecord:
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes(event).items()]
    return replace(
        in_json(event, offset),
        value=json.dumps(bare(event)).encode(),
        headers=[*headers, ("content-type", b"application/json; charset=utf-8")],
    )


def avro_in_headers(event: dict[str, Any], offset: int) -> FakeRecord:
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes(event).items()]
    return replace(in_avro(event, offset), headers=[*headers, ("content-type", b"application/avro")])


def in_envelope(event: dict[str, Any], offset: int) -> FakeRecord:
    value = json.dumps({**attributes(event), "datacontenttype": "application/json", "data": bare(event)}).encode()
    headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
    return replace(in_json(event, offset), value=value, headers=headers)


def in_base64(event: dict[str, Any], offset: int) -> FakeRecord:
    data = base64.b64encode(json.dumps(event).encode()).decode()
    value = json.dumps({"specversion": "1.0", "id": "another", "source": "/", "type": "other", "data_base64": data})
    return replace(in_envelope(event, offset), value=value.encode())


ENVELOPE = b"application/cloudevents+json"
WRITERS = [in_json, in_avro, in_headers, avro_in_headers, in_envelope, in_base64]


def profiles(records: list[FakeRecord]) -> dict[bytes, bytes]:
    shop = Shop(limits=AUTO)
    effects = asyncio.run(shop.profiles(Batch(TOPICS.events.name, 0, records), shop.read))
    assert effects.rejections == []
    return {key: row for key, row in effects.rows["profiles"] if row is not None}


@settings(max_examples=60, deadline=None)
@given(st.lists(events, min_size=1, max_size=4))
def test_the_same_events_give_the_same_profiles(happened: list[dict[str, Any]]) -> None:
    expected = profiles([in_json(event, offset) for offset, event in enumerate(happened)])
    for write in WRITERS[1:]:
        assert profiles([write(event, offset) for offset, event in enumerate(happened)]) == expected, write.__name__


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(lambda payload: framed(7, payload))),
    st.lists(
        st.tuples(
            st.sampled_from(["ce_specversion", "ce_id", "ce_type", "ce_time", "content-type", "other"]),
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from(
                    [b"1.0", b"application/json", b"application/cloudevents+json", b"2026-01-05T10:00:00Z"]
                ),
            ),
        ),
        max_size=4,
    ),
    st.sampled_from(Format),
)
def test_whatever_comes_is_accepted_or_refused(value: bytes, headers: list[tuple[str, bytes]], wanted: Format) -> None:
    record = FakeRecord(b"anna", value, headers=headers)
    limits = reading(**{subject.value: wanted for subject in Subject})
    for accept in (accept_event, accept_item, accept_question):
        verdict = accept(record, limits)  # type: ignore[operator]
        reasons = ("undecodable", "invalid", "wrong-key", "unknown-schema")
        assert not isinstance(verdict, Rejection) or verdict.reason.value in reasons
