"""Two hundred kinds of bad records among good ones: refused byte for byte, and nothing else is different for them."""

import random
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streams import codecs
from streams.core.profile import Profile, fold
from streams.edge import AcceptedEvent, accept_event, limits_of
from tests.brokers import until
from tests.faults.harness import SEED, InexactError, Shops, assert_goes_wrong
from tests.faults.processes import PATIENCE_S, EndedError
from tests.faults.real import RealShop
from tests.faults.without import Protection
from tests.unit.bad_payloads import bad_payloads, encoded
from tests.unit.records import NOW

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

BOMB_BYTES = 110 << 20
"""More than brokers take of a request, `socket.request.max.bytes`: they hang up."""

USERS = [f"user-{number}" for number in range(12)]


async def mixed(shop: RealShop, seed: int) -> None:
    """A worker reads good and bad records in random order."""
    worker = shop.worker("a", "profiles").start()
    await send(shop, random.Random(seed))
    await shop.caught_up("profiles", shop.topics.events)
    await worker.stop()
    rows = {record.key: record.value for record in await shop.read(shop.topics.profiles)}
    if rows != plainly_folded(await shop.read(shop.topics.events), shop):
        raise InexactError("the profiles are not those of the good events")
    letters = await shop.read(shop.topics.dlq)
    bad = [(key, value) for _, key, value in bad_payloads()]
    if sorted(map(repr, ((letter.key, letter.value) for letter in letters))) != sorted(map(repr, bad)):
        raise InexactError("the dead letters are not the bad records")


async def send(shop: RealShop, rng: random.Random) -> None:
    """Some hundred good events and the bad payloads."""
    records: list[tuple[bytes | None, bytes | None]] = [(key, value) for _, key, value in bad_payloads()]
    for number in range(300):
        user = rng.choice(USERS)
        event = {"id": f"e{number}", "type": "purchase", "time": NOW + number, "user": user, "item": f"i{number % 17}"}
        records.append((user.encode(), encoded(event)))
    async with shop.producer() as producer:
        for key, value in rng.sample(records, len(records)):
            await producer.send(shop.topics.events.name, key=key, value=value)
        await producer.flush()


def plainly_folded(records: list[Any], shop: RealShop) -> dict[bytes, bytes]:
    """What the profiles must be: the good events of each shopper, one after the other."""
    limits = limits_of(shop.settings)
    profiles: dict[bytes, Profile] = {}
    for record in records:
        accepted = accept_event(record, limits)
        if isinstance(accepted, AcceptedEvent):
            profiles[record.key] = fold(profiles.get(record.key, Profile()), [accepted.arrival])
    return {key: codecs.encode_profile(profile) for key, profile in profiles.items()}


async def reasons(shop: RealShop) -> set[bytes]:
    """Why records were refused."""
    return {dict(letter.headers)["upwell.reason"] for letter in await shop.read(shop.topics.dlq)}


async def test_bad_records_cost_nothing_but_themselves(real_shops: Shops[RealShop], seed: int) -> None:
    shop = await real_shops()
    await mixed(shop, seed)
    assert await reasons(shop) == {b"undecodable", b"invalid", b"oversize", b"wrong-key", b"time-travel"}


async def test_what_the_edge_lets_through_is_caught_behind_it(real_shops: Shops[RealShop], seed: int) -> None:
    shop = await real_shops(without=[Protection.GUARDED_EDGE])
    await mixed(shop, seed)
    assert await reasons(shop) == {b"handler-error"}


async def test_bad_records_without_bisecting(real_shops: Shops[RealShop]) -> None:
    """The good ones in a batch with bad ones are refused, too."""
    await assert_goes_wrong(mixed, real_shops, Protection.GUARDED_EDGE, Protection.BISECTING)


async def test_bad_records_without_any_guard(real_shops: Shops[RealShop]) -> None:
    without = Protection.GUARDED_EDGE, Protection.GUARDED_HANDLER
    await assert_goes_wrong(mixed, real_shops, *without, how=EndedError)


async def packed(shop: RealShop, _: int) -> None:
    """A record of some 100 KB on its topic, which no dead letter can hold when it is unpacked, and a good event."""
    worker = shop.worker("a", "profiles").start()
    await until(worker.is_ready, PATIENCE_S)
    packer = AIOKafkaProducer(
        bootstrap_servers=shop.bootstrap, compression_type="gzip", max_request_size=BOMB_BYTES * 2
    )
    await packer.start()
    event = {"id": "e1", "type": "purchase", "time": NOW, "user": "user-1", "item": "i1"}
    for value in (bytes(BOMB_BYTES), encoded(event)):
        await packer.send_and_wait(shop.topics.events.name, value, key=b"user-1")
    await packer.stop()

    async def decided() -> bool:
        return await worker.is_troubled() or await shop.is_caught_up("profiles", shop.topics.events)

    await until(decided, PATIENCE_S)
    if await worker.is_troubled():
        raise InexactError("the worker waits for what never comes true")
    await worker.stop()


async def test_what_unpacks_to_more_than_a_broker_takes_is_refused_and_named(real_shops: Shops[RealShop]) -> None:
    shop = await real_shops()
    await packed(shop, SEED)
    (letter,) = await shop.read(shop.topics.dlq)
    assert (letter.key, letter.value) == (None, None)
    assert dict(letter.headers)["upwell.reason"] == b"oversize"
    assert [record.key for record in await shop.read(shop.topics.profiles)] == [b"user-1"]


@pytest.mark.long
async def test_packed_without_request_size(real_shops: Shops[RealShop]) -> None:
    await assert_goes_wrong(packed, real_shops, Protection.REQUEST_SIZE)
