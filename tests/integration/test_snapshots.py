"""A worker's index on disk: restored with where to read on from, and thrown away where it is of another topic."""

import contextlib
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaProducer

from streams import codecs
from streams.codecs import DIGEST_SIZE, Embedding
from streams.edge import limits_of
from streams.replicas import Replica
from streams.replication import Progress, Replication
from streams.settings import KafkaSettings, Settings
from streams.snapshots import IndexKeeper
from streams.topics import Topics

NAMES = [f"item-{number}" for number in range(40)]


def row(seed: int) -> bytes:
    vector = np.random.default_rng(seed).standard_normal(16)
    return codecs.encode_embedding(
        Embedding(seed, bytes(DIGEST_SIZE), "model-1", (vector / np.linalg.norm(vector)).astype(np.float16))
    )


async def publish(bootstrap: str, topics: Topics, names: list[str]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for seed, name in enumerate(names):
            await producer.send_and_wait(topics.embeddings.name, key=name.encode(), value=row(seed))
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def loaded(settings: Settings, bootstrap: str, topics: Topics, directory: Path):  # type: ignore[no-untyped-def]
    """A replica that was restored and has caught up, its keeper, and how many records it read for that."""
    async with contextlib.AsyncExitStack() as stack:
        keeper = IndexKeeper(directory, stack)
        replica = Replica(topics, keeper.make, limits_of(settings))
        replication = Replication(replica, topics, bootstrap, KafkaSettings(), settings.fetch_wait_ms)
        stack.push_async_callback(replication.stop)
        seen: list[Progress] = []
        await keeper.restore(replica)
        await replication.load(seen.append)
        yield replica, keeper, seen[-1].total if seen else 0


async def test_a_restored_index_reads_the_tail_alone(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    await publish(bootstrap, shop_topics, NAMES[:30])
    queries = np.random.default_rng(5).standard_normal((4, 16)).astype(np.float32)
    async with loaded(settings, bootstrap, shop_topics, tmp_path) as (replica, keeper, read):
        assert (replica.searchable, read) == (30, 30)
        await keeper.save(replica)
    await publish(bootstrap, shop_topics, NAMES)
    async with loaded(settings, bootstrap, shop_topics, tmp_path / "nothing") as (rebuilt, _, _):
        expected = await rebuilt.nearest(queries, 10)
    async with loaded(settings, bootstrap, shop_topics, tmp_path) as (replica, _, read):
        assert (replica.searchable, read, replica.model) == (40, 40, "model-1")
        assert await replica.nearest(queries, 10) == expected
        assert replica.as_of == rebuilt.as_of


async def test_a_snapshot_of_another_topic_is_thrown_away(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        keeper = IndexKeeper(tmp_path, stack)
        replica = Replica(shop_topics, keeper.make, limits_of(settings))
        replica.adopt(await keeper.make(16), "model-0", {f"{shop_topics.embeddings.name}/0": 1_000_000})
        await keeper.save(replica)
    await publish(bootstrap, shop_topics, NAMES[:5])
    async with loaded(settings, bootstrap, shop_topics, tmp_path) as (replica, _, _):
        assert (replica.searchable, replica.model) == (5, "model-1")


async def test_nothing_new_is_not_saved_again(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path
) -> None:
    await publish(bootstrap, shop_topics, NAMES[:5])
    async with loaded(settings, bootstrap, shop_topics, tmp_path) as (replica, keeper, _):
        await keeper.save(replica)
        before = sorted(path.name for path in tmp_path.iterdir())
        await keeper.save(replica)
        assert sorted(path.name for path in tmp_path.iterdir()) == before
