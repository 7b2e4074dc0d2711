"""`upwell model swap` while a worker answers: every recommendation has items, all by one model; then a restart.

What rebuilds a shop follows the plan, too, or lets it go.
"""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from encoders.hashing import HashingEncoder
from streams import codecs, follow, modelplan
from streams.core.policy import Channel
from streams.items import Recipe
from streams.records import Recommendation
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics
from tests.integration.shopkeeper import PATIENCE_S, Desk, desk, worker
from tests.integration.upwell import upwell

KINDS = ("oat milk", "green tea", "rye bread", "wool socks", "oak table", "desk lamp")
ITEMS = {f"{kind.replace(' ', '-')}-{n}": f"{kind} {word}" for kind in KINDS for n, word in enumerate("abcdefghij")}
NAME = Recipe().name
ROLES = "encoder,profiles,neighbours"
"""No ranker: how fast it learns from so many views of one shopper, and what, depends on the machine."""
OLD, NEW = HashingEncoder(template=NAME).id, HashingEncoder(256, NAME).id


async def shopping(shop: Desk, topics: Topics, enough: asyncio.Event) -> list[Recommendation]:
    """One shopper looks at one thing after the other, without a pause, until it is enough."""
    seen = []
    while not enough.is_set():
        number = len(seen)
        viewed = list(ITEMS)[number * 7 % len(ITEMS)]
        event = {"id": f"e{number}", "type": "view", "item": viewed, "time": number + 1, "user": "anna"}
        await shop.put(topics.events, "anna", event)
        seen.append(await shop.answer("anna", event["id"]))
    return seen


async def test_the_model_changes_while_the_shop_serves(
    settings: Settings, bootstrap: str, kafka: KafkaSettings, shop_topics: Topics
) -> None:
    async with worker(settings, bootstrap, roles=ROLES), desk(shop_topics, bootstrap) as shop:
        for item, title in ITEMS.items():
            await shop.put(shop_topics.catalogue, item, {"id": item, "title": title})
        first = {"id": "first", "type": "view", "item": "oat-milk-0", "time": 1}
        await shop.ask("bert", first, lambda found: found.model == OLD and len(found.items) == 20)
        enough = asyncio.Event()
        asking = asyncio.create_task(shopping(shop, shop_topics, enough))
        swapping = asyncio.to_thread(upwell, settings, bootstrap, "model", "swap", "hashing@256", "--json")
        done = asyncio.create_task(swapping)
        await shop.put(shop_topics.catalogue, "oat-milk-9", None)
        await shop.put(shop_topics.catalogue, "late", {"id": "late", "title": "oat milk late"})
        code, out, err = await done
        assert code == 0, err
        assert json.loads(out)["to"] == NEW
        last = {"id": "last", "type": "view", "item": "oat-milk-0", "time": 1}
        async with desk(shop_topics, bootstrap) as other:
            await other.ask("carla", last, lambda found: found.model == NEW)
        enough.set()
        seen = await asking
        assert all(recommendation.items for recommendation in seen)
        models = [recommendation.model for recommendation in seen]
        assert set(models) <= {OLD, NEW}
        assert models == sorted(models, key=[OLD, NEW].index), "once changed, never back"
        assert len(seen) > 10
        again, _, refused = await asyncio.to_thread(upwell, settings, bootstrap, "model", "swap", "hashing@256")
        assert again == 2
        assert "serves already" in refused
    plan = await modelplan.current(bootstrap, kafka, shop_topics)
    assert plan is not None
    assert (plan.serving.id, plan.serving.slot, plan.next) == (NEW, "embeddings_b", None)
    assert await rows(bootstrap, kafka, shop_topics) == {NEW: set(ITEMS) - {"oat-milk-9"} | {"late"}}
    async with worker(settings, bootstrap, roles=ROLES), desk(shop_topics, bootstrap) as shop:
        fresh = {"id": "fresh", "type": "view", "item": "late", "time": 2}
        found = await shop.ask("dora", fresh, lambda found: found.model == NEW)
        near = [item.item for item in found.items if item.channel == "content"]
        assert "oat-milk" in near[0]
        await shop.put(shop_topics.catalogue, "later", {"id": "later", "title": "oat milk later"})
        async with asyncio.timeout(PATIENCE_S):
            while "later" not in (await rows(bootstrap, kafka, shop_topics))[NEW]:
                continue
        written = await shop.ends(shop_topics.embeddings_b)
        await shop.ask("dora", fresh, lambda found: written.items() <= found.as_of.items())


async def rows(bootstrap: str, kafka: KafkaSettings, topics: Topics) -> dict[str, set[str]]:
    """Items by the model that the topic of the second model has vectors of."""
    newest: dict[str, bytes | None] = {}
    async with follow.reader(bootstrap, kafka) as consumer:
        topic = topics.embeddings_b
        async for record in follow.until_now(consumer, topic.name, topic.partitions):
            newest[(record.key or b"").decode()] = record.value
    found: dict[str, set[str]] = {}
    for item, row in newest.items():
        if row is not None:
            found.setdefault(codecs.decode_embedding(row).model, set()).add(item)
    return found


