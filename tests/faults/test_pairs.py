"""What goes together crosses partitions, is sent again after a crash, and still counts once."""

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streams import codecs
from streams.core import cooccurrence, profile
from streams.core.profile import Profile
from streams.edge import AcceptedEvent, accept_event, limits_of
from streams.topics import item_partition
from tests.faults.harness import InexactError, Shops, assert_goes_wrong
from tests.faults.real import PARTITIONS, RealShop
from tests.faults.without import Protection
from tests.unit.bad_payloads import encoded
from tests.unit.records import NOW

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

USERS, ITEMS, PER_SECOND, KILLS = 40, 60, 400, 4
CLOSE = 1e-9
"""Sums over partitions are made in the order of arrival: equal but for rounding."""

Masses = dict[tuple[str, str], float]


@asynccontextmanager
async def shopping(shop: RealShop, seed: int) -> AsyncIterator[None]:
    """Purchases in the background for as long as the block lasts."""
    done = asyncio.Event()

    async def run() -> None:
        rng = random.Random(seed)
        number = 0
        async with shop.producer() as producer:
            while not done.is_set():
                for _ in range(PER_SECOND // 10):
                    number += 1
                    user, item = f"user-{rng.randrange(USERS)}", f"item-{rng.randrange(ITEMS)}"
                    event = {"id": f"e{number}", "type": "purchase", "time": NOW + number, "user": user, "item": item}
                    await producer.send(shop.topics.events.name, key=user.encode(), value=encoded(event))
                await producer.flush()
                await asyncio.sleep(0.1)

    running = asyncio.create_task(run())
    try:
        yield
    finally:
        done.set()
        await running


async def killed(shop: RealShop, seed: int) -> None:
    """Who makes the pairs and who adds them up are killed in turn, some of them with the disk lost."""
    rng = random.Random(seed)
    workers = [shop.worker("makes", "profiles").start(), shop.worker("adds", "neighbours").start()]
    async with shopping(shop, seed):
        for number in range(KILLS):
            await shop.progress()
            await asyncio.sleep(rng.uniform(0.0, 1.0))
            victim = workers[number % 2]
            victim.kill(lose_disk=rng.random() < 0.3)
            victim.start()
        await shop.progress()
    await shop.caught_up("profiles", shop.topics.events)
    await shop.caught_up("neighbours", shop.topics.pairs)
    for worker in workers:
        await worker.stop()
    compare(counted(await shop.read(shop.topics.neighbours)), recounted(shop, await shop.read(shop.topics.events)))


def counted(records: Iterable[Any]) -> Masses:
    """Item and partner → weight of the pair, at the time `NOW`; the item's own mass for the item with itself."""
    masses = {}
    for record in records:
        item, row = record.key.decode(), codecs.decode_neighbours(record.value)
        assert record.partition == item_partition(item, PARTITIONS)
        for partner, log_mass in [(item, row.log_mass), *row.partners.items()]:
            masses[item, partner] = math.exp(log_mass - math.log(2) * NOW / cooccurrence.HALF_LIFE_MS)
    return masses


def recounted(shop: RealShop, events: Iterable[Any]) -> Masses:
    """The same from the log of events, one after the other, in plain sums."""
    limits = limits_of(shop.settings)
    profiles: dict[str, Profile] = {}
    masses: Masses = defaultdict(float)
    for record in events:
        accepted = accept_event(record, limits)
        assert isinstance(accepted, AcceptedEvent)
        before = profiles.get(accepted.shopper, Profile())
        profiles[accepted.shopper] = profile.fold(before, [accepted.arrival])
        for delta in cooccurrence.deltas(before.recent, [accepted.arrival]):
            decayed = 2.0 ** ((delta.time - NOW) / cooccurrence.HALF_LIFE_MS)
            masses[delta.item, delta.item] += delta.weight * decayed
            for partner, weight in zip(delta.partners, delta.weights, strict=True):
                masses[delta.item, partner] += weight * decayed
                masses[partner, delta.item] += weight * decayed
    return masses


def compare(found: Masses, expected: Masses) -> None:
    """Raises InexactError where they differ by more than rounding."""
    assert len(expected) > ITEMS
    wrong = [
        pair
        for pair in found.keys() | expected.keys()
        if not math.isclose(found.get(pair, 0.0), expected.get(pair, 0.0), rel_tol=CLOSE)
    ]
    if wrong:
        raise InexactError(f"{len(wrong)} of {len(expected)} masses are wrong")


async def test_pairs_count_once(real_shops: Shops[RealShop], seed: int) -> None:
    await killed(await real_shops(), seed)


async def test_pairs_without_their_origins(real_shops: Shops[RealShop]) -> None:
    await assert_goes_wrong(killed, real_shops, Protection.ORIGINS)
