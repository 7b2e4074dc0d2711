"""`upwell serve` beside workers on a real broker: whoever owns a shopper, HTTP answers what the topic carries."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientSession

from streams.admin import create_topics
from streams.broker.probe import free_port
from streams.records import Recommendation
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics, topics
from tests.brokers import until
from tests.integration.shopkeeper import Desk, desk, worker

T0 = 1_700_000_000_000
WORDS = ["oak", "steel", "copper", "wool", "linen", "glass", "brass", "clay", "slate", "cork"]
ITEMS = {
    name: f"{name} of {' and '.join(random.Random(name).sample(WORDS, 6))}"
    for name in ("bowl", "chair", "lamp", "table", "shelf", "box", "stool", "frame", "tray")
}
"""Titles by id. They share words, so that no two are equally near to anything: the index does not order those."""

NAMES = list(ITEMS)
SHOPPERS = [f"shopper-{number}" for number in range(9)]
LINES = {"Content-Type": "application/x-ndjson"}
PATIENCE_S = 60.0


@contextlib.asynccontextmanager
async def served(
    settings: Settings, bootstrap: str, *, heard: list[str] | None = None, **environment: str
) -> AsyncIterator[ClientSession]:
    """A client of `upwell serve`, handed out once it is ready; it has to leave in good order.

    At the end `heard` has all that it said.
    """
    port = free_port("127.0.0.1")
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_SHOP": settings.shop,
        "UPWELL_PARTITIONS": str(settings.partitions),
        "UPWELL_DATA_DIR": str(settings.data_dir),
        "UPWELL_MODEL": "hashing",
        "UPWELL_API_PORT": str(port),
        **environment,
    }
    command = [sys.executable, "-c", "from streams.cli import main; main()", "serve"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    said = []
    while line := await asyncio.wait_for(process.stderr.readline(), PATIENCE_S):
        said.append(line.decode())
        if "Serving on" in said[-1]:
            break
    else:
        await process.wait()
        raise AssertionError("it ended while it started:\n" + "".join(said))
    draining = asyncio.create_task(process.stderr.read())
    try:
        async with ClientSession(f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        rest = await asyncio.wait_for(draining, PATIENCE_S)
        said.append(rest.decode())
        if heard is not None:
            heard += said
        assert await process.wait() == 0, "".join(said)


async def asked(http: ClientSession, path: str) -> dict[str, Any]:
    async with http.get(path) as response:
        assert response.status == 200, await response.text()
        found: dict[str, Any] = await response.json()
        return found


async def recommended(http: ClientSession, shopper: str, as_of: dict[str, int]) -> dict[str, Any]:
    """The recommendations for a shopper, once they rest on all that `as_of` says, or more."""
    found: list[dict[str, Any]] = []

    async def current() -> bool:
        found.append(await asked(http, f"/v1/users/{shopper}/recommendations"))
        return all(found[-1]["as_of"].get(partition, -1) >= offset for partition, offset in as_of.items())

    await until(current, PATIENCE_S)
    return found[-1]


def purchase(shopper: str, number: int, item: str) -> dict[str, Any]:
    return {"id": f"{shopper}-{number}", "type": "purchase", "time": T0 + number, "user": shopper, "item": item}


async def both(shop: Desk, http: ClientSession, shopper: str) -> tuple[Recommendation, dict[str, Any]]:
    """What the topic and HTTP recommend, resting on the same offsets.

    A search from long ago asks the worker for a recommendation and changes nothing; it is repeated until what other
    partitions and roles have under way has reached both. `as_of` is taken before an answer is made, and a replica may
    move on meanwhile: only where the next answers have the same offsets was nothing newer in the ones before.
    """
    before = None
    async with asyncio.timeout(PATIENCE_S):
        for attempt in range(1_000_000):
            event = f"{shopper}-search-{attempt}"
            body = {"id": event, "type": "search", "query": "x", "time": T0 - 1, "user": shopper}
            await shop.put(shop.topics.events, shopper, body)
            topic = await shop.answer(shopper, event)
            answer = await recommended(http, shopper, topic.as_of)
            shared = [
                {partition: offset for partition, offset in as_of.items() if shop.topics.events.name not in partition}
                for as_of in (topic.as_of, answer["as_of"])
            ]
            if before and shared[0] == shared[1] == before[2] and len(topic.items) == len(ITEMS):
                return before[0], before[1]
            before = (topic, answer, shared[0]) if answer["as_of"] == topic.as_of else None
    raise AssertionError("unreachable")


async def test_http_answers_for_every_shopper_what_their_worker_says(
    shop: str, bootstrap: str, kafka: KafkaSettings, tmp_path: Path
) -> None:
    homes = [Settings(shop=shop, partitions=3, data_dir=tmp_path / f"worker-{number}") for number in range(3)]
    contract = topics(shop, 3)
    await create_topics(bootstrap, kafka, contract, 1)
    async with contextlib.AsyncExitStack() as stack:
        starting = [stack.enter_async_context(worker(home, bootstrap)) for home in homes]
        await asyncio.gather(*starting)
        http = await stack.enter_async_context(served(homes[0], bootstrap))  # beside a worker, in its data directory
        counter = await stack.enter_async_context(desk(contract, bootstrap))
        catalogue = "\n".join(
            msgspec.json.encode({"id": item, "title": title}).decode() for item, title in ITEMS.items()
        )
        async with http.post("/v1/items", data=catalogue, headers=LINES) as response:
            assert (await response.json())["accepted"] == len(ITEMS)
        events = [
            purchase(shopper, number, NAMES[(place + number) % len(NAMES)])
            for place, shopper in enumerate(SHOPPERS)
            for number in range(3)
        ]
        async with http.post(
            "/v1/events", data=b"\n".join(map(msgspec.json.encode, events)), headers=LINES
        ) as response:
            assert (await response.json())["accepted"] == len(events)

        partitions = set()
        for shopper in SHOPPERS:
            topic, answer = await both(counter, http, shopper)
            for field in ("user", "items", "time", "model", "policy", "stage"):
                assert answer[field] == msgspec.to_builtins(topic)[field]
            partitions.add(topic.trigger.partition)
        assert partitions == {0, 1, 2}  # so all three workers had a part in it

        near = await asked(http, "/v1/items/bowl/similar")
        assert {item["item"] for item in near["items"]} == set(ITEMS) - {"bowl"}
        async with http.post("/v1/search", json={"text": ITEMS["lamp"], "n": 1}) as response:
            assert (await response.json())["items"][0]["item"] == "lamp"
        async with http.post("/v1/answers", json={"text": "what is like the lamp?", "n": 1}) as response:
            answer = await response.json()
        assert (answer["kind"], answer["items"][0]["item"], len(answer["items"])) == ("find", "lamp", 1)


async def messages(http: ClientSession, shopper: str) -> AsyncIterator[dict[str, Any]]:
    """What the live stream tells."""
    async with http.get("/v1/stream", params={"user": shopper}) as response:
        assert response.status == 200
        async for line in response.content:
            if line.startswith(b"data: "):
                yield msgspec.json.decode(line.removeprefix(b"data: "))


async def test_a_shopper_is_watched_and_then_forgotten(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    async with worker(settings, bootstrap), served(settings, bootstrap) as http:
        for kind, line in (
            ("items", {"id": "bowl", "title": "Bowl"}),
            ("events", purchase("anna", 1, "bowl")),
        ):
            async with http.post(f"/v1/{kind}", data=msgspec.json.encode(line), headers=LINES) as response:
                assert (await response.json())["accepted"] == 1
        await known(http, "anna", stage="profile")

        seen: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(messages(http, "anna")) as told:
            number = 1
            async for message in told:  # a pulse comes every few seconds, whether or not anything passes by
                seen[message["kind"]] = message
                if seen.keys() == {"event", "recommendation", "pulse"}:
                    break
                if message["kind"] == "pulse":
                    number += 1
                    body = msgspec.json.encode(purchase("anna", number, "bowl"))
                    await (await http.post("/v1/events", data=body, headers=LINES)).read()
        assert (seen["event"]["user"], seen["event"]["title"]) == ("anna", "Bowl")
        assert seen["recommendation"]["user"] == "anna"
        roles = {role["role"]: (role["state"], role["workers"]) for role in seen["pulse"]["roles"]}
        assert roles["profiles"] == ("stable", 1)

        async with http.delete("/v1/users/anna") as response:
            assert response.status == 202
            assert len((await response.json())["requested"]) == settings.partitions
        await known(http, "anna", stage="popularity")


async def known(http: ClientSession, shopper: str, *, stage: str) -> None:
    """Wait until recommendations for a shopper are of a stage."""

    async def so() -> bool:
        return bool((await asked(http, f"/v1/users/{shopper}/recommendations"))["stage"] == stage)

    await until(so, PATIENCE_S)


async def test_a_restart_goes_on_with_its_copy(settings: Settings, bootstrap: str, kafka: KafkaSettings) -> None:
    contract = topics(settings.shop, settings.partitions)
    await create_topics(bootstrap, kafka, contract, 1)
    async with worker(settings, bootstrap), desk(contract, bootstrap) as counter:
        for item, title in ITEMS.items():
            await counter.put(contract.catalogue, item, {"id": item, "title": title})
        await counter.put(contract.events, "anna", purchase("anna", 1, "bowl"))
        async with served(settings, bootstrap) as http:
            first, _ = await both(counter, http, "anna")
        await counter.put(contract.events, "bert", purchase("bert", 1, "lamp"))
        second = await counter.answer("bert", "bert-1")
        async with served(settings, bootstrap) as http:
            assert (await recommended(http, "bert", second.as_of))["stage"] == "profile"
            again = await asked(http, "/v1/users/anna/recommendations")
            assert again["stage"] == "profile"
            assert again["as_of"][f"{contract.events.name}/{first.trigger.partition}"] >= first.trigger.offset
