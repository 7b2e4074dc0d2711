"""`upwell profile`: the row that a worker keeps, and the same folded from the log up to any offset."""

import asyncio
import json
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.settings import Settings
from streams.topics import Topics
from tests.brokers import until
from tests.integration.shopkeeper import desk, worker
from tests.integration.upwell import upwell

T0 = 1_700_000_000_000


async def test_now_and_as_of_an_offset(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    def profile(*options: str) -> list[dict[str, Any]]:
        code, out, err = upwell(settings, bootstrap, "profile", "anna", "--json", *options)
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]

    async with desk(shop_topics, bootstrap) as shop, worker(settings, bootstrap):
        await shop.put(shop_topics.catalogue, "milk", {"id": "milk", "title": "Whole milk"})
        for number in range(5):
            event = {"id": f"e{number}", "type": "purchase", "time": T0 + number, "user": "anna", "item": "milk"}
            await shop.put(shop_topics.events, "anna", event)
        await shop.put(shop_topics.events, "anna", b"no event")
        last = max((await shop.ends(shop_topics.events)).values()) - 1

        async def known() -> bool:
            _, out, _ = await asyncio.to_thread(upwell, settings, bootstrap, "profile", "anna", "--json")
            return bool(out) and json.loads(out)["offset"] == last

        await until(known, 60)
        (now,) = profile()
        assert now["habits"][0]["purchases"] == 5
        assert now["habits"][0]["title"] == "Whole milk"
        assert profile("--at", str(last)) == [now]
        (then,) = profile("--at", "2")
        assert (then["offset"], then["habits"][0]["purchases"], then["user"]) == (2, 3, "anna")
        words = upwell(settings, bootstrap, "profile", "anna", "--at", "2")[1]
        assert f"{shop_topics.events.name}/{now['partition']} @ 2" in words
        assert "Whole milk (milk)  bought 3 times" in words


async def test_nobody_and_somebody_on_two_partitions(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    for options in (("--json",), ("--at", "5")):
        code, out, err = upwell(settings, bootstrap, "profile", "nobody-at-all", *options)
        assert (code, out) == (1, "")
        assert "of this shopper" in err
        assert "nobody-at-all" not in err
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for number in (0, 1):
            event = {"id": f"e{number}", "type": "view", "time": T0, "user": "bert", "item": f"item-{number}"}
            value = json.dumps(event).encode()
            await producer.send_and_wait(shop_topics.events.name, value, key=b"bert", partition=number)
    words = upwell(settings, bootstrap, "profile", "bert", "--at", "0")[1]
    assert words.count("stage: profile") == 2
    assert "on several partitions" in words
