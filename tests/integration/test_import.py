"""`upwell import` against a real broker: twice applies once, an interrupted one goes on, what is wrong is listed."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiokafka import AIOKafkaConsumer

from streams import follow
from streams.broker.base import HOST
from streams.broker.probe import free_port
from streams.cli import import_
from streams.jsonl import Outgoing
from streams.settings import Settings
from streams.topics import Topic, Topics
from tests.integration.shopkeeper import desk
from tests.integration.upwell import Upwell, in_process

T0 = 1_700_000_000_000
RATINGS = """userId,movieId,rating,timestamp
1,10,4.0,964982703
1,10,4.0,964982703
2,11,3.5,964982704
2,12,9,964982705
"""
MOVIELENS = ("--map", "user=userId", "--map", "item=movieId", "--set", "type=rating", "--map", "value=rating")


@pytest.fixture
def upwell(settings: Settings, bootstrap: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Upwell:
    return in_process(settings, bootstrap, monkeypatch, tmp_path, "import")


async def read(topic: Topic, bootstrap: str) -> list[tuple[bytes, dict[str, Any]]]:
    """Keys and values of a topic."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        records = [record async for record in follow.until_now(consumer, topic.name, topic.partitions)]
    return [(record.key or b"", msgspec.json.decode(record.value or b"")) for record in records]


def on(topic: Topic, bootstrap: str) -> list[tuple[bytes, dict[str, Any]]]:
    return asyncio.run(read(topic, bootstrap))


def test_importing_twice_applies_once_and_rejects_are_listed(
    upwell: Upwell, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    counted = []
    for _ in range(2):
        code, out, err = upwell("csv", "ratings.csv", "--as", "events", *MOVIELENS, "--json")
        assert code == 5
        assert "ratings.csv:5: value: `value` of a rating must be stars from 1 to 5" in err
        assert "1 rows have something wrong: see ratings.csv.rejects.jsonl" in err
        counted.append(json.loads(out))
    assert all(counts.pop("seconds") >= 0 for counts in counted)
    both = {"rows": 4, "ignored": 0, "rejected": 1, "records": 3, "repeated": 1, "dry_run": False}
    assert counted == [both | {"present": 0, "sent": 2}, both | {"present": 2, "sent": 0}]
    assert sorted(
        (key, event["item"], event["value"], event["time"]) for key, event in on(shop_topics.events, bootstrap)
    ) == [
        (b"1", "10", 4.0, 964_982_703_000),
        (b"2", "11", 3.5, 964_982_704_000),
    ]
    (reject,) = map(json.loads, (tmp_path / "ratings.csv.rejects.jsonl").read_text().splitlines())
    assert (reject["line"], reject["field"], reject["column"]) == (5, "value", "rating")


def test_events_that_others_sent_are_passed_over_too(
    upwell: Upwell, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    lines = [{"id": f"e{n}", "type": "view", "time": T0 + n, "user": "anna", "item": "a"} for n in range(4_500)]

    async def others() -> None:
        async with desk(shop_topics, bootstrap) as shop:
            for value in (*map(msgspec.json.encode, lines[:3]), b"no event", b"\0", None):
                await shop.put(shop_topics.events, "anna", value)
            # The same as a CloudEvent, whose headers have the id.
            said = {name: lines[3][name] for name in ("user", "item", "time")}
            headers = [("ce_specversion", b"1.0"), ("ce_id", b"e3"), ("ce_source", b"/shop"), ("ce_type", b"view")]
            value = msgspec.json.encode(said)
            await shop.producer.send_and_wait(shop_topics.events.name, value, key=b"anna", headers=headers)

    asyncio.run(others())
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, lines)))
    code, out, err = upwell("jsonl", "events.jsonl", "--as", "events")
    assert (code, err) == (0, "")
    assert out == (
        "Sent 4,496 events of 4,500 rows: 4 were there already, 0 came twice, 0 rows were left out, 0 rejected.\n"
    )


