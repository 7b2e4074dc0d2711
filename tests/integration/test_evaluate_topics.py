"""`upwell evaluate --topics`: the same figures as from files, without whom asked to be forgotten."""

import json
from typing import Any

from streams import erasure
from streams.engine.publisher import Publisher
from streams.settings import Settings
from streams.topics import Topics
from tests.integration.shopkeeper import desk
from tests.integration.upwell import upwell

DAY = 86_400_000
T0 = 1_700_000_000_000
ITEMS = ["milk", "bread", "cheese", "nails"]


async def test_topics_are_a_log(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    def evaluate(*options: str) -> dict[str, Any]:
        arguments = ("evaluate", "--topics", "--json", "--from", "0", "--baselines", "popularity", *options)
        code, out, err = upwell(settings, bootstrap, *arguments)
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    async with desk(shop_topics, bootstrap) as shop:
        for name in ITEMS:
            await shop.put(shop_topics.catalogue, name, {"id": name, "title": name})
        for number in range(24):
            user = f"user{number % 3}"
            event = {"id": f"e{number}", "type": "purchase", "time": T0 + number * DAY, "user": user,
                     "item": ITEMS[number * number % 4]}  # fmt: skip
            await shop.put(shop_topics.events, user, event)
        await shop.put(shop_topics.events, "user0", b"no event")
    found = evaluate()
    assert found["log"] == {"events": 24, "users": 3, "items": 4, "bad_lines": 0}
    assert found["slices"]["all"]["sets"] == 24
    unknown = {"effective": 0.0, "ips": None, "snips": None}
    assert found["exploration"] == {"looks": 0, "explored": 0, "never": unknown, "always": unknown}
    assert evaluate("--until", "3")["log"]["events"] < 24
    publisher = Publisher({"bootstrap_servers": bootstrap})
    try:
        await erasure.erase(publisher, shop_topics, erasure.Ledger(b"any"), "user1")
    finally:
        await publisher.stop()
    assert evaluate()["log"] == {"events": 16, "users": 2, "items": 4, "bad_lines": 0}
