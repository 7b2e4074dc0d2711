"""A broker that takes connections and answers nothing: who says so, who goes on, and that it passes."""

import pytest
from aiohttp import ClientSession

from streams.admin import create_topics
from streams.broker.probe import free_port
from streams.settings import KafkaSettings, Settings
from streams.topics import topics
from tests.brokers import PrivateBroker, until
from tests.integration.shopkeeper import worker
from tests.integration.test_serve import served

pytestmark = pytest.mark.broker


async def test_a_worker_is_not_ready_while_its_broker_is_silent_and_serving_goes_on(
    settings: Settings, kafka: KafkaSettings, private_broker: PrivateBroker
) -> None:
    await create_topics(private_broker.bootstrap, kafka, topics(settings.shop, settings.partitions), 1)
    port = free_port("127.0.0.1")
    async with (
        worker(settings, private_broker.bootstrap, UPWELL_PROBE_PORT=str(port)),
        served(settings, private_broker.bootstrap) as shop,
        ClientSession(f"http://127.0.0.1:{port}") as probes,
    ):

        async def ready() -> bool:
            async with probes.get("/readyz") as answer:
                return answer.status == 200

        async def silent() -> bool:
            async with probes.get("/readyz") as answer:
                return answer.status == 503 and "kafka" in (await answer.json())["troubles"]

        await until(ready)
        with private_broker.stalled():
            await until(silent, 60)
            for path in ("/readyz", "/v1/trending"):
                async with shop.get(path) as answer:
                    assert answer.status == 200
        await until(ready, 60)