async def test_another_model_in_the_settings_is_refused_where_vectors_are(
    settings: Settings, bootstrap: str, kafka: KafkaSettings, shop_topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await modelplan.stamped(bootstrap, kafka, shop_topics) is None
    async with worker(settings, bootstrap, roles="encoder"), desk(shop_topics, bootstrap) as shop:
        for item, title in list(ITEMS.items())[:3]:
            await shop.put(shop_topics.catalogue, item, {"id": item, "title": title})
        async with asyncio.timeout(PATIENCE_S):
            while await modelplan.stamped(bootstrap, kafka, shop_topics) != OLD:
                continue
    monkeypatch.setenv("UPWELL_ITEM_TEXT", "title")
    for command in (("worker", "--roles", "encoder"), ("model", "swap", "hashing@256")):
        code, _, err = await asyncio.to_thread(upwell, settings, bootstrap, *command)
        assert (code, len(err.splitlines())) == (2, 1), err
        assert f"the shop's items have vectors of {OLD}, and UPWELL_MODEL=hashing gives hashing@" in err
        assert "upwell model swap" in err


async def test_a_change_is_given_up_and_whoever_watches_it_is_told(
    settings: Settings, bootstrap: str, kafka: KafkaSettings, shop_topics: Topics
) -> None:
    async def run(*arguments: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(upwell, settings, bootstrap, "model", "swap", *arguments)

    async with worker(settings, bootstrap, roles="encoder"), desk(shop_topics, bootstrap) as shop:
        await shop.put(shop_topics.catalogue, "milk", {"id": "milk", "title": "oat milk"})
        async with asyncio.timeout(PATIENCE_S):
            while await modelplan.stamped(bootstrap, kafka, shop_topics) != OLD:
                continue
    swapping = asyncio.create_task(run("hashing@256"))  # nobody encodes: it does not come to an end
    async with asyncio.timeout(PATIENCE_S):
        while (plan := await modelplan.current(bootstrap, kafka, shop_topics)) is None or plan.next is None:
            continue
    code, out, err = await run("--abort")
    assert (code, out) == (0, f"Given up. {OLD} serves.\n"), err
    code, _, err = await swapping
    assert code == 1
    assert f"{NEW} was given up meanwhile: {OLD} serves" in err
    plan = await modelplan.current(bootstrap, kafka, shop_topics)
    assert plan is not None
    assert (plan.serving.id, plan.next) == (OLD, None)
    code, _, err = await run("--abort")
    assert (code, "no change of the model is under way" in err) == (2, True)


async def test_a_plan_that_cannot_be_read_is_told_in_one_line(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    async with desk(shop_topics, bootstrap) as shop:
        await shop.put(shop_topics.models, "encoder", b'{"rate": null}')
    for command in (("worker", "--roles", "encoder"), ("model", "swap", "--abort")):
        code, _, err = await asyncio.to_thread(upwell, settings, bootstrap, *command)
        assert (code, len(err.splitlines())) == (4, 1), err
        assert f"{shop_topics.models.name} holds a plan of the models that this version of Upwell cannot read" in err


async def test_a_worker_that_has_not_the_gpu_it_needs_ends_with_one_line(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    command = "worker", "--roles", "encoder", "--require-gpu"
    code, _, err = await asyncio.to_thread(upwell, settings, bootstrap, *command)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert "Error: a GPU is required" in err


async def test_replay_and_reset_follow_the_plan(
    settings: Settings, bootstrap: str, kafka: KafkaSettings, shop_topics: Topics, tmp_path: Path
) -> None:
    async def run(*arguments: str | Path) -> tuple[int, str, str]:
        return await asyncio.to_thread(upwell, settings, bootstrap, *arguments)

    event = {"id": "e", "type": "view", "item": "oat-milk-0", "time": 1}
    async with worker(settings, bootstrap), desk(shop_topics, bootstrap) as shop:
        for item, title in ITEMS.items():
            await shop.put(shop_topics.catalogue, item, {"id": item, "title": title})
        await shop.ask("anna", event, lambda found: found.model == OLD and len(found.items) == 20)
        code, _, err = await run("model", "swap", "hashing@256")
        assert code == 0, err
        await shop.ask("bert", event, lambda found: found.model == NEW)
        plan = await modelplan.current(bootstrap, kafka, shop_topics)
        assert plan is not None
        group = f"{settings.shop}.upwell.{plan.serving.role}"
        code, _, err = await run("reset", "--yes")
        assert (code, f"{group} has 1" in err) == (1, True)

    file = tmp_path / "said.jsonl"
    code, _, err = await run("replay", "--output", file)
    assert code == 0, err
    said = [msgspec.json.decode(line, type=Recommendation) for line in file.read_bytes().splitlines()]
    assert {one.model for one in said if one.items} == {NEW}
    assert said[-1].items[0].channel == Channel.CONTENT

    code, out, err = await run("reset", "--yes")
    assert code == 0, err
    assert f"committed offsets of {group}: {len(ITEMS)} records" in out
    assert f"rows on {shop_topics.embeddings_b.name}: {len(ITEMS)}" in out
    assert f"rows on {shop_topics.models.name}: 1" in out
    assert str(settings.data_dir / "tables" / plan.serving.role) in out
    assert await modelplan.current(bootstrap, kafka, shop_topics) is None
    assert await rows(bootstrap, kafka, shop_topics) == {}
    assert not list(settings.data_dir.rglob("encoder*"))
    async with worker(settings, bootstrap), desk(shop_topics, bootstrap) as shop:
        await shop.ask("carla", event, lambda found: found.model == OLD and len(found.items) == 20)
