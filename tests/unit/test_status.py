"""How a status is shown, and what is derived in it."""

import json
import os
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from aiokafka.errors import NodeNotReadyError
from rich.console import Console

from streams.cli.status import ago, shown, to_json, watched
from streams.status import Group, Lag, Member, Snapshot, Status, TopicSize
from streams.status.look import snapshot, sources
from streams.topics import topics
from streams.worker import Role

NOW = 1_700_000_000_000
PROFILES = Group(
    role="profiles",
    name="shop.upwell.profiles",
    state="Stable",
    sources=["shop.events.v1", "shop.merges.v1"],
    members=[Member("faust", "/10.0.0.2", [0, 1]), Member("faust", "/10.0.0.3", [])],
    lags=[
        Lag(topic="shop.events.v1", partition=0, committed=10, end=17, records=7, seconds=3.25, watermark=NOW - 5_000),
        Lag(topic="shop.events.v1", partition=1, committed=None, end=2, records=2, seconds=12.5, watermark=None),
    ],
)
STATUS = Status(
    shop="shop",
    bootstrap="kafka:9092",
    time=NOW,
    groups=[PROFILES, Group("encoder", "shop.upwell.encoder", "Empty", ["shop.catalogue.v1"], [], [])],
    topics=[TopicSize("shop.events.v1", True, 2, 19, 2_500_000), TopicSize("shop.dlq.v1", False, 0, 0, None)],
    newest=NOW - 1_500,
    refused={"invalid": 1_200},
    snapshots=[Snapshot("/data/index/3", 7_300.0)],
)


def text(status: Status) -> str:
    console = Console(file=StringIO(), width=160)
    console.print(shown(status))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_group_is_as_far_behind_as_its_slowest_partition() -> None:
    assert (PROFILES.records, PROFILES.seconds, PROFILES.watermark) == (9, 12.5, NOW - 5_000)
    idle = replace(PROFILES, lags=[])
    assert (idle.records, idle.seconds, idle.watermark) == (0, 0.0, None)


def test_a_role_is_missed_only_where_it_ran() -> None:
    away = replace(PROFILES, members=[])
    never = replace(away, lags=[replace(lag, committed=None) for lag in away.lags])
    assert [group.started for group in (PROFILES, away, replace(never, members=PROFILES.members), never)] == [
        True, True, True, False,
    ]  # fmt: skip
    missed, unwanted = text(replace(STATUS, groups=[away])), text(replace(STATUS, groups=[never]))
    assert (" 9 " in missed, "not running" in missed) == (True, False)
    assert (" 9 " in unwanted, "not running" in unwanted) == (False, True)


async def test_watching_goes_on_through_an_outage_but_needs_a_beginning() -> None:
    told: list[Status | Exception] = [STATUS, NodeNotReadyError(), TimeoutError(), STATUS]

    async def now() -> Status:
        if isinstance(seen := told.pop(0), Exception):
            raise seen
        return seen

    watching = watched(now, 0.0)
    first, *away, back = [await anext(watching) for _ in range(4)]
    assert (first, back) == (STATUS, STATUS)
    assert ["NodeNotReadyError" in str(away[0]), "TimeoutError" in str(away[1])] == [True, True]
    await watching.aclose()
    told.append(NodeNotReadyError())
    with pytest.raises(NodeNotReadyError):
        await anext(watched(now, 0.0))


def test_people_see_roles_topics_and_what_was_refused() -> None:
    shown = text(STATUS)
    row = next(line for line in shown.splitlines() if "profiles" in line)
    assert all(part in row for part in (" 2 ", " 9 ", "12.5 s", "5.0 s ago", "10.0.0.2: 0 1; 10.0.0.3: –"))
    encoder = next(line for line in shown.splitlines() if "encoder" in line)
    assert ("not running" in encoder, "not running" in row) == (True, False)
    assert "missing" in next(line for line in shown.splitlines() if "shop.dlq.v1" in line)
    assert "2.5" in next(line for line in shown.splitlines() if "shop.events.v1" in line)
    assert "newest event: 1.5 s ago" in shown
    assert "refused: invalid 1,200" in shown
    assert "snapshot /data/index/3: 2 h ago" in shown


def test_machines_see_what_is_derived_too() -> None:
    told = json.loads(to_json(STATUS))
    profiles, encoder = told["groups"]
    assert (profiles["records"], profiles["seconds"], profiles["watermark_age"]) == (9, 12.5, 5.0)
    assert profiles["lags"][1]["committed"] is None
    assert profiles["members"][0]["partitions"] == [0, 1]
    assert (encoder["watermark"], encoder["watermark_age"]) == (None, None)
    assert (profiles["started"], encoder["started"]) == (True, False)
    assert told["newest_event_age"] == 1.5


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0.04, "0.0 s ago"),
        (119, "119.0 s ago"),
        (120, "2 min ago"),
        (7_200, "2 h ago"),
        (172_800, "2 d ago"),
    ],
)
def test_ages_in_words(seconds: float | None, words: str) -> None:
    assert ago(seconds) == words


def test_the_newest_snapshot_counts_by_number(tmp_path: Path) -> None:
    assert snapshot(tmp_path / "index") is None
    for name in ("9", "10", "building"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "10", (0, 0))
    found = snapshot(tmp_path)
    assert found is not None
    assert found.path == str(tmp_path / "10")
    assert found.age > 1e9


def test_every_role_of_a_worker_is_looked_at() -> None:
    assert list(sources(topics())) == [role.value for role in Role]
