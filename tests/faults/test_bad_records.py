"""Two hundred kinds of bad records among good ones: refused byte for byte, and nothing else is different for them."""

import random

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams import codecs
from streams.core.events import Arrival
from streams.core.profile import Profile, fold
from streams.edge import AcceptedEvent, accept_event, limits_of
from streams.settings import Settings
from streams.topics import Topic, Topics
from tests.faults.harness import SEED
from tests.integration.shopkeeper import Desk, desk, worker
from tests.unit.bad_payloads import bad_payloads, encoded
from tests.unit.records import NOW

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

USERS = [f"user-{number}" for number in range(12)]


async def send(shop: Desk, rng: random.Random) -> list[tuple[bytes | None, bytes | None]]:
    """Good and bad records in random order; returns the bad ones."""
    bad = [(key, value) for _, key, value in bad_payloads()]
    good = []
    for number in range(300):
        user = rng.choice(USERS)
        event = {"id": f"e{number}", "type": "purchase", "time": NOW + number, "user": user, "item": f"i{number % 17}"}
        good.append((user.encode(), encoded(event)))
    for key, value in rng.sample([*bad, *good], len(bad) + len(good)):
        await shop.producer.send_and_wait(shop.topics.events.name, key=key, value=value)
    return bad


async def everything(topic: Topic, bootstrap: str) -> list:  # type: ignore[type-arg]
    """Every record of a topic, by partition and offset."""
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_bytes=8 << 20)
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        records = []
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                records += (await consumer.getmany(partition, timeout_ms=200)).get(partition, [])
        return records
    finally:
        await consumer.stop()


def plainly_folded(records: list, settings: Settings) -> dict[bytes, bytes]:  # type: ignore[type-arg]
    """What the profiles must be: the good events of each shopper, one after the other."""
    profiles: dict[bytes, Profile] = {}
    for record in records:
        accepted = accept_event(record, limits_of(settings))
        if isinstance(accepted, AcceptedEvent):
            before = profiles.get(record.key, Profile())
            profiles[record.key] = fold(
                before, [Arrival(record.offset, accepted.event.id, accepted.arrival.interaction)]
            )
    return {key: codecs.encode_profile(profile) for key, profile in profiles.items()}


async def test_bad_records_cost_nothing_but_themselves(settings: Settings, bootstrap: str, shop_topics: Topics) -> None:
    async with worker(settings, bootstrap) as process, desk(shop_topics, bootstrap) as shop:
        bad = await send(shop, random.Random(SEED))
        last = {"id": "last", "type": "search", "query": "tea", "time": NOW, "user": "end"}
        for user in (f"end-{number}" for number in range(20)):  # on every partition, to know when all is done
            await shop.put(shop_topics.events, user, {**last, "user": user})
            await shop.answer(user, "last")
        assert process.returncode is None
    letters = await everything(shop_topics.dlq, bootstrap)
    assert sorted(map(repr, ((letter.key, letter.value) for letter in letters))) == sorted(map(repr, bad))
    reasons = {dict(letter.headers)["upwell.reason"] for letter in letters}
    assert reasons == {b"undecodable", b"invalid", b"oversize", b"wrong-key", b"time-travel"}
    rows = {record.key: record.value for record in await everything(shop_topics.profiles, bootstrap)}
    assert rows == plainly_folded(await everything(shop_topics.events, bootstrap), settings)
