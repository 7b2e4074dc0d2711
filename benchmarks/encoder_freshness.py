"""How long a change of the catalogue takes until its vector is in the index of another process.

Starts a broker of its own and `upwell worker --roles encoder`, sends one real product after the other (The Complete
Journey, in the extra `demo`) and waits for each in a replica here, as every process that recommends has one.

    python -m benchmarks.encoder_freshness
    python -m benchmarks.encoder_freshness --model all-MiniLM-L6-v2@int8 --items 500
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer

from benchmarks.encoder import corpus, cpu_model
from streams import admin
from streams.broker import running
from streams.edge import limits_of
from streams.engine.effects import Record
from streams.replicas import Replica
from streams.replication import Replication
from streams.settings import KafkaSettings, Settings
from streams.snapshots import IndexKeeper
from streams.topics import Topics, topics

WARM = 20
"""Items that come first and do not count."""
PAUSE_S = 0.05
"""Between an item that is there and the next one: an idle worker gets it."""
PATIENCE_S = 120.0


class Arrivals:
    """Tells when an item's vector was applied."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._due: dict[bytes, asyncio.Event] = {}

    def expect(self, item: str) -> asyncio.Event:
        return self._due.setdefault(item.encode(), asyncio.Event())

    def applied(self, topic: str, records: Sequence[Record]) -> None:
        for record in records:
            if topic == self._topic and record.key in self._due:
                self._due.pop(record.key).set()


@contextlib.asynccontextmanager
async def followed(settings: Settings, contract: Topics, bootstrap: str, home: Path) -> AsyncIterator[Arrivals]:
    """A replica that follows the shop."""
    arrivals = Arrivals(contract.embeddings.name)
    async with contextlib.AsyncExitStack() as stack:
        replica = Replica(contract, IndexKeeper(home, stack).make, limits_of(settings))
        replication = Replication(replica, contract, bootstrap, KafkaSettings(), settings.fetch_wait_ms)
        stack.push_async_callback(replication.stop)
        await replication.load()
        replication.on_applied = arrivals.applied
        following = asyncio.create_task(replication.follow())
        try:
            yield arrivals
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


@contextlib.contextmanager
def encoding(settings: Settings, bootstrap: str, home: Path) -> Iterator[None]:
    """A worker that encodes."""
    environment = os.environ | {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_MODEL": settings.model,
        "UPWELL_DATA_DIR": str(home / "worker"),
    }
    upwell = Path(sys.executable).with_name("upwell")
    with (home / "worker.log").open("wb") as log:
        worker = subprocess.Popen([upwell, "worker", "--roles", "encoder"], env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            worker.terminate()
            worker.wait()


async def measure(settings: Settings, bootstrap: str, texts: Sequence[str], home: Path) -> list[float]:
    """Seconds from sending to searchable, item by item."""
    contract = topics(settings.shop, settings.partitions)
    await admin.create_topics(bootstrap, KafkaSettings(), contract)
    seconds = []
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(encoding(settings, bootstrap, home))
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        await producer.start()
        stack.push_async_callback(producer.stop)
        arrivals = await stack.enter_async_context(followed(settings, contract, bootstrap, home / "index"))
        for number, text in enumerate(texts):
            item = {"id": f"item-{number}", "title": text[:500]}
            there = arrivals.expect(item["id"])
            began = time.perf_counter()
            await producer.send(contract.catalogue.name, key=item["id"].encode(), value=json.dumps(item).encode())
            await asyncio.wait_for(there.wait(), PATIENCE_S)
            seconds.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE_S)
    return seconds[WARM:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=Settings().model, help="as for UPWELL_MODEL; it must be built")
    parser.add_argument("--items", type=int, default=300, help="how many (default: 300)")
    given = parser.parse_args()
    settings = Settings(model=given.model)
    texts = corpus(given.items + WARM).labelled[: given.items + WARM]
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        with running(settings, KafkaSettings(), data_dir=home / "broker") as broker:
            seconds = asyncio.run(measure(settings, broker.bootstrap, texts, home))
    cuts = statistics.quantiles(seconds, n=100)
    p50, p95, longest = (1000 * value for value in (cuts[49], cuts[94], max(seconds)))
    print(f"{given.model} on {cpu_model()}, {len(seconds)} items, load average {os.getloadavg()[0]:.1f}:", end=" ")
    print(f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, longest {longest:.0f} ms")


if __name__ == "__main__":
    main()
