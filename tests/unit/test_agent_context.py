"""The profiles agent in Faust's own test harness: no broker, what is published ends up in a list."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from streams.engine.app import EngineApp, Role, build_app
from streams.engine.commit import Committer
from streams.engine.consumer import Delivery
from streams.engine.effects import Batch, Output, Row
from streams.engine.publisher import PublishError
from streams.settings import KafkaSettings, Settings
from tests.unit.records import FakeRecord, event
from tests.unit.shop import TOPICS, Shop


class DictTable:
    """A table in a dict that notes when it is written."""

    def __init__(self, changelog: str, happened: list[str]) -> None:
        self.changelog = changelog
        self._rows: dict[bytes, bytes | None] = {}
        self._happened = happened

    def get(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self._rows.get(key) for key in keys]

    def write(self, partition: int, rows: Sequence[Row], changelog_offset: int) -> None:
        self._rows.update(rows)
        self._happened.append("store")


class Harness:
    """The app of the profiles role, its publisher and tables replaced; `happened` is what it did, in order."""

    def __init__(self, directory: Path, failures: int = 0) -> None:
        self.happened: list[str] = []
        self._failures = failures
        topics = TOPICS.trending, TOPICS.erasures, TOPICS.profiles
        role = Role("profiles", TOPICS.events, topics, TOPICS.dlq, Shop().profiles)
        settings = Settings(partitions=1, data_dir=directory)
        self.app: EngineApp = build_app(role, settings, KafkaSettings(), "127.0.0.1:1", store="memory://")
        tables = {str(topic.table): DictTable(topic.name, self.happened) for topic in topics}
        self.app.committer = Committer(
            role.handler, tables, TOPICS.dlq.name, self.publish, self.app.stats, pause=lambda _: asyncio.sleep(0)
        )
        self.app.flow_control.resume()

    async def publish(self, records: Sequence[Output], /) -> dict[tuple[str, int], int]:
        if self._failures:
            self._failures -= 1
            raise PublishError("Kafka did not acknowledge")
        self.happened.extend(dict.fromkeys(record.topic for record in records))
        return {(record.topic, record.partition or 0): 0 for record in records}

    async def put(self, records: Sequence[FakeRecord], epoch: int | None = None) -> bool:
        """Hand a batch to the agent; whether it was acknowledged."""
        (agent,) = self.app.agents.values()
        async with agent.test_context() as context:
            epoch = self.app.consumer.epoch if epoch is None else epoch
            sent = await context.put(Delivery(Batch(TOPICS.events.name, 0, records), epoch))
            async with asyncio.timeout(10):
                while not (sent.message.acked or self.app.stats.abandoned):  # noqa: ASYNC110 - Faust gives no event
                    await asyncio.sleep(0)
        self.app.consumer._thread.thread_loop.close()  # made for a thread that is never started here
        return bool(sent.message.acked)


async def test_a_batch_is_acknowledged_after_its_effects_in_their_order(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    assert await harness.put([event(0), FakeRecord(b"anna", b"}", 1), event(2, user="bert")])
    assert harness.happened == [
        "shop.dlq.v1", "shop.trending.v1", "shop.pairs.v1", "shop.sessions.v1", "shop.recommendations.v1",
        "shop.profiles.v1", "store", "store",
    ]  # fmt: skip
    assert (harness.app.stats.records, harness.app.stats.outputs) == (3, 4)


async def test_a_batch_of_an_earlier_epoch_is_neither_handled_nor_acknowledged(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    assert not await harness.put([event(0)], epoch=-1)
    assert harness.happened == []
    assert harness.app.stats.abandoned == 1


@pytest.mark.parametrize("failures", [1, 5])
async def test_broker_trouble_is_waited_out(tmp_path: Path, failures: int) -> None:
    harness = Harness(tmp_path, failures)
    assert await harness.put([event(0)])
    assert harness.happened[-3:] == ["shop.profiles.v1", "store", "store"]
    assert harness.app.stats.retries == failures
    assert harness.app.stats.healthy
