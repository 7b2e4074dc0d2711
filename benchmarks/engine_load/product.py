"""Our engine with the product's own handler: `python -m benchmarks.engine_load.product JOB`.

Everything a worker of the role `profiles` does, in its process: profiles and popularity kept, candidates from every
channel, ranked, diversified and explained, and the replica following the popularity topic that comes of it. Measured
once the replica is whole and all items are in the graph.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import uvloop

from benchmarks.engine_load.child import Job, Meter, Usage, leave
from benchmarks.engine_load.engine import Metered, run
from benchmarks.engine_load.load import catalogue, item_name, item_vectors, publish, topic
from index.hnsw import HnswIndex
from index.live import LiveIndex
from streams import codecs
from streams.admin import create_topics
from streams.agents.profiles import ProfilesHandler
from streams.codecs import DIGEST_SIZE, Embedding
from streams.core.policy import Policy
from streams.edge import limits_of
from streams.engine.app import Role
from streams.replicas import Replica
from streams.replication import Replication
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics, topics

SHARED = "bench-items"
"""The shop whose catalogue and embeddings every run reads."""

_POLL_S = 0.1


async def publish_items(bootstrap: str, partitions: int) -> None:
    """Put the recorded items and their vectors on the topics that replicas read."""
    shared = topics(SHARED, partitions)
    await publish(bootstrap, shared.catalogue, ((item.id.encode(), msgspec.json.encode(item)) for item in catalogue()))
    await publish(bootstrap, shared.embeddings, _embeddings())


def _embeddings() -> Iterator[tuple[bytes, bytes]]:
    for number, vector in enumerate(item_vectors().astype(np.float16)):
        row = codecs.encode_embedding(Embedding(number, bytes(DIGEST_SIZE), "recorded", vector))
        yield item_name(number).encode(), row


def _contract(job: Job) -> Topics:
    own, shared = topics(job.name, job.partitions), topics(SHARED, job.partitions)
    return replace(
        own, events=topic(job.topic, job.partitions), catalogue=shared.catalogue, embeddings=shared.embeddings
    )


async def measure(job: Job) -> Usage:
    """Do the job."""
    contract, settings, kafka = _contract(job), Settings(data_dir=Path(job.directory)), KafkaSettings()
    await create_topics(job.bootstrap, kafka, contract)
    async with contextlib.AsyncExitStack() as stack:
        live: list[LiveIndex] = []

        async def make(dim: int) -> LiveIndex:
            live.append(await stack.enter_async_context(LiveIndex(HnswIndex(dim))))
            return live[0]

        limits = limits_of(settings)
        replica = Replica(contract, make, limits)
        replication = Replication(replica, contract, job.bootstrap, kafka, settings.fetch_wait_ms)
        await replication.load()
        while (await live[0].stats()).pending:  # noqa: ASYNC110 - the index tells nobody
            await asyncio.sleep(_POLL_S)
        following = asyncio.create_task(replication.follow())
        meter = Meter()
        handler = Metered(ProfilesHandler(contract, replica, Policy(), limits), meter)
        tables = (contract.trending, contract.erasures, contract.profiles)
        _, usage = await run(Role("profiles", contract.events, tables, contract.dlq, handler), job, meter)
        if following.done():
            following.result()
        leave(usage)
    raise AssertionError("unreachable")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(Job.given()))
