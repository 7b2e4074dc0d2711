"""The copy of the profiles on disk: goes on where it was, and is made anew where it cannot be trusted."""

import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from streams import codecs
from streams.core.events import EventType, Interaction
from streams.core.profile import Profile
from streams.engine.store import StoreLockedError
from streams.profile_replica import ProfileReplication, opened
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics

T0 = 1_700_000_000_000


def row(offset: int, item: str = "milk") -> bytes:
    return codecs.encode_profile(Profile(offset, (Interaction(item, EventType.VIEW, 0.1, T0),)))


class Counting(ProfileReplication):
    """Counts the records it applies."""

    applied = 0

    async def load(self) -> None:
        original = self.replica.apply

        def counted(partition, records):  # type: ignore[no-untyped-def]
            self.applied += len(records)
            original(partition, records)

        self.replica.apply = counted  # type: ignore[method-assign]
        await super().load()


@contextlib.asynccontextmanager
async def loaded(settings: Settings, bootstrap: str, topics: Topics, directory: Path) -> AsyncIterator[Counting]:
    replication = Counting(directory, 8, topics.profiles, bootstrap, KafkaSettings(), settings.fetch_wait_ms)
    try:
        await replication.load()
        yield replication
    finally:
        await replication.stop()


async def publish(bootstrap: str, topics: Topics, **rows: bytes | None) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for shopper, value in rows.items():
            await producer.send_and_wait(topics.profiles.name, key=shopper.encode(), value=value)


async def test_it_goes_on_where_it_was(settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path) -> None:
    await publish(bootstrap, shop_topics, anna=row(1), bert=row(2), carl=row(3))
    async with loaded(settings, bootstrap, shop_topics, tmp_path / "copy") as copy:
        assert copy.applied == 3
        assert copy.replica.get("anna").profile.offset == 1
        assert copy.replica.get("dora") == (Profile(), None)
        assert await copy.lag() == 0
    await publish(bootstrap, shop_topics, anna=row(9, "tea"), bert=None)
    async with loaded(settings, bootstrap, shop_topics, tmp_path / "copy") as copy:
        assert copy.applied == 2
        known = copy.replica.get("anna")
        assert (known.profile.offset, known.profile.recent[0].item) == (9, "tea")
        assert copy.replica.get("bert").partition is None
        assert copy.replica.get("carl").profile.offset == 3
    # A zombie's older row changes nothing.
    await publish(bootstrap, shop_topics, anna=row(5))
    async with loaded(settings, bootstrap, shop_topics, tmp_path / "copy") as copy:
        assert copy.replica.get("anna").profile.offset == 9


async def test_a_shopper_is_found_where_a_producer_of_another_partitioner_put_them(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for number in range(settings.partitions):
            shopper = f"shopper-{number}"
            await producer.send_and_wait(shop_topics.profiles.name, key=b"anna", value=row(1), partition=0)
            await producer.send_and_wait(
                shop_topics.profiles.name, key=shopper.encode(), value=row(number), partition=settings.partitions - 1
            )
    async with loaded(settings, bootstrap, shop_topics, tmp_path / "copy") as copy:
        assert copy.replica.get("anna").partition == 0
        assert {copy.replica.get(f"shopper-{n}").partition for n in range(settings.partitions)} == {1}


async def test_a_copy_left_alone_for_long_is_made_anew(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    await publish(bootstrap, shop_topics, anna=row(1))
    async with loaded(settings, bootstrap, shop_topics, tmp_path / "copy"):
        pass
    long_ago = time.time() - 13 * 3600
    os.utime(tmp_path / "copy" / "up-to-date", (long_ago, long_ago))
    async with loaded(settings, bootstrap, shop_topics, tmp_path / "copy") as copy:
        assert copy.applied == 1


async def test_a_copy_of_another_topic_is_made_anew(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    other = opened(tmp_path / "copy", settings.partitions, 8)
    for partition in range(settings.partitions):
        other._stores[partition].write([(b"eve", row(1))], 1_000)
    other.close()
    await publish(bootstrap, shop_topics, anna=row(1))
    async with loaded(settings, bootstrap, shop_topics, tmp_path / "copy") as copy:
        assert copy.replica.get("anna").profile.offset == 1
        assert copy.replica.get("eve").partition is None


def test_a_damaged_copy_is_made_anew_and_a_locked_one_is_not(tmp_path: Path) -> None:
    copy = opened(tmp_path / "copy", 2, 8)
    copy._stores[1].write([(b"anna", row(1))], 0)
    with pytest.raises(StoreLockedError):
        opened(tmp_path / "copy", 2, 8)
    copy.close()
    (tmp_path / "copy" / "1" / "CONDEMNED").touch()
    copy = opened(tmp_path / "copy", 2, 8)
    assert copy.get("anna").partition is None
    assert copy.reached(1) == -1
    copy.close()
