"""How a worker comes, goes and gives up: membership, an orderly end, a stuck loop, a producer broken for good."""

import asyncio
import subprocess
import sys
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession, ClientTimeout

from streams.engine.app import EngineApp
from streams.engine.effects import Output
from streams.engine.publisher import Publisher, PublishError
from streams.health import Health
from streams.settings import Settings
from streams.watchdog import EXIT_STUCK
from streams.web.probes import probes
from tests.brokers import until
from tests.faults.counting_worker import counting_app
from tests.faults.harness import PARTITIONS, Shop, Shops
from tests.faults.processes import PATIENCE_S

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

STUCK = """
import asyncio, time
from streams import watchdog
watchdog.LOOP_TIMEOUT_S = 1.0
async def main():
    guard = asyncio.create_task(watchdog.guard_loop())
    await asyncio.sleep(0.1)
    time.sleep(60)
asyncio.run(main())
"""


def app_of(shop: Shop, name: str, instance_id: str | None = None) -> EngineApp:
    return counting_app(shop.bootstrap, shop.name, PARTITIONS, shop.directory / name, instance_id)


async def settled(*apps: EngineApp) -> None:
    """Wait until they share the partitions and none of them rebalances."""

    async def all_assigned() -> bool:
        held = [app.positions() for app in apps]
        return sum(map(len, held)) == PARTITIONS and all(held) and not any(app.rebalancing for app in apps)

    await until(all_assigned, PATIENCE_S)


@pytest.mark.parametrize("static", [True, False])
async def test_only_a_static_member_comes_back_without_a_rebalance(shops: Shops[Shop], static: bool) -> None:
    shop = await shops()
    async with AsyncExitStack() as stack:
        stays = app_of(shop, "stays", "stays" if static else None)
        goes = app_of(shop, "goes", "goes" if static else None)
        for app in (stays, goes):
            await app.start()
            stack.push_async_callback(app.stop)
        await settled(stays, goes)
        generation, held = stays.consumer_generation_id, stays.positions().keys()
        await goes.stop()
        back = app_of(shop, "goes", "goes" if static else None)
        await back.start()
        stack.push_async_callback(back.stop)
        await settled(stays, back)
        assert (stays.consumer_generation_id == generation) is static
        if static:
            assert stays.positions().keys() == held


async def test_whoever_stops_in_good_order_has_committed_and_left(shops: Shops[Shop], seed: int) -> None:
    """And whoever is killed is a member for as long as its session lasts."""
    shop = await shops()
    leaves, dies = shop.worker("leaves").start(), shop.worker("dies").start()
    await shop.joined(2)
    await shop.produce(1_000, seed=seed)
    await shop.caught_up()
    await leaves.stop()
    assert await shop.members(shop.role.name) == 1
    await shop.caught_up()
    dies.kill()
    assert await shop.members(shop.role.name) == 1


def test_a_session_lasts_ten_seconds_unless_told_otherwise() -> None:
    assert Settings().session_timeout_s == 10.0


async def test_a_stuck_loop_does_not_answer_liveness() -> None:
    """A kubelet's probe times out: the answer is the loop's own."""
    stuck, free, serving = threading.Event(), threading.Event(), threading.Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        async with probes(Health(), 0) as port:
            serving.set()
            await asyncio.to_thread(stuck.wait)
            free.wait()  # on the loop, on purpose
            serving.clear()

    async def ask_on(session: ClientSession) -> None:
        while True:
            async with session.get(f"http://127.0.0.1:{port}/livez") as answer:
                assert answer.status == 200

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    await asyncio.to_thread(serving.wait)
    try:
        async with ClientSession(timeout=ClientTimeout(total=1.0)) as session:
            asking = asyncio.create_task(ask_on(session))
            await asyncio.wait([asking], timeout=0.2)
            assert not asking.done(), "it answers while its loop turns"
            stuck.set()
            with pytest.raises(TimeoutError):
                await asking
    finally:
        stuck.set()
        free.set()
        await asyncio.to_thread(thread.join)


def test_a_stuck_loop_ends_its_process(tmp_path: Path) -> None:
    """Long before anybody's patience: an event loop that sleeps for a minute, a guard of a second."""
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == EXIT_STUCK, done.stderr
    assert "the event loop did not turn for 1 s: ending" in done.stderr


async def test_a_producer_that_is_broken_for_good_is_made_anew(shops: Shops[Shop]) -> None:
    shop = await shops()
    publisher = Publisher({"bootstrap_servers": shop.bootstrap})
    record = Output(shop.out, b"key", b"value", 0)
    assert await publisher.publish([record]) == {(shop.out, 0): 0}
    broken = publisher._producer
    assert broken is not None
    await broken.stop()  # whatever it was: this one sends nothing any more
    with pytest.raises(PublishError):
        await publisher.publish([record])
    assert await publisher.publish([record]) == {(shop.out, 0): 1}
    assert publisher._producer is not broken
    await publisher.stop()
