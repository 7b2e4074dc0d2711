"""The ranker learns beside the other roles: what it has learnt is on a topic, and its examples say it all again."""

from typing import Any

from streams import changelogs, follow, ranking_codec
from streams.agents.ranker import Learning, RankerHandler
from streams.engine.effects import Batch, Record
from streams.settings import KafkaSettings, Settings
from streams.topics import Topic, Topics
from tests.brokers import until
from tests.integration.shopkeeper import Desk, caught_up, desk, worker

T0 = 1_700_000_000_000
ITEMS = [f"{colour} {thing}" for colour in ("red", "blue", "green") for thing in ("shirt", "shoe", "hat", "coat")]
SHOPPERS = [f"shopper {number}" for number in range(6)]
MINUTE = 60_000


async def shopping(shop: Desk, rounds: int, begin: int) -> None:
    """Every shopper buys something in every round."""
    for number in range(rounds * len(SHOPPERS)):
        user, item = SHOPPERS[number % len(SHOPPERS)], ITEMS[number * 5 % len(ITEMS)]
        event = {"id": f"e{begin + number}", "type": "purchase", "time": T0 + (begin + number) * MINUTE}
        await shop.put(shop.topics.events, user, {**event, "user": user, "item": item})


async def records(bootstrap: str, topic: Topic) -> list[Record]:
    async with follow.reader(bootstrap, KafkaSettings()) as consumer:
        return [record async for record in follow.until_now(consumer, topic.name, topic.partitions)]


async def row(bootstrap: str, topics: Topics) -> bytes | None:
    async with follow.reader(bootstrap, KafkaSettings()) as consumer:
        return (await changelogs.rows_of(consumer, topics.ranker)).get((0, ranking_codec.KEY))


async def test_weights_are_on_a_topic_and_the_examples_give_them_again(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    async def rested() -> bool:
        sources = {"profiles": shop_topics.events, "ranker": shop_topics.examples}
        return all([await caught_up(settings, bootstrap, role, source) for role, source in sources.items()])

    async with desk(shop_topics, bootstrap) as shop:
        for name in ITEMS:
            await shop.put(shop_topics.catalogue, name, {"id": name, "title": name, "price": 5.0})
        async with worker(settings, bootstrap, UPWELL_RANKER_SAMPLING="1"):
            await shopping(shop, 2, 0)
            await until(rested, 60)
            asked: dict[str, Any] = {"id": "x", "type": "view", "time": T0 + 100 * MINUTE, "item": ITEMS[0]}
            place = f"{shop_topics.ranker.name}/0"
            rested_on = await shop.ask("visitor", asked, lambda found: found.as_of.get(place, -1) >= 0)
            assert rested_on.items
        # Another worker goes on from the row of the first.
        async with worker(settings, bootstrap, UPWELL_RANKER_SAMPLING="1"):
            await shopping(shop, 2, 200)
            await until(rested, 60)
        live = await row(bootstrap, shop_topics)
    learnt = ranking_codec.decode_ranker(live)
    assert learnt.ranker.examples > len(SHOPPERS)
    assert (learnt.ranker.weights != ranking_codec.decode_ranker(None).ranker.weights).any()

    handler, rows = RankerHandler(Learning().rate), dict[bytes, bytes | None]()
    for record in await records(bootstrap, shop_topics.examples):
        effects = await handler(
            Batch(shop_topics.examples.name, 0, [record]), lambda _, keys: [rows.get(key) for key in keys]
        )
        rows.update(effects.rows["ranker"])
    assert rows[ranking_codec.KEY] == live
