"""`upwell demo` as its users start it: to the end of its time, stopped in the middle, and with a worker that dies."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.admin import live_topics
from streams.broker.discover import find
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics

SMALL = ("--households", "10", "--products", "400", "--json")
WAIT_S = 150.0


class Demo:
    """A running `upwell demo`, its directories under one of the test's own."""

    def __init__(self, home: Path, *options: str, **environment: str) -> None:
        self.home = home
        self._err = (home / "stderr").open("w+")
        told = {"UPWELL_MODEL": "hashing", "UPWELL_DATA_DIR": str(home / "data"), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from streams.cli import main; main(prog_name='upwell')", "demo", *options],
            env={**os.environ, **told},
            stdout=subprocess.PIPE,
            stderr=self._err,
            text=True,
        )

    @property
    def told(self) -> str:
        """What it has written to stderr."""
        return (self.home / "stderr").read_text()

    def until(self, there: Callable[[], Any]) -> Any:
        """Wait for something to be true, and return it."""
        deadline = time.monotonic() + WAIT_S
        while not (found := there()):
            assert self.process.poll() is None, self.told
            assert time.monotonic() < deadline, self.told
            time.sleep(0.1)
        return found

    def ended(self) -> str:
        """Wait for its end; what it wrote to stdout."""
        out, _ = self.process.communicate(timeout=WAIT_S)
        self._err.close()
        return out

    def processes(self) -> list[int]:
        """Every process that this demo started or is, by what they all inherit."""
        mark = str(self.home / "data").encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                mine = mark in (entry / "environ").read_bytes()
                ended = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            except OSError:  # gone meanwhile, or not ours to look at
                continue
            if mine and not ended:
                found.append(int(entry.name))
        return found

    def workers(self) -> list[int]:
        """Of these, the worker."""
        return [pid for pid in self.processes() if b"\0worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def left(self) -> list[Path]:
        """What is left of its runs on disk."""
        return sorted((self.home / "data" / "demo").glob("*"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    demos: list[Demo] = []

    def begin(*options: str, **environment: str) -> Demo:
        demos.append(Demo(tmp_path, *options, **environment))
        return demos[-1]

    yield begin
    for demo in demos:
        for pid in demo.processes():
            os.kill(pid, signal.SIGKILL)
        demo.process.communicate()


async def names(bootstrap: str, shop: str) -> set[str]:
    return set(await live_topics(bootstrap, KafkaSettings(), [topic.name for topic in contract(shop)]))


def contract(shop: str) -> Topics:
    from streams.topics import topics

    return topics(shop)


def test_it_runs_to_the_end_of_its_time_on_its_own_broker(start: Callable[..., Demo]) -> None:
    demo = start("--for", "4", *SMALL)
    lines = demo.ended().splitlines()
    assert demo.process.returncode == 0, demo.told
    result = json.loads(lines[-1])
    assert len(lines) == 1
    assert 780 <= result["events"] <= 900  # 200 a second; the last basket is sent whole
    assert 0 < result["recommendations"] <= result["events"]
    assert 0 < result["items"] <= 400
    assert 0 < result["p50_ms"] <= result["p99_ms"]
    assert 0 < result["targets"] < result["events"]
    assert 0 < result["popularity_hit_rate_20"] < 1
    assert 0 < result["hit_rate_20"] < 1
    assert result["households"] == 10
    assert not result["interrupted"]
    assert result["broker"] in ("apache-kafka", "noida-db", "cluster")
    assert "products are searchable" in demo.told
    assert "\x1b" not in demo.told
    assert demo.processes() == []
    assert demo.left() == []


def test_ctrl_c_ends_it_with_the_summary_so_far(start: Callable[..., Demo], bootstrap: str) -> None:
    demo = start("--rate", "50", *SMALL, KAFKA_BOOTSTRAP_SERVERS=bootstrap)
    demo.until(lambda: "events (" in demo.told)
    demo.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    demo.process.send_signal(signal.SIGINT)
    result = json.loads(demo.ended().splitlines()[-1])
    assert demo.process.returncode == 0, demo.told
    assert result["interrupted"]
    assert result["broker"] == "cluster"
    assert 0 < result["recommendations"] <= result["events"]
    assert demo.processes() == []
    assert demo.left() == []
    assert asyncio.run(names(bootstrap, result["shop"])) == set()  # on a cluster that stays, its topics go


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_set_up_ends_it(start: Callable[..., Demo], bootstrap: str, number: int) -> None:
    demo = start(*SMALL, KAFKA_BOOTSTRAP_SERVERS=bootstrap)
    demo.until(lambda: "The worker's log" in demo.told)
    demo.process.send_signal(number)
    result = json.loads(demo.ended().splitlines()[-1])
    assert demo.process.returncode == 128 + number, demo.told
    assert (result["interrupted"], result["events"], result["hit_rate_20"]) == (True, 0, None)
    assert demo.processes() == []
    assert demo.left() == []


def test_a_worker_that_dies_ends_it_with_its_last_words(start: Callable[..., Demo], bootstrap: str) -> None:
    demo = start("--rate", "50", *SMALL, KAFKA_BOOTSTRAP_SERVERS=bootstrap)
    demo.until(lambda: "events (" in demo.told)
    (worker,) = demo.workers()
    os.kill(worker, signal.SIGKILL)
    assert demo.ended() == ""
    assert demo.process.returncode == 1
    assert "the worker ended by itself" in demo.told
    (run,) = demo.left()
    assert (run / "worker.log").exists()  # kept, to be read
    assert demo.processes() == []


def test_a_broker_that_dies_ends_it_soon(start: Callable[..., Demo], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    demo = start("--rate", "50", *SMALL)
    demo.until(lambda: "events (" in demo.told)
    (place,) = demo.left()
    broker = find(Settings(data_dir=place), KafkaSettings())
    assert broker is not None
    assert broker.process is not None
    broker.process.kill()
    assert demo.ended() == ""
    assert demo.process.returncode == 3
    assert f"{broker.kind.value} ended by itself" in demo.told
    assert demo.processes() == []


async def test_it_only_sends_the_data_where_it_is_told_to(
    start: Callable[..., Demo], settings: Settings, shop_topics: Topics, bootstrap: str
) -> None:
    told = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_SHOP": settings.shop,
        "UPWELL_PARTITIONS": str(settings.partitions),
    }
    demo = start("--produce-only", "--rate", "2000", "--for", "1", *SMALL, **told)
    result = json.loads((await asyncio.to_thread(demo.ended)).splitlines()[-1])
    assert demo.process.returncode == 0, demo.told
    assert await held(bootstrap, shop_topics.catalogue.name, settings.partitions) == result["items"]
    assert await held(bootstrap, shop_topics.events.name, settings.partitions) == result["events"] > 0


async def held(bootstrap: str, topic: str, partitions: int) -> int:
    """How many records a topic holds."""
    from streams.follow import Start, offsets, reader

    async with reader(bootstrap, KafkaSettings()) as consumer:
        return sum((await offsets(consumer, topic, partitions, Start.LATEST)).values())


def test_nobody_of_that_name(start: Callable[..., Demo]) -> None:
    demo = start("--follow", "household-0", *SMALL)
    assert demo.ended() == ""
    assert demo.process.returncode == 2
    assert "--follow" in demo.told
    assert demo.left() == []
