"""The programs in examples/ do what they say, against a real broker. The tests play the worker."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.broker import java, maven
from streams.core.events import WEIGHTS
from streams.edge import Limits, accept_event, accept_item, accept_question
from streams.engine.effects import Rejection
from streams.records import Answer, Recommendation, Trigger
from streams.samples import SAMPLES
from streams.settings import Settings
from streams.topics import Topic, Topics, topics

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMITS = Limits(65_536, 262_144, 86_400_000, WEIGHTS)


@dataclass(frozen=True)
class Machine:
    """Runs programs with the environment of the test's shop."""

    environment: dict[str, str]

    def start(self, *command: str | Path) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        return subprocess.Popen(list(map(str, command)), env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *command: str | Path) -> str:
        process = self.start(*command)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return out


@pytest.fixture
def machine(settings: Settings, bootstrap: str) -> Machine:
    return Machine({**os.environ, "KAFKA_BOOTSTRAP_SERVERS": bootstrap, "UPWELL_SHOP": settings.shop})


async def _records(bootstrap: str, topic: Topic, count: int) -> list[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    partitions = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    records: list[Any] = []
    while len(records) < count:
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            records.extend(batch)
    await consumer.stop()
    return records


async def _write(bootstrap: str, topic: Topic, *records: tuple[str, msgspec.Struct]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for key, record in records:
            await producer.send_and_wait(topic.name, msgspec.json.encode(record), key=key.encode())


async def _recommend(bootstrap: str, contract: Topics, *recommendations: Recommendation) -> None:
    await _write(bootstrap, contract.recommendations, *((one.user, one) for one in recommendations))


def _sample() -> Recommendation:
    sample = SAMPLES["recommendation"]
    assert isinstance(sample, Recommendation)
    return sample


async def test_python_producer_sends_what_workers_accept(machine: Machine, shop_topics: Topics, bootstrap: str) -> None:
    out = machine.run(sys.executable, EXAMPLES / "producer.py")
    for name, topic, accept in (
        ("events", shop_topics.events, accept_event),
        ("catalogue", shop_topics.catalogue, accept_item),
    ):
        lines = (EXAMPLES / f"data/{name}.jsonl").read_text().splitlines()
        records = await _records(bootstrap, topic, len(lines))
        assert sorted(record.value.decode() for record in records) == sorted(lines)
        assert not [verdict for record in records if isinstance(verdict := accept(record, LIMITS), Rejection)]
    assert out.startswith("28 records sent")


def test_sample_data_is_one_shop() -> None:
    items = {json.loads(line)["id"] for line in (EXAMPLES / "data/catalogue.jsonl").read_text().splitlines()}
    events = [json.loads(line) for line in (EXAMPLES / "data/events.jsonl").read_text().splitlines()]
    assert {event["item"] for event in events if "item" in event} <= items
    assert len({event["id"] for event in events}) == len(events)


async def test_python_consumer_prints_each_recommendation_once(
    machine: Machine, shop_topics: Topics, bootstrap: str
) -> None:
    first = _sample()
    later = msgspec.structs.replace(
        first, id="0" * 32, trigger=msgspec.structs.replace(first.trigger, offset=first.trigger.offset + 1)
    )
    other = msgspec.structs.replace(first, id="1" * 32, user="u-7")
    # As after a worker's restart: all of it once more, the older one after the newer.
    await _recommend(bootstrap, shop_topics, first, first, later, first, later, other)
    out = machine.run(sys.executable, EXAMPLES / "consumer.py", "--count", "3", "--group", shop_topics.events.name)
    heads = [line.split()[0] for line in out.splitlines() if " after " in line]
    assert sorted(heads) == ["u-1842", "u-1842", "u-7"]
    assert out.count("mallet-rubber") == 3


def test_java_example_speaks_of_the_same_topics() -> None:
    source = (EXAMPLES / "SendAndWait.java").read_text()
    assert {topic.name for topic in topics("shop") if topic.name.removeprefix("shop") in source} == {
        "shop.events.v1",
        "shop.recommendations.v1",
    }


async def _plays_the_worker(command: tuple[str | Path, ...], machine: Machine, contract: Topics, bootstrap: str) -> str:
    """What a program prints that sends one event or question and waits for what it brings about."""
    asks = "ask" in command
    process = machine.start(*command)
    try:
        (record,) = await _records(bootstrap, contract.questions if asks else contract.events, 1)
        if asks:
            accepted = accept_question(record, LIMITS)
            assert not isinstance(accepted, Rejection), accepted.detail
            answer = SAMPLES["answer"]
            assert isinstance(answer, Answer)
            assert (record.key, accepted[1].user) == (b"anna", "anna")
            reply = msgspec.structs.replace(answer, id="1" * 32, question=accepted[1].id, user="anna")
            await _write(bootstrap, contract.answers, ("anna", answer), ("anna", reply))
        else:
            event = accept_event(record, LIMITS)
            assert not isinstance(event, Rejection), event.detail
            trigger = Trigger(
                record.topic, record.partition, record.offset, event.event.id, event.event.type, record.timestamp
            )
            reply = msgspec.structs.replace(_sample(), user="anna", trigger=trigger)
            await _recommend(bootstrap, contract, _sample(), reply)
        out, err = await asyncio.to_thread(process.communicate, timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    return out


EVENT, QUESTION = ("anna", "view", "saw-hand"), ("anna", "ask", "how much is the saw?")


async def test_python_with_the_helper_gets_its_answers(machine: Machine, shop_topics: Topics, bootstrap: str) -> None:
    program = (sys.executable, EXAMPLES / "with_upwell.py")
    out = await _plays_the_worker((*program, *EVENT), machine, shop_topics, bootstrap)
    assert out.splitlines()[0] == "for anna"
    assert "mallet-rubber" in out.splitlines()[1]
    out = await _plays_the_worker((*program, *QUESTION), machine, shop_topics, bootstrap)
    assert out == "Claw hammer, 16 oz, hickory handle: 24.90 EUR.\n"


if shutil.which("npm"):

    @pytest.fixture(scope="module")
    def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The example, with the client that its lock file names."""
        home = tmp_path_factory.mktemp("js") / "js"
        shutil.copytree(EXAMPLES / "js", home, ignore=shutil.ignore_patterns("node_modules"))
        command = ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return home / "send-and-wait.mjs"

    async def test_javascript_example_gets_its_answers(
        javascript: Path, machine: Machine, shop_topics: Topics, bootstrap: str
    ) -> None:
        out = await _plays_the_worker(("node", javascript, *EVENT), machine, shop_topics, bootstrap)
        assert out.splitlines()[0] == "for anna"
        assert "mallet-rubber" in out.splitlines()[1]
        out = await _plays_the_worker(("node", javascript, *QUESTION), machine, shop_topics, bootstrap)
        assert out == "Claw hammer, 16 oz, hickory handle: 24.90 EUR.\n"


def _jdk() -> Path | None:
    """A Java that runs source files, where the jars are there or can be had."""
    found = java.find()
    if found is None or not found.with_name("javac").exists():
        return None
    return found if maven.cached(Settings().cache_dir) or maven.find_maven() else None


if (JDK := _jdk()) is not None:

    async def test_java_example_gets_the_answer_to_its_event(
        machine: Machine, shop_topics: Topics, bootstrap: str, settings: Settings
    ) -> None:
        command = (
            JDK,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            f"{maven.jars(settings.cache_dir, print)}/*",
            EXAMPLES / "SendAndWait.java",
        )
        out = await _plays_the_worker((*command, *EVENT), machine, shop_topics, bootstrap)
        assert out.splitlines()[0] == "for anna"
        assert "mallet-rubber" in out.splitlines()[1]
