"""A worker that lost everything on its disk recommends what it would have recommended."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from streams.admin import create_topics
from streams.locking import NAME as LOCK
from streams.records import Recommendation
from streams.settings import KafkaSettings, Settings
from streams.topics import topics
from tests.brokers import until
from tests.integration.shopkeeper import Desk, caught_up, desk, worker
from tests.reading import whole_topic

T0 = 1_700_000_000_000
ITEMS = [f"{kind} {thing}" for kind in ("red", "blue", "green") for thing in ("shirt", "shoe", "hat", "scarf", "coat")]
USERS = ["anna", "bert", "cleo", "dora"]


async def stock(shop: Desk) -> None:
    """A catalogue and a past, the same for every shop."""
    for name in ITEMS:
        await shop.put(shop.topics.catalogue, name, {"id": name, "title": name.title(), "category": name.split()[1:]})
    for number in range(120):
        user, name = USERS[number % 4], ITEMS[(number * 7) % 11]
        event = {"id": f"e{number}", "type": "purchase", "time": T0 + number * 3_600_000, "user": user, "item": name}
        await shop.put(shop.topics.events, user, event)


async def recommended_when_settled(shop: Desk, user: str) -> Recommendation:
    """The answer to one more event, once everything sent so far is known to the worker that answers."""
    shared = (shop.topics.catalogue, shop.topics.embeddings, shop.topics.trending, shop.topics.neighbours)
    event = {"id": f"probe-{user}", "type": "search", "query": "coat", "time": T0 + 500 * 3_600_000}
    ends: dict[str, int] = {}

    def settled(answer: Recommendation) -> bool:
        return bool(ends) and ends.items() <= answer.as_of.items()

    await shop.ask(user, event, lambda answer: len(answer.as_of) > len(shared))
    while True:
        ends = await shop.ends(*shared)
        answer = await shop.ask(user, event, settled)
        if ends == await shop.ends(*shared):
            return answer


async def newest_rows(shop: Desk, bootstrap: str) -> dict[bytes, bytes]:
    """The profiles topic as a table."""
    profiles = shop.topics.profiles
    return {record.key: record.value for record in await whole_topic(bootstrap, profiles.name, profiles.partitions)}


def content(answer: Recommendation) -> Any:
    """All of a recommendation that does not name the shop or an offset."""
    return msgspec.to_builtins([answer.user, answer.time, answer.items, answer.model, answer.stage])


async def test_after_losing_its_disk_a_worker_recommends_as_if_nothing_had_happened(
    bootstrap: str, kafka: KafkaSettings, shop: str, tmp_path: Path
) -> None:
    answers = {}
    for name in ("steady", "wiped"):
        settings = Settings(shop=f"{shop}-{name}", partitions=2, data_dir=tmp_path / name)
        contract = topics(settings.shop, settings.partitions)
        await create_topics(bootstrap, kafka, contract)
        async with desk(contract, bootstrap) as counter:
            async with worker(settings, bootstrap):
                await stock(counter)
                for role, source in (("profiles", contract.events), ("neighbours", contract.pairs)):
                    await until(partial(caught_up, settings, bootstrap, role, source), 60)
                before = {user: content(await recommended_when_settled(counter, user)) for user in USERS}
                if name == "steady":
                    answers[name] = {user: content(await recommended_when_settled(counter, user)) for user in USERS}
                    continue
            rows = await newest_rows(counter, bootstrap)
            async with worker(settings, bootstrap):  # from its tables and its snapshot of the index
                again = {user: content(await recommended_when_settled(counter, user)) for user in USERS}
            assert again == before
            assert {path.name for path in settings.data_dir.iterdir()} == {"tables", "index", LOCK}
            shutil.rmtree(settings.data_dir)
            async with worker(settings, bootstrap):
                after = {user: content(await recommended_when_settled(counter, user)) for user in USERS}
            assert after == before
            assert (await newest_rows(counter, bootstrap)).keys() == rows.keys()
            answers[name] = after
    assert answers["wiped"] == answers["steady"]
    assert all(items for _, _, items, _, _ in answers["wiped"].values())
