"""What passes by: sampled for everybody, whole for whoever follows a shopper; and the page that shows it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from streams.engine.effects import Record
from streams.status.look import sources
from streams.web import live as feed
from streams.web import page
from streams.web.live import Happened, Live, Pulse, Recommended
from streams.web.problems import Problem
from streams.web.watch import watched
from streams.worker import Role
from tests.unit.http_shop import HttpShop, looked
from tests.unit.records import LIMITS, FakeRecord, event
from tests.unit.shop import TOPICS


@pytest.fixture
def shop() -> HttpShop:
    return HttpShop()


@pytest.fixture
def live(shop: HttpShop) -> Live:
    return Live(TOPICS, shop.shop.replica, looked, LIMITS)


def recommendation(shop: HttpShop, shopper: str) -> FakeRecord:
    return FakeRecord(shopper.encode(), msgspec.json.encode(shop.topic[shopper]), topic=TOPICS.recommendations.name)


async def test_a_watcher_is_told_of_events_and_recommendations_in_words(shop: HttpShop, live: Live) -> None:
    with live.watching(None) as watcher:
        live.tell(event(3, item="bread"))
        live.tell(recommendation(shop, "anna"))
        happened, recommended = await watcher.next(), await watcher.next()
    assert isinstance(happened, Happened)
    assert (happened.user, happened.type, happened.title) == ("anna", "purchase", "The bread")
    assert isinstance(recommended, Recommended)
    assert recommended.items == shop.topic["anna"].items[: feed.SHOWN]
    assert recommended.titles.keys() == {item.item for item in recommended.items} | {recommended.trigger_item}


async def test_whoever_follows_a_shopper_misses_nothing_of_theirs(live: Live) -> None:
    with live.watching("anna") as follower, live.watching(None) as other:
        for offset in range(100):
            live.tell(event(offset, user="bert"))
        for offset in range(50):
            live.tell(event(offset, user="anna"))
        live.close()
        told = {name: await all_of(watcher) for name, watcher in (("follower", follower), ("other", other))}
    assert sum(message.user == "anna" for message in told["follower"]) == 50
    assert len(told["other"]) == int(feed.SAMPLE)


async def all_of(watcher: feed.Watcher) -> list[Any]:
    messages = []
    while (message := await watcher.next()) is not None:
        messages.append(message)
    return messages


async def test_a_watcher_that_does_not_keep_up_loses_the_oldest(live: Live) -> None:
    with live.watching("anna") as watcher:
        for offset in range(feed.HELD + 10):
            live.tell(event(offset))
        live.close()
        messages = await all_of(watcher)
    assert [message.time for message in messages] == sorted(message.time for message in messages)
    assert len(messages) == feed.HELD - 1


async def test_what_cannot_be_read_is_passed_over(live: Live) -> None:
    with live.watching("anna") as watcher:
        live.tell(FakeRecord(b"anna", b"{"))
        live.tell(FakeRecord(b"anna", None))
        live.tell(FakeRecord(b"anna", b"[" * 100_000, topic=TOPICS.recommendations.name))
        live.close()
        assert await all_of(watcher) == []


async def test_too_many_watchers_are_sent_away(live: Live) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(feed.WATCHERS):
            stack.enter_context(live.watching(None))
        with pytest.raises(Problem, match="watch already"):
            stack.enter_context(live.watching(None))
    with live.watching(None):
        pass


async def test_topics_are_read_only_while_somebody_watches(live: Live) -> None:
    opened, closed = asyncio.Event(), asyncio.Event()

    async def read() -> AsyncIterator[Record]:
        opened.set()
        try:
            for offset in range(1_000_000):
                await asyncio.sleep(0)
                yield event(offset)
        finally:
            closed.set()

    running = asyncio.create_task(live.run(read))
    await asyncio.sleep(0)
    assert not opened.is_set()
    with live.watching(None) as watcher:
        assert isinstance(await watcher.next(), Happened)
    await asyncio.wait_for(closed.wait(), 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_pulse_tells_how_things_are(live: Live) -> None:
    beating = asyncio.create_task(live.beat())
    with live.watching("nobody") as watcher:
        for offset in range(20):
            live.tell(event(offset))
        while not isinstance(message := await watcher.next(), Pulse):
            pass
        with live.watching(None) as another:
            assert await another.next() is message  # who comes in between is told at once
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    assert (message.items, message.events) == (10, 20 / feed.PULSE_S)
    assert message.left_out == 20 - int(feed.SAMPLE)
    assert (message.roles[0].role, message.roles[0].workers, message.profile_lag) == ("profiles", 3, 0)


async def test_the_stream_is_server_sent_events(shop: HttpShop) -> None:
    async with shop.client() as http, http.get("/v1/stream?user=anna") as response:
        assert response.content_type == "text/event-stream"
        assert await response.content.readline() == b": watching\n"
        shop.live.tell(event(1, item="milk"))
        assert await response.content.readline() == b"\n"
        line = await response.content.readline()
        assert json.loads(line.removeprefix(b"data: "))["title"] == "The milk"
        assert await response.content.readline() == b"\n"
        shop.live.close()
        assert await response.content.read() == b""


async def test_the_page_and_its_files_come_from_here_alone(shop: HttpShop) -> None:
    async with shop.client() as http:
        for route in page.routes():
            async with http.get(route.path) as response:
                assert response.status == 200
                assert response.headers["Content-Security-Policy"] == page.POLICY
                text = await response.text()
            for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://"):
                assert forbidden not in text, f"{route.path} holds {forbidden}"
        async with http.get("/static/../serve.py") as response:
            assert response.status == 404


def test_every_role_of_a_worker_is_watched() -> None:
    found = watched("shop", TOPICS)
    assert {role for role, _ in found.values()} == set(Role)
    assert {role: [topic.name] for role, topic in found.values()} == {
        role: read[:1] for role, read in sources(TOPICS).items()
    }
