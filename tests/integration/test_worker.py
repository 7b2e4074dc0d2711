"""A worker as its operator meets it: probes, signals, missing topics, a stall."""

import asyncio
import signal
from collections.abc import Mapping

import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaProducer

from streams.broker.probe import free_port
from streams.engine.stats import Stats
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics
from streams.watchdog import StalledError, watch
from tests.integration.shopkeeper import desk, worker
from tests.integration.upwell import upwell


async def test_it_is_ready_counts_and_leaves_on_sigterm(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    port = free_port("127.0.0.1")
    async with (
        worker(settings, bootstrap, UPWELL_PROBE_PORT=str(port), UPWELL_INSTANCE="one"),
        desk(shop_topics, bootstrap) as shop,
        ClientSession(f"http://127.0.0.1:{port}") as http,
    ):
        await shop.put(shop_topics.events, "anna", b"{")
        event = {"id": "e1", "type": "search", "query": "tea", "time": 1, "user": "anna"}
        await shop.put(shop_topics.events, "anna", event)
        answer = await shop.answer("anna", "e1")
        assert answer.stage == "popularity"
        async with http.get("/readyz") as ready:
            assert ready.status == 200
        async with http.get("/metrics") as metrics:
            text = await metrics.text()
        assert 'upwell_records_total{role="profiles"} 2.0' in text
        assert 'upwell_rejected_total{reason="undecodable",role="profiles"} 1.0' in text


async def test_a_signal_while_it_starts_ends_it(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    async with worker(settings, bootstrap, until="role runs") as process:
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_without_topics_it_says_what_to_do(settings: Settings, bootstrap: str) -> None:
    with pytest.raises(AssertionError, match="upwell topics create"):
        async with worker(settings, bootstrap):
            raise AssertionError("it started")


async def test_a_second_one_in_the_same_directory_says_so_and_leaves(
    settings: Settings, bootstrap: str, shop_topics: Topics
) -> None:
    async with worker(settings, bootstrap) as first:
        code, out, err = await asyncio.to_thread(upwell, settings, bootstrap, "worker", "--roles", "encoder")
        assert (code, out) == (5, "")
        assert err.splitlines() == [
            f"Error: another worker (process {first.pid}) has {settings.data_dir}: "
            "give each worker an UPWELL_DATA_DIR of its own"
        ]
        assert first.returncode is None


class Deaf:
    """A role that is assigned everything and reads nothing."""

    def __init__(self, source: str, consumes: bool) -> None:
        self.stats = Stats("deaf")
        self.source = source
        self._consumes = consumes

    def positions(self) -> Mapping[int, int]:
        if self._consumes:
            self.stats.records += 1
        return {0: 0, 1: 0}


@pytest.mark.parametrize("consumes", [False, True])
async def test_a_role_that_reads_nothing_while_its_log_grows_is_found(
    bootstrap: str, kafka: KafkaSettings, shop_topics: Topics, consumes: bool
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    watching = asyncio.create_task(watch(Deaf(shop_topics.events.name, consumes), bootstrap, kafka, 1.0))
    try:
        for number in range(30):
            await producer.send_and_wait(shop_topics.events.name, b"{}", partition=number % 2)
            await asyncio.sleep(0.1)
        if consumes:
            assert not watching.done()
        else:
            with pytest.raises(StalledError, match=r"the deaf role consumed nothing for 1 s while .* grew"):
                await watching
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await producer.stop()
