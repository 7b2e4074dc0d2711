"""Whatever is sent in the place of a producer goes where the shop's producers put that key."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from streams import client, follow
from streams.engine.effects import Output
from streams.engine.publisher import Publisher
from streams.follow import Start
from streams.partitioning import Partitioner, partition_of
from streams.settings import KafkaSettings, Settings
from streams.topics import Topics
from tests.unit.records import LIMITS

SHOPPERS = [f"shopper-{number}" for number in range(12)]
UPWELL = [sys.executable, "-c", "from streams.cli import main; main()"]


def upwell(settings: Settings, bootstrap: str, partitioner: Partitioner, *arguments: str) -> None:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "UPWELL_SHOP": settings.shop,
        "UPWELL_PARTITIONS": str(settings.partitions),
        "UPWELL_PARTITIONER": partitioner,
    }
    done = subprocess.run(
        [*UPWELL, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("partitioner", Partitioner)
async def test_everything_that_sends_chooses_as_the_shops_producers_do(
    settings: Settings, bootstrap: str, shop_topics: Topics, tmp_path: Path, partitioner: Partitioner
) -> None:
    made = [client.event("view", user=shopper, item="milk", time=1) for shopper in SHOPPERS]
    lines = "\n".join(json.dumps({"id": e.id, "type": "view", "user": e.user, "item": "milk", "time": 1}) for e in made)
    file = tmp_path / "events.jsonl"
    file.write_text(lines)
    upwell(settings, bootstrap, partitioner, "import", "jsonl", str(file), "--as", "events")
    upwell(settings, bootstrap, partitioner, "produce", str(file))
    publisher = Publisher({"bootstrap_servers": bootstrap}, partitioner)  # as `upwell serve` does
    await publisher.publish([Output(shop_topics.events.name, one.encode(), b"{}") for one in SHOPPERS])
    await publisher.stop()
    limits = replace(LIMITS, partitioner=partitioner)
    async with client.Producer(bootstrap, settings.shop, limits) as producer:
        await producer.events(*made)
    found = []
    async with follow.reader(bootstrap, KafkaSettings()) as consumer:
        begins = await follow.offsets(consumer, shop_topics.events.name, settings.partitions, Start.BEGINNING)
        async for record in follow.onwards(consumer, begins):
            found.append((record.key.decode(), record.partition))
            if len(found) == 4 * len(SHOPPERS):
                break
    homes = {shopper: partition_of(shopper, settings.partitions, partitioner) for shopper in SHOPPERS}
    assert set(found) == set(homes.items())
    assert len(set(homes.values())) > 1
