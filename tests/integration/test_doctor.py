"""`upwell doctor` against a real broker: in good order, and with things that are not."""

import json
import time
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from streams.broker.base import HOST
from streams.broker.probe import free_port
from streams.settings import Settings
from streams.topics import Topics
from tests.integration.upwell import upwell


def findings(settings: Settings, bootstrap: str, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    code, out, err = upwell(settings, bootstrap, "doctor", "--json", *options)
    assert "Traceback" not in err
    told = json.loads(out)
    assert told["ok"] is (code == 0)
    return code, {found["check"]: found for found in told["findings"]}


async def test_a_shop_in_good_order(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    code, found = findings(settings, bootstrap)
    assert code == 0
    assert found["topics"]["verdict"] == "ok"
    assert bootstrap in found["broker"]["found"]
    assert "there is no record yet" in found["clock"]["found"]
    code, out, _ = upwell(settings, bootstrap, "doctor")
    assert code == 0
    assert "ok   broker     " in out
    assert "warn model      UPWELL_MODEL is hashing" in out


async def test_the_clock_is_measured_and_its_topic_is_gone_afterwards(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    _, found = findings(settings, bootstrap, "--probe")
    assert "the broker's clock is" in found["clock"]["found"] or "does not stamp records" in found["clock"]["found"]
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    assert f"{settings.shop}.upwell.doctor" not in await client.list_topics()
    await client.close()


async def test_a_record_of_the_future_is_told(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for ahead in (0, 600):
            at = time.time_ns() // 1_000_000 + ahead * 1_000
            await producer.send_and_wait(shop_topics.events.name, b"{}", key=b"a", timestamp_ms=at, partition=0)
            code, found = findings(settings, bootstrap)
            assert (found["clock"]["verdict"], code) == (("fail", 1) if ahead else ("ok", 0))
    assert "ahead of this clock" in found["clock"]["found"]


async def test_missing_topics_fail_each_with_what_to_do(settings: Settings, bootstrap: str) -> None:
    code, out, err = upwell(settings, bootstrap, "doctor")
    assert code == 1
    assert f"fail topics     {settings.shop}.events.v1 does not exist" in out
    assert "→ Missing topics: run `upwell topics create`." in out
    assert "checks failed" in err


def test_nobody_at_the_address_fails_and_the_machine_is_looked_at_all_the_same(settings: Settings) -> None:
    code, found = findings(settings, f"{HOST}:{free_port(HOST)}")
    assert code == 1
    assert found["broker"]["verdict"] == "fail"
    assert found["disk"]["verdict"] == "ok"
    assert "topics" not in found
