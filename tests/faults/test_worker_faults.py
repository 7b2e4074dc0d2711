"""Workers that die, lose their disk, come and go under load: every row is what the log says, nothing more or less."""

import asyncio
import random

import pytest

from tests.brokers import until
from tests.faults.counting import POISON, SLOW
from tests.faults.counting_worker import SESSION_S
from tests.faults.harness import LONG, InexactError, Shop, Shops, assert_goes_wrong
from tests.faults.processes import PATIENCE_S, EndedError
from tests.faults.without import Protection

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

KILLS = 20 if LONG else 6


async def killed(shop: Shop, seed: int, *, lose_disk: bool = False) -> None:
    """One worker, killed three times."""
    rng = random.Random(seed)
    worker = shop.worker("a", static=True).start()
    async with shop.load(seed, every=(1_999, POISON)):
        for _ in range(3):
            await shop.progress()
            await asyncio.sleep(rng.uniform(0.0, 0.8))
            worker.kill(lose_disk=lose_disk)
            worker.start()
        await shop.progress()
    await shop.caught_up()
    await worker.stop()
    await shop.assert_exact(worker)


async def killed_in_turn(shop: Shop, seed: int) -> None:
    """Three workers and many kills, some of them with the disk lost."""
    rng = random.Random(seed)
    workers = [shop.worker(name, static=True).start() for name in ("a", "b", "c")]
    async with shop.load(seed):
        await shop.progress()
        for number in range(KILLS):
            victim = rng.choice(workers)
            victim.kill(lose_disk=number % 3 == 0)
            victim.start()
            await asyncio.sleep(rng.uniform(0.2, 2.0))
        await shop.progress()
    await shop.caught_up()
    for worker in workers:
        await worker.stop()
    await shop.assert_exact()


async def scaled(shop: Shop, seed: int) -> None:
    """One worker, then three, then one again: partitions change hands while records come, often within a batch."""
    rng = random.Random(seed)
    stays, *others = (shop.worker(name) for name in ("a", "b", "c"))
    stays.start()
    async with shop.load(seed, every=(700, SLOW), at_least=12_000):
        await shop.progress()
        for worker in others:
            worker.start()
        await shop.joined(3)
        await shop.progress()
        await asyncio.sleep(rng.uniform(0.5, 2.0))
        for worker in others:
            await worker.stop()
            await shop.progress()
        await asyncio.sleep(rng.uniform(0.5, 2.0))
    await shop.caught_up()
    await stays.stop()
    await shop.assert_exact(stays)


async def frozen(shop: Shop, seed: int) -> None:
    """A worker comes back as a zombie, in the middle of whatever it did, after another has taken its partitions."""
    zombie, heir = shop.worker("a").start(), shop.worker("b").start()
    async with shop.load(seed, per_second=600, every=(60, SLOW)):  # there is always a batch under way
        await shop.progress()
        await asyncio.sleep(random.Random(seed).uniform(0.5, 2.0))
        zombie.freeze()
        await asyncio.sleep(1.0)  # what it has in hand is out of date when it goes on
    await asyncio.sleep(SESSION_S)
    await shop.caught_up()  # the heir alone did it
    zombie.thaw()
    await shop.joined(2)
    await shop.produce(40, seed=seed)  # not so many that what it wrote late is overwritten everywhere
    await shop.caught_up()
    await zombie.stop()
    await heir.stop()
    heir.lose_disk()
    heir.start()
    await shop.produce(1, seed=seed)
    await shop.caught_up()
    await heir.stop()
    await shop.assert_exact(heir)


@pytest.mark.parametrize("lose_disk", [False, True], ids=["disk-kept", "disk-lost"])
async def test_killed_under_load(shops: Shops[Shop], seed: int, lose_disk: bool) -> None:
    await killed(await shops(), seed, lose_disk=lose_disk)


async def test_killed_without_offset_in_row(shops: Shops[Shop]) -> None:
    await assert_goes_wrong(killed, shops, Protection.OFFSET_IN_ROW)


