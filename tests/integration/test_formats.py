"""Avro and CloudEvents through a worker on a real broker, with a registry on loopback that is away at first."""

import json
from typing import Any

from streams.settings import Settings
from streams.topics import Topics
from tests.brokers import until
from tests.integration.shopkeeper import dead_letters, desk, worker
from tests.registry import EVENT_SCHEMA, ITEM_SCHEMA, FakeRegistry, framed, written

T0 = 1_700_000_000_000


def view(user: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{user}-1", "type": "view", "time": T0, "user": user, "item": "milk", **more}


async def test_every_format_brings_a_recommendation_and_a_registry_is_waited_for(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    fake = FakeRegistry({1: EVENT_SCHEMA, 2: ITEM_SCHEMA})
    fake.down = True
    async with fake.serving():
        options = {"UPWELL_REGISTRY_URL": fake.url, "UPWELL_REGISTRY_TOKEN": "secret"}
        async with worker(settings, bootstrap, **options) as _, desk(shop_topics, bootstrap) as shop:
            events = shop_topics.events
            milk = {"id": "milk", "title": "The milk", "price": 0}
            await shop.put(shop_topics.catalogue, "milk", json.dumps(milk).encode())
            await shop.put(events, "bert", written(1, EVENT_SCHEMA, view("bert")))

            async def was_asked() -> bool:
                return len(fake.asked) > 1  # again and again: nothing is refused because it is away

            await until(was_asked, 60)
            fake.down = False
            assert (await shop.answer("bert", "bert-1")).trigger.item == "milk"
            await shop.put(events, "anna", json.dumps(view("anna")).encode())
            assert (await shop.answer("anna", "anna-1")).trigger.item == "milk"
            headers = [("ce_specversion", b"1.0"), ("ce_id", b"carl-1"), ("ce_type", b"shop.view"), ("ce_source", b"/")]
            data = json.dumps({"user": "carl", "item": "milk", "time": T0}).encode()
            await shop.producer.send_and_wait(events.name, data, key=b"carl", headers=headers)
            assert (await shop.answer("carl", "carl-1")).trigger.item == "milk"
            envelope = {"specversion": "1.0", "id": "x", "type": "x", "source": "/", "data": view("dora")}
            headers = [("content-type", b"application/cloudevents+json")]
            await shop.producer.send_and_wait(events.name, json.dumps(envelope).encode(), key=b"dora", headers=headers)
            assert (await shop.answer("dora", "dora-1")).trigger.item == "milk"
            await shop.put(events, "anna", framed(9, b"?"))
            letters = await dead_letters(bootstrap, shop_topics)
    assert [letter["upwell.reason"] for letter in letters] == [b"unknown-schema"]
    assert letters[0]["upwell.detail"] == b"the registry has no schema 9"
    assert set(fake.authorizations) == {"Bearer secret"}
