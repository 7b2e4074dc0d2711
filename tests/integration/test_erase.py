"""`upwell erase` on a real broker: the profile goes, and neither a late event nor a rebuild brings it back."""

import asyncio
import json
from typing import Any

from aiokafka import TopicPartition

from streams import changelogs, follow
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics
from tests.brokers import until
from tests.integration.shopkeeper import caught_up, desk, worker
from tests.integration.upwell import upwell

T0 = 1_700_000_000_000


def _event(number: int, user: str) -> dict[str, Any]:
    return {"id": f"e{number}", "type": "purchase", "time": T0 + number, "user": user, "item": "milk"}


async def test_a_shopper_is_forgotten_for_good(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    async def shoppers() -> set[bytes]:
        async with follow.reader(bootstrap, KafkaSettings()) as consumer:
            return {key for _, key in await changelogs.rows_of(consumer, shop_topics.profiles)}

    async def idle() -> bool:
        return await caught_up(settings, bootstrap, "profiles", shop_topics.events)

    async with desk(shop_topics, bootstrap) as shop:
        async with worker(settings, bootstrap):
            for number, user in enumerate(["anna", "bert", "anna"]):
                await shop.put(shop_topics.events, user, _event(number, user))
            await until(idle, 30)
            assert await shoppers() == {b"anna", b"bert"}
            code, out, err = await asyncio.to_thread(upwell, settings, bootstrap, "erase", "anna", "--json")
            assert code == 0, err
            receipt = json.loads(out)
            assert "anna" not in out
            assert len(receipt["requested"]) == shop_topics.events.partitions
            assert await shoppers() == {b"bert"}
            await shop.put(shop_topics.events, "anna", _event(3, "anna"))
            await until(idle, 30)
            assert await shoppers() == {b"bert"}
        # Rebuilt from the whole log, the state has nobody either.
        code, _, err = await asyncio.to_thread(upwell, settings, bootstrap, "reset", "--yes")
        assert code == 0, err
        before = await shop.consumer.end_offsets([
            TopicPartition(shop_topics.recommendations.name, n) for n in range(shop_topics.recommendations.partitions)
        ])  # fmt: skip
        async with worker(settings, bootstrap):
            await until(idle, 30)
        assert await shoppers() == {b"bert"}
        async with follow.reader(bootstrap, KafkaSettings()) as consumer:
            spans = await follow.whole(
                consumer, shop_topics.recommendations.name, shop_topics.recommendations.partitions
            )
            again = {at: span._replace(begin=before[at]) for at, span in spans.items()}
            said = [(record.key, record.value) async for record in follow.between(consumer, again)]
        assert {key for key, value in said if value is not None} == {b"bert"}


async def test_without_a_worker_the_request_waits(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    code, _, err = await asyncio.to_thread(upwell, settings, bootstrap, "erase", "anna", "--wait", "0.1")
    assert code == 1
    assert "is one with the role `profiles` running?" in err
