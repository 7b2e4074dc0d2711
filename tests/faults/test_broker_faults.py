"""A broker that dies or stalls under load: nothing is lost, and no worker of ours is restarted for it."""

import asyncio
import random

import pytest

from tests.brokers import PrivateBroker
from tests.faults.harness import SEED, Scenario, Shop, Shops, assert_goes_wrong
from tests.faults.processes import EndedError, StuckError
from tests.faults.without import Protection

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

BACKLOG = 20_000
"""Records that wait for a worker: it is publishing when the broker goes."""


def restarted(broker: PrivateBroker) -> Scenario[Shop]:
    """The broker dies under load, and is away for longer than a request may take."""

    async def scenario(shop: Shop, seed: int) -> None:
        rng = random.Random(seed)
        worker = shop.worker("a")
        async with shop.load(seed, backlog=BACKLOG):
            worker.start()
            await shop.progress()
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            broker.kill()
            shop.note("broker kills")
            await asyncio.sleep(rng.uniform(3.0, 4.0))
            broker.start()
            await shop.progress()
        await shop.caught_up()
        await worker.stop()
        await shop.assert_exact(worker)

    return scenario


def stalled(broker: PrivateBroker) -> Scenario[Shop]:
    """The broker stalls, the worker is killed and loses its disk.

    Each key is written once: what was in no changelog yet must not have been acknowledged either.
    """

    async def scenario(shop: Shop, seed: int) -> None:
        rng = random.Random(seed)
        worker = shop.worker("a", static=True)
        async with shop.load(seed, backlog=BACKLOG, once=True):
            worker.start()
            await shop.progress()
            for _ in range(2):
                await asyncio.sleep(rng.uniform(0.0, 0.3))
                shop.note("broker stalls")
                with broker.stalled():
                    await asyncio.sleep(rng.uniform(1.2, 1.8))
                    worker.kill(lose_disk=True)
                worker.start()
                await shop.progress()
        await shop.caught_up()
        await worker.stop()
        await shop.assert_exact(worker)

    return scenario


def died_together(broker: PrivateBroker) -> Scenario[Shop]:
    """The broker dies, the worker too before it is back; when all is done, the disk is lost.

    What only the store had must have come to the changelog after all.
    """

    async def scenario(shop: Shop, seed: int) -> None:
        rng = random.Random(seed)
        worker = shop.worker("a", static=True)
        async with shop.load(seed, backlog=BACKLOG, once=True):
            worker.start()
            await shop.progress()
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            broker.kill()
            shop.note("broker kills")
            await asyncio.sleep(rng.uniform(0.2, 0.8))
            worker.kill()
            broker.start()
            worker.start()
            await shop.progress()
        await shop.caught_up()
        await worker.stop()
        worker.lose_disk()
        worker.start()
        await shop.produce(1, seed=seed)
        await shop.caught_up()
        await worker.stop()
        await shop.assert_exact(worker)

    return scenario


async def test_broker_restarted_under_load(own_shops: Shops[Shop], private_broker: PrivateBroker, seed: int) -> None:
    await restarted(private_broker)(await own_shops(), seed)


async def test_restarted_without_patience(own_shops: Shops[Shop], private_broker: PrivateBroker) -> None:
    # It ends by an error, or is stuck in ending where the broker is away for too long.
    wrong = EndedError, StuckError
    await assert_goes_wrong(restarted(private_broker), own_shops, Protection.PATIENCE, how=wrong)


async def test_broker_stalled_worker_killed_disk_lost(
    own_shops: Shops[Shop], private_broker: PrivateBroker, seed: int
) -> None:
    await stalled(private_broker)(await own_shops(), seed)


async def test_stalled_without_acknowledgement(own_shops: Shops[Shop], private_broker: PrivateBroker) -> None:
    await assert_goes_wrong(stalled(private_broker), own_shops, Protection.ACKNOWLEDGEMENT)


async def test_broker_and_worker_died_together(
    own_shops: Shops[Shop], private_broker: PrivateBroker, seed: int
) -> None:
    await died_together(private_broker)(await own_shops(), seed)


@pytest.mark.long
async def test_died_together_without_changelog_first(own_shops: Shops[Shop], private_broker: PrivateBroker) -> None:
    """A store that is ahead of its changelog is mended: a duplicate's row is put again."""
    await died_together(private_broker)(await own_shops(without=[Protection.CHANGELOG_FIRST]), SEED)


async def test_died_together_without_putting_again(own_shops: Shops[Shop], private_broker: PrivateBroker) -> None:
    scenario = died_together(private_broker)
    await assert_goes_wrong(scenario, own_shops, Protection.CHANGELOG_FIRST, Protection.PUT_AGAIN)
