"""Sends a shop's events and catalogue to Upwell, with nothing but aiokafka.

pip install aiokafka
python examples/producer.py                  # the sample data in examples/data
python examples/producer.py my-events.jsonl
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from aiokafka import AIOKafkaProducer

BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
SHOP = os.environ.get("UPWELL_SHOP", "shop")
SAMPLES = [Path(__file__).parent / "data" / name for name in ("catalogue.jsonl", "events.jsonl")]


def addressed(record: dict[str, object]) -> tuple[str, str]:
    """Topic and key: an item goes under its id, an event under its shopper."""
    if "title" in record:
        return f"{SHOP}.catalogue.v1", str(record["id"])
    return f"{SHOP}.events.v1", str(record.get("user") or record["anonymous_id"])


async def main(files: list[Path]) -> None:
    # Idempotence keeps a retry from doubling a record or changing the order of a shopper's events.
    producer = AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, enable_idempotence=True, acks="all")
    await producer.start()
    try:
        sent = []
        for file in files:
            for line in file.read_text(encoding="utf-8").splitlines():
                topic, key = addressed(json.loads(line))
                sent.append(await producer.send(topic, line.encode(), key=key.encode()))
        await asyncio.gather(*sent)  # every record is acknowledged, or this raises
        print(f"{len(sent)} records sent to {BOOTSTRAP}")
    finally:
        await producer.stop()


if __name__ == "__main__":
    asyncio.run(main([Path(name) for name in sys.argv[1:]] or SAMPLES))