async def test_three_workers_killed_in_turn(shops: Shops[Shop], seed: int) -> None:
    await killed_in_turn(await shops(), seed)


async def test_one_worker_then_three_then_one_under_load(shops: Shops[Shop], seed: int) -> None:
    shop = await shops()
    await scaled(shop, seed)
    await shop.note_pause()


@pytest.mark.long
async def test_scaled_without_epochs(shops: Shops[Shop]) -> None:
    """Most of what a batch of an ended epoch does to its store is undone by recovery, which starts before it."""
    await assert_goes_wrong(scaled, shops, Protection.EPOCHS, Protection.VOUCHING)


async def test_worker_frozen_beyond_its_session(shops: Shops[Shop], seed: int) -> None:
    await frozen(await shops(), seed)


@pytest.mark.long
async def test_frozen_without_newest_row(shops: Shops[Shop]) -> None:
    await assert_goes_wrong(frozen, shops, Protection.NEWEST_ROW, tries=12)  # it must lose a race to write late


async def poisoned(shop: Shop, seed: int) -> None:
    """Records that the handler raises on. Each key is written once: no later record mends a row that was lost."""
    worker = shop.worker("a").start()
    await shop.produce(4_000, seed=seed, poison=20, once=True)
    await shop.caught_up()
    await worker.stop()
    await shop.assert_exact(worker)


async def test_poison_goes_to_the_dead_letters_alone(shops: Shops[Shop], seed: int) -> None:
    shop = await shops()
    await poisoned(shop, seed)
    poison = {
        (r.partition, r.offset): (r.key, r.value, r.headers, r.timestamp)
        for r in await shop.read(shop.role.source.name)
        if r.value == POISON
    }
    assert len(poison) == 20
    buried = {}
    for letter in await shop.read(shop.role.dlq.name):
        why = {name: text for name, text in letter.headers if name.startswith("upwell.")}
        assert why["upwell.reason"] == b"handler-error"
        assert why["upwell.topic"].decode() == shop.role.source.name
        own = tuple(header for header in letter.headers if not header[0].startswith("upwell."))
        place = (int(why["upwell.partition"]), int(why["upwell.offset"]))
        buried[place] = (letter.key, letter.value, own, int(why["upwell.timestamp"]))
    assert buried == poison


async def test_poison_without_bisecting(shops: Shops[Shop]) -> None:
    await assert_goes_wrong(poisoned, shops, Protection.BISECTING)


async def test_poison_without_a_guarded_handler(shops: Shops[Shop]) -> None:
    await assert_goes_wrong(poisoned, shops, Protection.GUARDED_HANDLER, how=EndedError)


async def undeliverable(shop: Shop, seed: int) -> None:
    """There is no topic of dead letters when records must go to it; later there is."""
    await shop.delete_dead_letters()
    worker = shop.worker("a").start()
    await shop.produce(500, seed=seed, poison=5)

    async def decided() -> bool:
        return await worker.is_troubled() or await shop.is_caught_up()

    await until(decided, PATIENCE_S)
    if not await worker.is_troubled():
        raise InexactError("records that had to go to the dead letters were acknowledged")
    await shop.create_dead_letters()
    await shop.caught_up()
    await until(worker.is_ready, PATIENCE_S)
    await worker.stop()
    await shop.assert_exact(worker)
    letters = await shop.read(shop.role.dlq.name)
    assert len({(letter.key, dict(letter.headers)["upwell.offset"]) for letter in letters}) == 5


async def test_nothing_is_acknowledged_while_nobody_takes_the_dead_letters(shops: Shops[Shop], seed: int) -> None:
    await undeliverable(await shops(), seed)


async def test_undeliverable_without_acknowledgement(shops: Shops[Shop]) -> None:
    await assert_goes_wrong(undeliverable, shops, Protection.ACKNOWLEDGEMENT)
