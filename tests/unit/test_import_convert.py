"""Rows as records: by name, by mapping, in the shapes of Gorse and Metarank; and what an import does with them."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from streams import pseudonyms
from streams.core.events import EventType
from streams.edge import Limits, limits_of
from streams.errors import ConfigError
from streams.importers import mapping
from streams.importers.convert import ID_PREFIX, Converter, Reject, identity
from streams.importers.formats import Format, preparer, shape_of
from streams.importers.known import digest
from streams.importers.mapping import TYPES, Fields, Plan
from streams.importers.rows import Row, Shape
from streams.importers.run import Counts, Import
from streams.jsonl import Kind, Outgoing
from streams.settings import Settings

NOW = 1_790_000_000_000
T0 = 1_700_000_000_000
LIMITS: Limits = limits_of(Settings())


def converter(kind: Kind, form: Format = Format.JSONL, **plan: Any) -> Converter:
    return Converter(Plan(kind, **plan), preparer(form, kind), LIMITS)


def bodies(converter: Converter, fields: Fields) -> list[dict[str, Any]]:
    found = converter.convert(Row("file", 1, fields), NOW)
    assert not isinstance(found, Reject), found
    return [json.loads(one.record.value or b"null") for one in found]


def rejected(converter: Converter, fields: Fields | None, why: str = "") -> Reject:
    found = converter.convert(Row("file", 7, fields, why), NOW)
    assert isinstance(found, Reject), found
    assert (found.file, found.line) == ("file", 7)
    return found


EVENT = {"user_id": 1842, "ItemID": "hammer", "event_type": "view", "timestamp": T0}


def test_columns_are_taken_by_their_names() -> None:
    (event,) = bodies(converter(Kind.EVENTS), EVENT | {"colour": "red"})
    assert event.pop("id").startswith(ID_PREFIX)
    assert event == {"user": "1842", "item": "hammer", "type": "view", "time": T0}


def test_an_id_is_a_function_of_what_the_event_says() -> None:
    ids = {
        bodies(converter(Kind.EVENTS), fields)[0]["id"]
        for fields in (EVENT, dict(reversed(EVENT.items())), EVENT | {"colour": "red"}, EVENT | {"timestamp": str(T0)})
    }
    assert len(ids) == 1
    others = {bodies(converter(Kind.EVENTS), EVENT | {"timestamp": T0 + n})[0]["id"] for n in range(100)}
    assert len(others | ids) == 100


def test_an_id_of_the_file_is_kept() -> None:
    (event,) = bodies(converter(Kind.EVENTS), EVENT | {"event_id": 5})
    assert event["id"] == "5"


def test_a_mapping_goes_before_names_and_reaches_inside() -> None:
    plan = {
        "columns": {"user": "who.id", "attributes.device": "ua", "value": "stars"},
        "constants": {"type": "rating", "attributes.source": "shop"},
    }
    row = {"who": {"id": "anna"}, "user": "nobody", "item": "a", "time": T0, "ua": "phone", "stars": "4", "type": "x"}
    (event,) = bodies(converter(Kind.EVENTS, **plan), row)
    del event["id"]
    assert event == {
        "user": "anna", "item": "a", "time": T0, "type": "rating", "value": 4.0,
        "attributes": {"device": "phone", "source": "shop"},
    }  # fmt: skip


def test_the_rest_becomes_attributes_where_it_is_wanted() -> None:
    (event,) = bodies(converter(Kind.EVENTS, rest=True), EVENT | {"colour": "red", "tags": ["a", "b"], "gap": None})
    assert event["attributes"] == {"colour": "red", "tags": "a, b"}


def test_types_are_understood_told_and_left_out() -> None:
    told = converter(Kind.EVENTS, types={"Add 2 cart": "cart", "heartbeat": "-"})
    assert [bodies(told, EVENT | {"event_type": name})[0]["type"] for name in ("Add 2 cart", "PageView", "buy")] == [
        "cart", "view", "purchase",
    ]  # fmt: skip
    assert bodies(told, EVENT | {"event_type": "heartbeat"}) == []
    refused = rejected(told, EVENT | {"event_type": "kanarienvogel"})
    assert (refused.field, refused.column) == ("type", "event_type")
    assert "--type" in refused.why
    assert "kanarienvogel" not in refused.why
    assert {TYPES[kind.value] for kind in EventType} == set(EventType)
    assert all(name == mapping.plain(name) for name in TYPES)


@pytest.mark.parametrize(
    ("change", "field", "column", "why"),
    [
        ({"timestamp": "yesterday"}, "time", "timestamp", "wanted a time"),
        ({"timestamp": None}, "time", "timestamp", "required field"),
        ({"timestamp": NOW * 2}, "time", "timestamp", "ahead of the record"),
        ({"ItemID": " "}, "item", "ItemID", "missing"),
        ({"user_id": None}, "user", "user_id", "neither"),
        ({"user_id": ["a"]}, "user", "user_id", "wanted text"),
        ({"user_id": "x" * 300}, "user", "user_id", "length <= 256"),
        ({"event_type": "rating", "value": 9}, "value", "value", "1 to 5"),
    ],
)
def test_what_is_wrong_is_told_with_field_and_column(change: Fields, field: str, column: str, why: str) -> None:
    refused = rejected(converter(Kind.EVENTS), EVENT | change)
    assert (refused.field, refused.column) == (field, column)
    assert why in refused.why
    assert "$" not in refused.why


def test_a_line_that_is_none_is_rejected_with_its_reason() -> None:
    assert rejected(converter(Kind.EVENTS), None, "not UTF-8").why == "not UTF-8"


def test_an_item_with_every_field() -> None:
    row = {
        "SKU": 7, "name": "Hammer", "description": "of steel", "categories": "Tools > Hammers", "brand": "Iron",
        "price": "24.90", "currency": "EUR", "in_stock": "no", "rating": 4.5, "lang": "en", "imageVector": [1, 0.5],
    }  # fmt: skip
    (item,) = bodies(converter(Kind.CATALOGUE), row)
    assert item == {
        "id": "7", "title": "Hammer", "description": "of steel", "category": ["Tools", "Hammers"], "brand": "Iron",
        "price": 24.9, "currency": "EUR", "available": False, "rating": 4.5, "language": "en",
        "image_vector": [1.0, 0.5],
    }  # fmt: skip


def test_an_item_can_be_deleted() -> None:
    (found,) = converter(Kind.CATALOGUE).convert(Row("f", 1, {"id": "a", "deleted": "true", "title": "A"}), NOW)
    assert (found.record.key, found.record.value) == (b"a", None)
    (kept,) = bodies(converter(Kind.CATALOGUE), {"id": "a", "deleted": "false", "title": "A"})
    assert kept == {"id": "a", "title": "A"}


@pytest.mark.parametrize(
    "plan",
    [
        {"columns": {"stars": "x"}}, {"constants": {"attributes.": "x"}}, {"types": {"x": "stare"}},
    ],
)  # fmt: skip
def test_a_plan_names_only_what_there_is(plan: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ConfigError):
        Plan(Kind.EVENTS, **plan)


@pytest.mark.parametrize("given", [["user"], ["user="], ["=x"], ["user=a", "user=b"]])
def test_options_are_name_and_value_once(given: list[str]) -> None:
    with pytest.raises(ConfigError, match="--map"):
        mapping.pairs(given, "--map")


def test_columns_that_no_row_has_are_remembered() -> None:
    some = converter(Kind.EVENTS, columns={"user": "visitor", "session": "visit.id"})
    assert bodies(some, EVENT | {"visitor": "anna"})[0]["user"] == "anna"
    assert some.unseen == {"visit.id"}


GORSE_CSV = {"feedback_type": "read", "user_id": "1", "item_id": "2", "time_stamp": "2020-01-01 01:01:01.5 +0000 UTC"}


def test_gorse_feedback_of_its_export_and_of_its_api() -> None:
    plan = converter(Kind.EVENTS, Format.GORSE)
    (exported,) = bodies(plan, GORSE_CSV)
    assert exported.pop("id").startswith(ID_PREFIX)
    assert exported == {"type": "view", "user": "1", "item": "2", "time": 1_577_840_461_500}
    api = {
        "FeedbackType": "star",
        "UserId": "jack",
        "ItemId": "10086",
        "Value": 0,
        "Timestamp": "2021-10-24T06:42:20.207Z",
    }
    (told,) = bodies(plan, api | {"Comment": ""})
    assert (told["type"], told["user"], told["item"], told["time"]) == ("favourite", "jack", "10086", 1_635_057_740_207)
    assert "value" not in told
    never = rejected(plan, GORSE_CSV | {"time_stamp": "0001-01-01 00:00:00 +0000 UTC"})
    assert (never.field, never.column) == ("time", "time_stamp")


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (
            {"item_id": "1", "is_hidden": "false", "categories": "x|y", "time_stamp": "?", "labels": "a|b",
             "description": "o"},
            {"id": "1", "title": "o", "category": ["x", "y"], "available": True, "attributes": {"labels": "a, b"}},
        ),
        (
            {"item_id": "2", "is_hidden": "true", "categories": "", "time_stamp": "?", "description": "",
             "labels": '{"genre":["comedy","sci-fi"],"embedding":[0.1,0.2],"price":5}'},
            {"id": "2", "title": "2", "available": False, "price": 5.0, "attributes": {"genre": "comedy, sci-fi"}},
        ),
        (
            {"ItemId": "3", "IsHidden": False, "Categories": ["x"], "Labels": {"title": "T"}, "Comment": "C"},
            {"id": "3", "title": "T", "category": ["x"], "available": True},
        ),
        ({"ItemId": "4", "Labels": None, "Categories": None, "Comment": None}, {"id": "4", "title": "4"}),
    ],
)  # fmt: skip
def test_gorse_items(row: Fields, wanted: Fields) -> None:
    (item,) = bodies(converter(Kind.CATALOGUE, Format.GORSE, separator="|", rest=True), row)
    assert item == wanted


def test_gorse_items_that_are_broken() -> None:
    plan = converter(Kind.CATALOGUE, Format.GORSE)
    assert rejected(plan, {"item_id": "1", "is_hidden": "perhaps"}).field == "available"
    assert rejected(plan, {"item_id": "1", "labels": "{"}).field == "labels"


METARANK = {
    "event": "interaction", "id": "e1", "ranking": "r1", "timestamp": str(T0), "user": "anna", "session": "s1",
    "type": "purchase", "item": "a", "fields": [{"name": "count", "value": 1}, {"name": "type", "value": "odd"}],
}  # fmt: skip


def test_metarank_interactions_and_rankings() -> None:
    plan = converter(Kind.EVENTS, Format.METARANK)
    (bought,) = bodies(plan, METARANK)
    assert bought == {"id": "e1", "type": "purchase", "time": T0, "user": "anna", "session": "s1", "item": "a"}
    ranking = {
        "event": "ranking", "id": "r1", "timestamp": str(T0), "session": "s1", "items": [{"id": "a"}, {"id": "b"}],
        "fields": [{"name": "query", "value": "cat"}],
    }  # fmt: skip
    assert bodies(plan, ranking) == [
        {"id": f"r1/{item}", "type": "impression", "time": T0, "anonymous_id": "s1", "session": "s1", "item": item,
         "query": "cat"} for item in "ab"
    ]  # fmt: skip
    (told,) = bodies(converter(Kind.EVENTS, Format.METARANK, rest=True), METARANK)
    assert told["attributes"] == {"ranking": "r1", "count": 1}
    for event in ("item", "user"):
        assert bodies(plan, {"event": event}) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"event": "click"}, "event"), ({"event": None}, "event"), ({"fields": {"a": 1}}, "fields"),
        ({"event": "ranking"}, "items"), ({"event": "ranking", "items": [{"id": "a"}, {"id": {}}]}, "item"),
    ],
)  # fmt: skip
def test_metarank_events_that_are_broken(change: Fields, field: str) -> None:
    assert rejected(converter(Kind.EVENTS, Format.METARANK), METARANK | change).field == field


def test_metarank_items_are_put_together() -> None:
    plan = converter(Kind.CATALOGUE, Format.METARANK, rest=True)

    def row(item: str, **fields: Any) -> Fields:
        told = [{"name": name, "value": value} for name, value in fields.items()]
        return {"event": "item", "id": "x", "timestamp": "1", "item": item, "fields": told}

    assert rejected(plan, row("a", price=5)).field == "title"
    assert bodies(plan, row("a", title="A", vector=[0.1, 0.2])) == [{"id": "a", "title": "A", "price": 5.0}]
    assert bodies(plan, row("b", title="B")) == [{"id": "b", "title": "B"}]
    assert bodies(plan, row("a", price=6, color=["white", "black"])) == [
        {"id": "a", "title": "A", "price": 6.0, "attributes": {"color": "white, black"}}
    ]
    assert bodies(plan, {"event": "ranking"}) == []
    assert rejected(plan, {"event": "item", "item": 5}).field == "id"
    assert rejected(plan, {"event": "odd"}).field == "event"


def test_files_have_the_shape_of_their_format() -> None:
    shapes = {
        (Format.GORSE, "a.csv"): Shape.CSV, (Format.GORSE, "a.csv.gz"): Shape.CSV,
        (Format.GORSE, "a.json"): Shape.JSONL, (Format.METARANK, "a.csv"): Shape.JSONL,
        (Format.CSV, "a.txt"): Shape.CSV, (Format.PARQUET, "a"): Shape.PARQUET,
    }  # fmt: skip
    assert {at: shape_of(at[0], Path(at[1])) for at in shapes} == shapes


KEYS = "1 sha256hmac:" + "A" * 43 + "\n2 sha256hmac:" + "B" * 43


def test_where_there_are_pseudonyms_nothing_tells_who_it_was() -> None:
    def made(keys: str, **change: Any) -> tuple[bytes, dict[str, Any]]:
        limits = limits_of(Settings(pseudonym_keys=SecretStr(keys)))
        some = Converter(Plan(Kind.EVENTS), preparer(Format.JSONL, Kind.EVENTS), limits)
        found = some.convert(Row("file", 1, EVENT | change), NOW)
        assert not isinstance(found, Reject), found
        return found[0].record.key, json.loads(found[0].record.value or b"")

    first, second = KEYS.splitlines()
    key, event = made(KEYS)
    assert key.decode() == event["user"] == pseudonyms.parse(KEYS).of("1842")
    assert "1842" not in json.dumps(event)
    assert event["id"] == made(first)[1]["id"], "another version makes no other event of it"
    others = {made(second.replace("2 ", "1 "))[1]["id"], bodies(converter(Kind.EVENTS), EVENT)[0]["id"]}
    assert event["id"] not in others, "without the key nobody can try who it was"


def test_a_pseudonym_of_a_key_that_is_not_there_is_rejected() -> None:
    limits = limits_of(Settings(pseudonym_keys=SecretStr(KEYS)))
    some = Converter(Plan(Kind.EVENTS), preparer(Format.JSONL, Kind.EVENTS), limits)
    refused = rejected(some, EVENT | {"user_id": "pn9_" + "a" * 32})
    assert (refused.field, refused.column) == ("user", "user_id")
    assert "key version 9" in refused.why


def imported(work: Import, rows: Iterable[Fields | None]) -> tuple[Counts, list[Outgoing], list[Reject]]:
    sent: list[Outgoing] = []
    rejects: list[Reject] = []

    async def send(records: list[Outgoing]) -> None:
        sent.extend(records)

    work.send, work.reject = send, rejects.append
    numbered = (Row("file", number, fields, "broken") for number, fields in enumerate(rows, 1))
    return asyncio.run(work.run(numbered, lambda: NOW)), sent, rejects


def nothing(*_: Any) -> Any:
    raise AssertionError("replaced")


@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["view", "-", "odd"])) | st.none(), max_size=30),
    there=st.sets(st.integers(0, 5)),
)
def test_every_event_is_sent_once_and_everything_is_counted(
    rows: list[tuple[int, str] | None], there: set[int]
) -> None:
    work = Import(converter(Kind.EVENTS, types={"-": "-"}), nothing, nothing, {identity(str(n)) for n in there})
    fields = [None if row is None else EVENT | {"id": row[0], "event_type": row[1]} for row in rows]
    counts, sent, rejects = imported(work, fields)
    viewed = [row[0] for row in rows if row is not None and row[1] == "view"]
    fresh = [number for number in dict.fromkeys(viewed) if number not in there]
    assert [msgspec.json.decode(record.value or b"")["id"] for record in sent] == list(map(str, fresh))
    assert counts == Counts(
        rows=len(rows),
        ignored=sum(row is not None and row[1] == "-" for row in rows),
        rejected=sum(row is None or row[1] == "odd" for row in rows),
        records=len(viewed),
        present=len(set(viewed) & there),
        repeated=len(viewed) - len(set(viewed)),
        sent=len(fresh),
    )
    assert counts.rejected == len(rejects)
    assert counts.records == counts.sent + counts.present + counts.repeated


@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["A", "B", None])), max_size=20),
    there=st.dictionaries(st.sampled_from("abc"), st.sampled_from(["A", "B"])),
)
def test_every_item_is_sent_as_its_last_row_has_it_unless_it_is_so_already(
    rows: list[tuple[str, str | None]], there: dict[str, str]
) -> None:
    def value(item: str, title: str) -> bytes:
        return msgspec.json.encode({"id": item, "title": title})

    held = {item.encode(): digest(value(item, title)) for item, title in there.items()}
    work = Import(converter(Kind.CATALOGUE), nothing, nothing, items=held)
    fields = [{"id": item, "title": title} if title else {"id": item, "deleted": True} for item, title in rows]
    counts, sent, _ = imported(work, fields)
    last = dict(rows)
    wanted = {item: title for item, title in last.items() if there.get(item) != title}
    assert {record.key.decode(): record.value for record in sent} == {
        item: title and value(item, title) for item, title in wanted.items()
    }
    assert (counts.sent, counts.present) == (len(wanted), len(last) - len(wanted))
    assert counts.records == len(rows) == counts.sent + counts.present + counts.repeated


def test_records_are_sent_so_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.importers.run.TOGETHER", 2)
    sizes: list[int] = []

    async def send(records: list[Outgoing]) -> None:
        sizes.append(len(records))

    work = Import(converter(Kind.EVENTS), send, nothing)
    rows = [Row("file", number, EVENT | {"id": number}) for number in range(5)]
    assert asyncio.run(work.run(rows, lambda: NOW)).sent == 5
    assert sizes == [2, 2, 1]