def test_a_catalogue_is_brought_to_what_the_file_says(
    upwell: Upwell, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    def products(titles: dict[str, str]) -> None:
        table = {"sku": list(titles), "name": list(titles.values()), "colour": ["red"] * len(titles)}
        pq.write_table(pa.table(table), tmp_path / "products.parquet")

    def run(*more: str) -> tuple[int, int]:
        code, out, err = upwell("parquet", "products.parquet", "--as", "catalogue", "--rest", "--json", *more)
        assert (code, err) == (0, "")
        return json.loads(out)["present"], json.loads(out)["sent"]

    products({"1": "Hammer", "2": "Saw"})
    assert run("--dry-run") == (0, 2)
    assert on(shop_topics.catalogue, bootstrap) == []
    assert run() == (0, 2)
    products({"1": "Hammer", "2": "Hand saw"})
    assert run() == (1, 1)
    assert dict(on(shop_topics.catalogue, bootstrap)) == {
        b"1": {"id": "1", "title": "Hammer", "attributes": {"colour": "red"}},
        b"2": {"id": "2", "title": "Hand saw", "attributes": {"colour": "red"}},
    }


def test_gorse_and_metarank_files(upwell: Upwell, bootstrap: str, shop_topics: Topics, tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(
        "item_id,is_hidden,categories,time_stamp,labels,description\r\n"
        '1,false,x|y,2020-01-01 01:01:01.000000001 +0000 UTC,"{""genre"":[""comedy""]}","o,n,e"\r\n'
    )
    (tmp_path / "feedback.csv").write_text(
        "feedback_type,user_id,item_id,time_stamp\r\nshare,0,2,2020-01-01 01:01:01 +0000 UTC\r\n"
        "read,0,1,2020-01-01 01:01:02 +0000 UTC\r\n"
    )
    metarank: list[dict[str, Any]] = [
        {"event": "item", "id": "i", "timestamp": "1", "item": "m", "fields": [{"name": "title", "value": "M"}]},
        {"event": "user", "id": "u", "timestamp": "1", "user": "anna", "fields": []},
        {"event": "ranking", "id": "r", "timestamp": str(T0), "user": "anna", "items": [{"id": "m"}, {"id": "n"}]},
        {"event": "interaction", "id": "c", "timestamp": str(T0), "user": "anna", "type": "click", "item": "m"},
    ]
    (tmp_path / "metarank.jsonl").write_text("\n".join(map(json.dumps, metarank)))
    for arguments, sent, ignored in (
        (("gorse", "items.csv", "--as", "catalogue"), 1, 0),
        (("gorse", "feedback.csv", "--as", "events", "--type", "share=favourite"), 2, 0),
        (("metarank", "metarank.jsonl", "--as", "catalogue"), 1, 3),
        (("metarank", "metarank.jsonl", "--as", "events"), 3, 2),
    ):
        code, out, err = upwell(*arguments, "--json")
        assert (code, err) == (0, "")
        assert (json.loads(out)["sent"], json.loads(out)["ignored"]) == (sent, ignored)
    assert dict(on(shop_topics.catalogue, bootstrap)) == {
        b"1": {
            "id": "1", "title": "o,n,e", "category": ["x", "y"], "available": True, "attributes": {"genre": "comedy"},
        },
        b"m": {"id": "m", "title": "M"},
    }  # fmt: skip
    assert sorted((key, event["type"], event["item"]) for key, event in on(shop_topics.events, bootstrap)) == [
        (b"0", "favourite", "2"), (b"0", "view", "1"),
        (b"anna", "click", "m"), (b"anna", "impression", "m"), (b"anna", "impression", "n"),
    ]  # fmt: skip


def test_an_import_that_is_interrupted_goes_on_where_it_stopped(
    upwell: Upwell, bootstrap: str, shop_topics: Topics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{"id": f"e{n}", "type": "view", "time": T0 + n, "user": f"u{n % 7}", "item": "a"} for n in range(5_000)]
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    send = import_._Sender.send

    async def send_and_interrupt(self: import_._Sender, records: list[Outgoing]) -> None:
        await send(self, records)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(import_._Sender, "send", send_and_interrupt)
        code, out, said = upwell("jsonl", "all.jsonl", "--as", "events")
    assert (code, out) == (130, "")
    assert "Interrupted. Sent 2,000 events of 2," in said
    assert "Run it again to go on." in said
    code, out, _ = upwell("jsonl", "all.jsonl", "--as", "events", "--json")
    assert (code, json.loads(out)["present"], json.loads(out)["sent"]) == (0, 2_000, 3_000)
    assert sorted(event["id"] for _, event in on(shop_topics.events, bootstrap)) == sorted(
        str(line["id"]) for line in lines
    )


def test_what_cannot_be_is_said_in_a_line(upwell: Upwell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"{HOST}:{free_port(HOST)}")
    (tmp_path / "a.csv").write_text("user,item,type,time\nanna,a,view,5\n")
    for arguments, code, said in (
        (("csv", "a.csv", "--as", "events"), 3, "Is it running"),
        (("csv", "none.csv", "--as", "events"), 5, "cannot read none.csv"),
        (("csv", "a.csv", "--as", "events", "--map", "stars=a"), 2, "have no field 'stars'"),
        (("csv", "a.csv", "--as", "events", "--map", "session=visit", "--dry-run"), 5, "no row has visit"),
        (("csv", "a.csv", "--as", "events", "--delimiter", "::"), 2, "wanted one character"),
        (("csv", "a.csv"), 2, "Missing option '--as'"),
        (("parquet", "a.csv", "--as", "events"), 5, "no Parquet file"),
        (("jsonl", "/dev/null", "--as", "events"), 5, "it is no file"),
    ):
        got, _, err = upwell(*arguments)
        assert (got, said in err) == (code, True), err
