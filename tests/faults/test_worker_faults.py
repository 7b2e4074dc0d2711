"""Workers that die, lose their disk, come and go under load: every row is what the log says, nothing more or less."""

import asyncio
import random
import signal
from collections.abc import Callable

import pytest

from tests.faults.counting import POISON
from tests.faults.counting_worker import SESSION_S
from tests.faults.harness import ROUNDS, SEED, Shop, Worker

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

Start = Callable[[Worker], Worker]
SEEDS = [SEED + n for n in range(ROUNDS)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lose_disk", [False, True], ids=["disk-kept", "disk-lost"])
async def test_killed_under_load(counting: Shop, started: Start, lose_disk: bool, seed: int) -> None:
    rng = random.Random(seed)
    worker = started(counting.worker("a", static=True))
    async with counting.load(seed=seed, poison_every=1_999):
        for _ in range(3):
            await counting.progress()
            await asyncio.sleep(rng.uniform(0.0, 0.8))
            worker.kill()
            if lose_disk:
                worker.lose_disk()
            worker.start()
        await counting.progress()
    await counting.caught_up()
    await worker.stop()
    await counting.assert_exact(worker)


@pytest.mark.parametrize("seed", SEEDS)
async def test_three_workers_killed_in_turn(counting: Shop, started: Start, seed: int) -> None:
    rng = random.Random(seed)
    workers = [started(counting.worker(name, static=True)) for name in ("a", "b", "c")]
    async with counting.load(seed=seed):
        await counting.progress()
        for _ in range(7):
            victim = rng.choice(workers)
            victim.kill()
            if rng.random() < 0.3:
                victim.lose_disk()
            victim.start()
            await asyncio.sleep(rng.uniform(0.5, 2.5))
        await counting.progress()
    await counting.caught_up()
    for worker in workers:
        await worker.stop()
    await counting.assert_exact()


@pytest.mark.parametrize("seed", SEEDS)
async def test_second_worker_joins_and_leaves_under_load(counting: Shop, started: Start, seed: int) -> None:
    rng = random.Random(seed)
    first, second = started(counting.worker("a")), started(counting.worker("b"))
    async with counting.load(seed=seed):
        await counting.progress()
        for _ in range(2):
            await asyncio.sleep(rng.uniform(2.0, 4.0))
            await second.stop()
            await asyncio.sleep(rng.uniform(0.5, 2.0))
            second.start()
        await asyncio.sleep(3.0)
    await counting.caught_up()
    await first.stop()
    await second.stop()
    await counting.assert_exact()


@pytest.mark.parametrize("seed", SEEDS)
async def test_worker_frozen_beyond_its_session(counting: Shop, started: Start, seed: int) -> None:
    """It comes back as a zombie, in the middle of whatever it did, after another has taken its partitions."""
    zombie, heir = started(counting.worker("a")), started(counting.worker("b"))
    async with counting.load(per_second=600, seed=seed):
        await counting.progress()
        await asyncio.sleep(random.Random(seed).uniform(2.0, 4.0))
        zombie.signal(signal.SIGSTOP)
        await asyncio.sleep(SESSION_S + 1.0)
        await counting.progress()
        zombie.signal(signal.SIGCONT)
        await asyncio.sleep(3.0)
    await counting.caught_up()
    await zombie.stop()
    await heir.stop()
    await counting.assert_exact()
    heir.lose_disk()
    heir.start()
    await counting.produce(10, seed=seed)
    await counting.caught_up()
    await heir.stop()
    await counting.assert_exact(heir)


async def test_poison_goes_to_the_dead_letters_alone(counting: Shop, started: Start) -> None:
    worker = started(counting.worker("a"))
    await counting.produce(4_000, poison=20)
    await counting.caught_up()
    await worker.stop()
    await counting.assert_exact(worker)
    poisoned = {
        (r.partition, r.offset): (r.key, r.value, r.headers, r.timestamp)
        for r in await counting.read(counting.role.source.name)
        if r.value == POISON
    }
    assert len(poisoned) == 20
    buried = {}
    for letter in await counting.read(counting.role.dlq.name):
        why = {name: text for name, text in letter.headers if name.startswith("upwell.")}
        assert why["upwell.reason"] == b"handler-error"
        assert why["upwell.topic"].decode() == counting.role.source.name
        own = tuple(header for header in letter.headers if not header[0].startswith("upwell."))
        place = (int(why["upwell.partition"]), int(why["upwell.offset"]))
        buried[place] = (letter.key, letter.value, own, int(why["upwell.timestamp"]))
    assert buried == poisoned
