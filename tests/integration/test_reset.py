"""`upwell reset`: all state goes, with leave only and while nobody works; workers come to the same rows again."""

import asyncio
import json
from pathlib import Path

from streams import changelogs, codecs, follow
from streams.locking import NAME as LOCK
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics
from tests.brokers import until
from tests.integration.shopkeeper import Desk, caught_up, desk, worker
from tests.integration.upwell import upwell

T0 = 1_700_000_000_000
ITEMS = ["red shirt", "blue shirt", "red shoe", "green hat"]


async def rows(bootstrap: str, topics: Topics) -> dict[str, changelogs.Rows]:
    """The rows on the state topics."""
    async with follow.reader(bootstrap, KafkaSettings()) as consumer:
        states = [topic for topic in topics if topic.table or topic == topics.sessions]
        return {str(topic.table or topic.name): await changelogs.rows_of(consumer, topic) for topic in states}


def added(found: dict[str, changelogs.Rows]) -> dict[tuple[int, bytes], tuple[dict[int, int], float, dict[str, float]]]:
    """What is in the neighbours' rows, but for the offsets of the pairs, and rounded: partitions come in any order."""
    neighbours = {place: codecs.decode_neighbours(row) for place, row in found["neighbours"].items()}
    return {
        place: (row.applied, round(row.log_mass, 9), {partner: round(log, 9) for partner, log in row.partners.items()})
        for place, row in neighbours.items()
    }


async def shopping(shop: Desk) -> None:
    for name in ITEMS:
        await shop.put(shop.topics.catalogue, name, {"id": name, "title": name})
    for number in range(40):
        user, item = "abcd"[number % 4], ITEMS[(number + number // 4) % 4]
        event = {"id": f"e{number}", "type": "purchase", "time": T0 + number, "user": user, "item": item}
        await shop.put(shop.topics.events, user, event)


async def settled(bootstrap: str, topics: Topics, expected: dict[str, changelogs.Rows] | None = None) -> None:
    """Wait until the rows are as expected: as others say, or as `upwell replay --check` does."""

    async def there() -> bool:
        found = await rows(bootstrap, topics)
        if expected is not None:
            return found["profiles"] == expected["profiles"]
        return len(found["embeddings"]) == len(ITEMS) and len(found["profiles"]) == 4

    await until(there, 60)


async def test_the_state_goes_and_comes_back_the_same(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    async def reset(*options: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(upwell, settings, bootstrap, "reset", *options)

    async with desk(shop_topics, bootstrap) as shop:
        code, out, err = await reset("--yes")
        assert "none" in out, err
        async with worker(settings, bootstrap):
            await shopping(shop)
            await settled(bootstrap, shop_topics)
            code, _, err = await reset("--yes")
            assert (code, "workers are running" in err, "upwell.profiles has 1" in err) == (1, True, True)

            async def all_said() -> bool:
                code, _, _ = await asyncio.to_thread(upwell, settings, bootstrap, "replay", "--check")
                return code == 0

            async def all_added() -> bool:
                return await caught_up(settings, bootstrap, "neighbours", shop_topics.pairs)

            await until(all_said, 60)
            await until(all_added, 60)
        before = await rows(bootstrap, shop_topics)

        code, out, _ = await reset()
        assert (code, "Nothing was done" in out) == (0, True)
        assert f"rows on {shop_topics.profiles.name}: 4" in out
        assert f"committed offsets of {settings.shop}.upwell.profiles: 40 records" in out
        assert str(settings.data_dir / "tables/profiles") in out
        assert await rows(bootstrap, shop_topics) == before
        assert {path.name for path in settings.data_dir.iterdir()} == {"tables", "index", LOCK}

        # A bystander under the data directory stays, as a broker's data would.
        bystander = settings.data_dir / "broker"
        bystander.mkdir()
        done = json.loads((await reset("--yes", "--json"))[1])
        assert (done["done"], done["rows"][shop_topics.embeddings.name]) == (True, 4)
        assert not any((await rows(bootstrap, shop_topics)).values())
        assert {path.name for path in settings.data_dir.rglob("*")} == {"tables", "broker", LOCK}
        assert (await reset())[1].splitlines()[1:] == ["  none"]

        async with worker(settings, bootstrap):
            await settled(bootstrap, shop_topics, before)
            await until(all_said, 60)
            await until(all_added, 60)
            await settled(bootstrap, shop_topics)
        after = await rows(bootstrap, shop_topics)
        assert after["profiles"] == before["profiles"]
        assert after["trending"] == before["trending"]
        assert added(after) == added(before)
        assert any(partners for _, _, partners in added(before).values())
        assert after["embeddings"].keys() == before["embeddings"].keys()


async def test_a_machine_that_was_away_loses_its_rows_when_it_comes_back(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    """Its store is as it was before the reset, and its changelog tells it what happened."""
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    async with desk(shop_topics, bootstrap) as shop:
        async with worker(settings, bootstrap):
            await shopping(shop)
            await settled(bootstrap, shop_topics)
            before = await rows(bootstrap, shop_topics)
        assert upwell(elsewhere, bootstrap, "reset", "--yes")[0] == 0
        assert settings.data_dir.exists()
        await shop.put(
            shop_topics.events, "a", {"id": "new", "type": "view", "time": T0 + 99, "user": "a", "item": "x"}
        )
        async with worker(settings, bootstrap):

            async def rebuilt() -> bool:
                code, _, _ = await asyncio.to_thread(upwell, settings, bootstrap, "replay", "--check")
                return code == 0

            await until(rebuilt, 60)
        after = await rows(bootstrap, shop_topics)
        others = {place: row for place, row in before["profiles"].items() if place[1] != b"a"}
        assert others.items() <= after["profiles"].items()
