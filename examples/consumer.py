"""Takes Upwell's recommendations into a shop: keeps the newest of every shopper, as a site or an app would.

pip install aiokafka
python examples/consumer.py                  # until Ctrl-C
python examples/consumer.py --count 3        # three recommendations, then stop
"""

import argparse
import asyncio
import contextlib
import json
import os
from typing import Any

from aiokafka import AIOKafkaConsumer

BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
SHOP = os.environ.get("UPWELL_SHOP", "shop")


class Shelf:
    """The newest recommendation of every shopper. A real shop has a cache or a database table here."""

    def __init__(self) -> None:
        self._newest: dict[str, dict[str, Any]] = {}

    def put(self, recommendation: dict[str, Any]) -> bool:
        """Keep it, unless it was sent again or is older than what is there: delivery is at least once."""
        held = self._newest.get(recommendation["user"])
        if held and (
            held["id"] == recommendation["id"] or held["trigger"]["offset"] > recommendation["trigger"]["offset"]
        ):
            return False
        self._newest[recommendation["user"]] = recommendation
        return True


async def main(count: int | None, group: str) -> None:
    consumer = AIOKafkaConsumer(
        f"{SHOP}.recommendations.v1",
        bootstrap_servers=BOOTSTRAP,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        shelf = Shelf()
        async for record in consumer:
            recommendation = json.loads(record.value)
            if shelf.put(recommendation):
                trigger = recommendation["trigger"]
                print(f"{recommendation['user']} after {trigger['type']} {trigger.get('item') or ''}", flush=True)
                for item in recommendation["items"]:
                    print(f"  {item['rank']:>2} {item['item']:<24} {item['reasons'][0]['text']}", flush=True)
                count = count and count - 1
            await consumer.commit()  # after it is kept: a crash in between means once more, never lost
            if count == 0:
                return
    finally:
        await consumer.stop()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Print recommendations as they come.")
    options.add_argument("--count", type=int, help="stop after so many")
    options.add_argument("--group", default="shop-frontend", help="consumer group")
    arguments = options.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(arguments.count, arguments.group))
