"""A login on a real broker: what the anonymous shopper did comes to the user, survives a rebuild, and is erased."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from streams import changelogs, codecs, follow
from streams.core.profile import Profile
from streams.partitioning import partition_of
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics
from tests.brokers import until
from tests.integration.shopkeeper import caught_up, desk, worker
from tests.integration.upwell import upwell

T0 = 1_700_000_000_000


def _away(user: str, partitions: int) -> str:
    """An anonymous id whose events are on another partition than the user's."""
    names = (f"cookie-{number}" for number in range(1_000))
    return next(name for name in names if partition_of(name, partitions) != partition_of(user, partitions))


async def test_a_login_brings_along_what_was_before(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    cookie = _away("anna", settings.partitions)

    async def rows() -> Mapping[tuple[int, bytes], bytes]:
        async with follow.reader(bootstrap, KafkaSettings()) as consumer:
            return await changelogs.rows_of(consumer, shop_topics.profiles)

    async def anna() -> Profile:
        (found,) = codecs.wholes(await rows(), "anna").values() or [Profile()]
        return found

    async def bought(*items: str) -> bool:
        return set((await anna()).habits) == set(items)

    async def idle() -> bool:
        return await caught_up(settings, bootstrap, "profiles", shop_topics.events) and await caught_up(
            settings, bootstrap, "profiles", shop_topics.merges
        )

    async with desk(shop_topics, bootstrap) as shop:

        async def did(number: int, key: str, kind: str, **more: Any) -> None:
            who = "anonymous_id" if key == cookie else "user"
            event = {"id": f"e{number}", "type": kind, "time": T0 + number, who: key, **more}
            await shop.put(shop_topics.events, key, event)

        async with worker(settings, bootstrap):
            await did(0, cookie, "purchase", item="milk")
            await did(1, "anna", "purchase", item="bread")
            await did(2, cookie, "login", **{"as": "anna"})
            await until(lambda: bought("milk", "bread"), 60)
            await did(3, cookie, "purchase", item="cheese")
            await until(lambda: bought("milk", "bread", "cheese"), 60)
        # With the state gone, and another worker, it all comes back from the events.
        code, _, err = await asyncio.to_thread(upwell, settings, bootstrap, "reset", "--yes")
        assert code == 0, err
        assert not await rows()
        async with worker(settings, bootstrap):
            await until(lambda: bought("milk", "bread", "cheese"), 60)
            assert [interaction.item for interaction in (await anna()).recent] == ["milk", "bread", "cheese"]
            code, out, err = await asyncio.to_thread(upwell, settings, bootstrap, "profile", "anna", "--json")
            assert code == 0, err
            assert [interaction["item"] for interaction in json.loads(out)["recent"]] == ["milk", "bread", "cheese"]

            async def gone() -> bool:
                return not await rows()

            code, _, err = await asyncio.to_thread(upwell, settings, bootstrap, "erase", "anna")
            assert code == 0, err
            await until(gone, 60)
            await until(idle, 60)
        async with follow.reader(bootstrap, KafkaSettings()) as consumer:
            told = shop_topics.recommendations
            said = [
                json.loads(record.value)
                async for record in follow.between(consumer, await follow.whole(consumer, told.name, told.partitions))
                if record.key == b"anna" and record.value
            ]
        assert [one["trigger"]["type"] for one in said].count("login") >= 1
