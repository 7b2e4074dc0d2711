"""The role `head` on a real broker: it learns from the pairs, and a replay uses what is on its topic."""

import asyncio
import json
from pathlib import Path
from typing import Any

from streams import changelogs, follow, headrows
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics
from tests.brokers import until
from tests.integration.shopkeeper import desk, worker
from tests.integration.upwell import upwell

T0 = 1_700_000_000_000
EVENTS = 6_000  # more than half of their pairs are on one of two partitions: enough for a row
ROLES = "encoder,profiles,neighbours,head"
ITEMS = [
    f"{colour} {thing}" for colour in ("red", "blue", "green", "grey") for thing in ("shirt", "shoe", "hat", "coat")
]


async def test_what_is_learnt_is_on_its_topic_for_everybody(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    async def taught() -> dict[int, headrows.HeadRow]:
        async with follow.reader(bootstrap, KafkaSettings()) as consumer:
            rows = await changelogs.rows_of(consumer, shop_topics.head)
        assert {key for _, key in rows} <= {headrows.KEY}
        return {partition: headrows.decode(row) for (partition, _), row in rows.items()}

    async with desk(shop_topics, bootstrap) as shop:
        async with worker(settings, bootstrap, roles=ROLES):
            for name in ITEMS:
                await shop.put(shop_topics.catalogue, name, {"id": name, "title": name})
            first = {"id": "first", "type": "view", "item": ITEMS[0], "time": T0}
            await shop.ask("anna", first, lambda found: len(found.items) >= len(ITEMS) - 1)
            sent = []
            for number in range(EVENTS):
                event = {"id": f"e{number}", "type": "view", "time": T0 + number, "item": ITEMS[number * 5 % 16]}
                user = f"u{number % 9}"
                body = json.dumps({**event, "user": user}).encode()
                sent.append(await shop.producer.send(shop_topics.events.name, key=user.encode(), value=body))
            await asyncio.gather(*sent)

            async def learnt() -> bool:
                return bool(await taught())

            await until(learnt, 120)
        heads = await taught()
        for row in heads.values():
            assert row.head.batches >= 8
            assert row.head.up.any()
            assert row.model.startswith("hashing")

        async def run(*arguments: str | Path) -> dict[str, Any]:
            code, out, err = await asyncio.to_thread(upwell, settings, bootstrap, *arguments)
            assert code == 0, err
            answer: dict[str, Any] = json.loads(out)
            return answer

        made = await run("replay", "--json", "--from-offset", str(EVENTS), "--output", tmp_path / "said.jsonl")
        read = sum([end.size for end in (await ends(bootstrap, shop_topics)).values()])
        assert made["records"] == read, "what was learnt is read like vectors"
        found = await run("reset", "--json")
        assert found["rows"][shop_topics.head.name] == len(heads)
        assert f"{settings.shop}.upwell.head {shop_topics.pairs.name}" in found["groups"]
        assert str(settings.data_dir / "tables/head") in found["directories"]


async def ends(bootstrap: str, topics: Topics) -> follow.Spans:
    """All that a replay reads."""
    spans: follow.Spans = {}
    async with follow.reader(bootstrap, KafkaSettings()) as consumer:
        for topic in (topics.events, topics.catalogue, topics.embeddings, topics.head):
            spans |= await follow.whole(consumer, topic.name, topic.partitions)
    return spans
