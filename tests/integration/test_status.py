"""`upwell status` against a real broker: nothing there, a backlog without workers, and workers that are done."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from streams.engine.effects import RejectReason
from streams.settings import KafkaSettings, Settings
from streams.status import Look
from streams.topics import Topics
from tests.brokers import until
from tests.integration.shopkeeper import desk, worker
from tests.integration.upwell import upwell

T0 = 1_700_000_000_000


def event(number: int) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "view", "time": T0 + number, "user": "anna", "item": "milk"}


async def test_a_shop_where_nothing_happened(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    code, out, err = upwell(settings, bootstrap, "status", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [
        (group["role"], len(group["members"]), group["records"], group["seconds"]) for group in found["groups"]
    ] == [(role, 0, 0, 0.0) for role in ("encoder", "profiles", "neighbours", "head", "ranker", "answers")]
    assert [topic["topic"] for topic in found["topics"]] == [topic.name for topic in shop_topics]
    assert all(topic["exists"] and topic["records"] == 0 for topic in found["topics"])
    assert (found["newest"], found["newest_event_age"], found["refused"], found["snapshots"]) == (None, None, {}, [])


async def test_without_topics_they_are_missing(settings: Settings, bootstrap: str) -> None:
    code, out, err = upwell(settings, bootstrap, "status")
    assert (code, err) == (0, "")
    assert f"{settings.shop}.events.v1" in out
    assert "missing" in out


async def test_a_backlog_is_counted_and_timed_where_somebody_is_behind(
    settings: Settings, bootstrap: str, kafka: KafkaSettings, shop_topics: Topics
) -> None:
    async with desk(shop_topics, bootstrap) as shop, Look.at(settings, kafka, shop_topics, bootstrap) as look:
        for number in range(5):
            await shop.put(shop_topics.events, "anna", event(number))
        await shop.put(shop_topics.events, "anna", b"no event")
        found = await look.now()
        assert [(group.started, group.records, group.lags) for group in found.groups] == [(False, 0, [])] * 6
        assert found.newest is not None
        assert abs(found.newest - found.time) < 60_000

        async with worker(settings, bootstrap):

            async def read() -> bool:
                nonlocal found
                found = await look.now()
                working = [group for group in found.groups if group.role in ("encoder", "profiles", "neighbours")]
                return all(group.records == 0 and group.members for group in working) and bool(found.refused)

            await until(read, 60)
            (profiles,) = (group for group in found.groups if group.role == "profiles")
            assert profiles.seconds == 0
            assert profiles.watermark == found.newest
            assert sorted(number for member in profiles.members for number in member.partitions) == [0, 1]
            assert found.refused == {RejectReason.UNDECODABLE: 1}
            sizes = {topic.topic: topic for topic in found.topics}
            assert sizes[shop_topics.events.name].records == 6
            told = sizes[shop_topics.events.name].bytes
            assert told is None or told > 6 * 60
            assert {group.role: (group.started, group.lags) for group in found.groups}["head"] == (False, [])
            words = upwell(settings, bootstrap, "status")[1]
            assert "undecodable 1" in words
            assert "newest event: " in words
            assert "not running" in next(line for line in words.splitlines() if "head" in line)
        began = time.time()
        for number in range(3):
            await shop.put(shop_topics.events, "anna", event(10 + number))
        found = await look.now()
        (profiles,) = (group for group in found.groups if group.role == "profiles")
        assert (profiles.records, profiles.members) == (3, [])
        assert 0 <= profiles.seconds <= time.time() - began + 60


async def test_refused_records_are_counted_once_while_one_watches(
    settings: Settings, bootstrap: str, kafka: KafkaSettings, shop_topics: Topics
) -> None:
    async with (
        desk(shop_topics, bootstrap) as shop,
        Look.at(settings, kafka, shop_topics, bootstrap) as look,
    ):
        counted = []
        for _ in range(2):
            await shop.put(shop_topics.dlq, "anna", b"of nobody")
            counted.append((await look.now()).refused)
            counted.append((await look.now()).refused)
        assert counted == [{"no dead letter of Upwell's": number} for number in (1, 1, 2, 2)]


def test_watching_goes_on_until_interrupted(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    environment = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "UPWELL_SHOP": settings.shop}
    environment |= {"UPWELL_PARTITIONS": str(settings.partitions), "UPWELL_DATA_DIR": str(settings.data_dir)}
    command = [sys.executable, "-c", "from streams.cli import main; main()", "status", "--watch", "0.2", "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        times = [json.loads(process.stdout.readline())["time"] for _ in range(2)]
        assert times == sorted(set(times))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert "Traceback" not in process.stderr.read()
