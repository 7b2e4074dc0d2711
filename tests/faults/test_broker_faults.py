"""A broker that dies or stalls under load: nothing is lost, and no worker of ours is restarted for it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import PrivateBroker
from tests.faults.harness import Shop, Worker

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]


@pytest.fixture
async def own(private_broker: PrivateBroker, shop: str, tmp_path: Path) -> Shop:
    """Topics of the counting role on a broker of this test's own."""
    return await Shop(private_broker.bootstrap, shop, tmp_path).create()


async def test_broker_restarted_under_load(
    own: Shop, private_broker: PrivateBroker, started: Callable[[Worker], Worker]
) -> None:
    worker = started(own.worker("a"))
    async with own.load():
        await own.progress()
        private_broker.kill()
        await asyncio.sleep(3.0)
        private_broker.start()
        await own.progress()
    await own.caught_up()
    await worker.stop()
    await own.assert_exact(worker)


async def test_broker_stalled_worker_killed_disk_lost(
    own: Shop, private_broker: PrivateBroker, started: Callable[[Worker], Worker]
) -> None:
    """Each key is written once: what was in no changelog yet must not have been acknowledged either."""
    worker = started(own.worker("a", static=True))
    async with own.load(per_second=400, once=True):
        await own.progress()
        for _ in range(3):
            await asyncio.sleep(0.5)
            with private_broker.stalled():
                await asyncio.sleep(1.0)
                worker.kill()
                worker.lose_disk()
            worker.start()
            await own.progress()
    await own.caught_up()
    await worker.stop()
    await own.assert_exact(worker)
