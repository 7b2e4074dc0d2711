"""`upwell replay` beside a worker: the rows it holds, twice the same recommendations, and nothing disturbed."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams import follow
from streams.settings import Settings
from streams.topics import Topics
from tests.brokers import until
from tests.integration.shopkeeper import Desk, caught_up, desk, worker
from tests.integration.upwell import upwell

T0 = 1_700_000_000_000
ITEMS = [f"{colour} {thing}" for colour in ("red", "blue", "green") for thing in ("shirt", "shoe", "hat", "coat")]
EVENTS = 90


async def shopping(shop: Desk) -> None:
    """Items and events, a basket of two lines now and then, and one event that is refused."""
    for name in ITEMS:
        await shop.put(shop.topics.catalogue, name, {"id": name, "title": name})
    for number in range(EVENTS):
        user = "abcd"[number // 2 % 4]
        event = {
            "id": f"e{number}", "type": "purchase", "time": T0 + number // 2 * 60_000,
            "user": user, "item": ITEMS[number * 5 % 12],
        }  # fmt: skip
        await shop.put(shop.topics.events, user, event)
    await shop.put(shop.topics.events, "a", b"no event")


async def state(bootstrap: str, settings: Settings, topics: Topics) -> dict[str, int]:
    """The ends of all topics and what the group has committed."""
    group = f"{settings.shop}.upwell.profiles"
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        partitions = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        found = {f"end {tp.topic}/{tp.partition}": end for tp, end in (await consumer.end_offsets(partitions)).items()}
        for number in range(topics.events.partitions):
            committed = await consumer.committed(TopicPartition(topics.events.name, number))
            found[f"committed {number}"] = committed or 0
        return found


@pytest.fixture
async def past(settings: Settings, bootstrap: str, shop_topics: Topics) -> AsyncIterator[Desk]:
    """A shop whose worker has seen everything and is gone."""
    async with desk(shop_topics, bootstrap) as shop:
        async with worker(settings, bootstrap):
            await shopping(shop)

            await until(lambda: caught_up(settings, bootstrap, "profiles", shop_topics.events), 60)
            await until(lambda: caught_up(settings, bootstrap, "neighbours", shop_topics.pairs), 60)
        yield shop


class Replays:
    """Runs `upwell replay` for a shop."""

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self.settings, self.bootstrap = settings, bootstrap

    def fails(self, *options: str | Path) -> tuple[int, str, str]:
        return upwell(self.settings, self.bootstrap, "replay", *options)

    def __call__(self, *options: str | Path) -> dict[str, Any]:
        code, out, err = self.fails("--json", *options)
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.fixture
def replay(settings: Settings, bootstrap: str) -> Replays:
    return Replays(settings, bootstrap)


def answers(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def ids(said: list[dict[str, Any]]) -> dict[tuple[int, int], str]:
    """Partition and offset of the event → id of the recommendation."""
    return {(a["trigger"]["partition"], a["trigger"]["offset"]): a["id"] for a in said}


async def said_live(shop: Desk) -> list[dict[str, Any]]:
    topic = shop.topics.recommendations
    return [json.loads(r.value or b"") async for r in follow.until_now(shop.consumer, topic.name, topic.partitions)]


async def test_a_replay_is_what_the_worker_holds_and_the_same_every_time(
    settings: Settings, bootstrap: str, past: Desk, replay: Replays, tmp_path: Path
) -> None:
    before = await state(bootstrap, settings, past.topics)
    one = replay("--check", "--output", tmp_path / "one.jsonl")
    two = replay("--output", tmp_path / "two.jsonl")
    assert await state(bootstrap, settings, past.topics) == before, "nothing moved"

    assert one["digests"] == two["digests"]
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert one["check"]["profiles"] == {"alike": 4, "unlike": 0}
    assert one["check"]["trending"] == {"alike": one["rows"]["trending"], "unlike": 0}
    assert one["refused"] == 1
    said = answers(tmp_path / "one.jsonl")
    assert len(said) == one["recommendations"] == EVENTS // 2, "one a basket"
    assert all(answer["items"] for answer in said[8:])

    live, replayed = ids(await said_live(past)), ids(said)
    both = live.keys() & replayed.keys()
    assert both
    assert {place: live[place] for place in both} == {place: replayed[place] for place in both}

    part = replay("--from-offset", "10", "--output", tmp_path / "part.jsonl")
    assert part["digests"]["profiles"] == one["digests"]["profiles"]
    assert answers(tmp_path / "part.jsonl") == [answer for answer in said if answer["trigger"]["offset"] >= 10]
    more = replay("--every-event", "--encode")
    assert (more["recommendations"], more["rows"]) == (EVENTS, one["rows"])
    assert more["digests"]["profiles"] == one["digests"]["profiles"]


async def test_it_writes_to_a_topic_of_its_own_only(
    settings: Settings, bootstrap: str, past: Desk, replay: Replays
) -> None:
    before = await state(bootstrap, settings, past.topics)
    target = replace(past.topics.recommendations, name=f"{settings.shop}.experiment")
    made = replay("--to-topic", target.name, "--from-time", "2001-01-01")
    assert sum((await past.ends(target)).values()) + len(await past.ends(target)) == made["recommendations"] > 0
    code, _, err = replay.fails("--to-topic", past.topics.recommendations.name)
    assert (code, "a topic of the live shop" in err) == (2, True)
    plan = replay("--dry-run", "--from-offset", "10", "--until", "11", "--output", "-", "--to-topic", "none")
    assert (plan["speaking_events"], plan["write"]) == (2, ["-", "none"])
    assert plan["read"][past.topics.events.name] == 22
    assert await state(bootstrap, settings, past.topics) == before
    nothing = replay("--until", "2001-01-01")
    assert (nothing["records"], nothing["rows"]) == (0, {"profiles": 0, "trending": 0, "neighbours": 0})
    assert replay("--from-time", "2100-01-01")["recommendations"] == 0


async def test_a_row_that_the_events_do_not_explain_is_found(past: Desk, replay: Replays) -> None:
    await past.put(past.topics.profiles, "a", None)
    code, out, err = replay.fails("--check")
    assert code == 4
    assert "profiles: 3 rows as on the topic, 1 unlike" in out
    assert "not what the events say" in err


async def test_a_place_that_is_none_is_refused(replay: Replays) -> None:
    for options in (
        ("--until", "yesterday"),
        ("--from-time", "noon"),
        ("--from-time", "2001-01-01", "--from-offset", "1"),
    ):
        assert replay.fails(*options)[0] == 2
