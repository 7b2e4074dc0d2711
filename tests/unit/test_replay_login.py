"""A login in a replay: in one process, what moves comes to the user's partition right behind the batch."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from streams import codecs
from streams.core.policy import Policy
from streams.engine.effects import Output
from streams.partitioning import partition_of
from streams.replay import Replay
from streams.topics import topics
from tests.unit.records import LIMITS, NOW, FakeRecord

CONTRACT = topics("shop", partitions=3)
HOME = partition_of("anna", 3)
COOKIE = next(name for number in range(99) if partition_of(name := f"cookie-{number}", 3) != HOME)
AWAY = partition_of(COOKIE, 3)


def record(number: int, key: str, kind: str, offset: int, **more: Any) -> FakeRecord:
    who = "user" if key == "anna" else "anonymous_id"
    body = {"id": f"e{number}", "type": kind, "time": NOW + number, who: key, **more}
    place = HOME if key == "anna" else AWAY
    return FakeRecord(key.encode(), json.dumps(body).encode(), offset, CONTRACT.events.name, place, NOW + number)


LOG = [
    record(0, COOKIE, "view", 0, item="milk"),
    record(1, "anna", "view", 0, item="bread"),
    record(2, COOKIE, "login", 1, **{"as": "anna"}),
    record(3, COOKIE, "view", 2, item="cheese"),
    record(4, "anna", "view", 1, item="milk"),
]


async def replayed() -> tuple[Replay, list[dict[str, Any]]]:
    said: list[dict[str, Any]] = []

    async def sink(output: Output) -> None:
        said.append(json.loads(output.value or b"null"))

    async def units() -> AsyncIterator[list[FakeRecord]]:
        for one in LOG:
            yield [one]

    replay = Replay(CONTRACT, Policy(), replace(LIMITS, partitions=3), sink)
    await replay.run(units(), lambda last: True)
    return replay, said


async def test_what_was_before_counts_for_the_user() -> None:
    replay, said = await replayed()
    rows = replay.tables["profiles"].rows()
    (found,) = codecs.wholes(rows, "anna").values()
    assert [interaction.item for interaction in found.recent] == ["milk", "bread", "cheese", "milk"]
    told = [(one["user"], one["trigger"]["type"], one["trigger"]["event"]) for one in said]
    assert told == [
        (COOKIE, "view", "e0"), ("anna", "view", "e1"),
        (COOKIE, "login", "e2"), ("anna", "login", "e2"),
        (COOKIE, "view", "e3"), ("anna", "view", "e3"),
        ("anna", "view", "e4"),
    ]  # fmt: skip


async def test_twice_gives_the_same() -> None:
    once, twice = [await replayed() for _ in range(2)]
    assert once[0].digests() == twice[0].digests()
    assert once[1] == twice[1]
