"""A worker process of the counting role: `python -m tests.faults.counting_worker BOOTSTRAP SHOP PARTITIONS DATA ID`.

Ends on SIGTERM in good order, with exit code 0.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import uvloop

from streams.engine.app import EngineApp, build_app
from streams.settings import KafkaSettings, Settings
from tests.faults.counting import role

SESSION_S = 6.0
"""The shortest that Apache Kafka allows unless told otherwise."""

SERVING = "serving until SIGTERM"
"""Logged when SIGTERM is listened for."""


def counting_app(bootstrap: str, shop: str, partitions: int, data: Path, instance_id: str | None = None) -> EngineApp:
    """An app of the counting role, with small batches: more of them to be cut off in the middle."""
    settings = Settings(
        shop=shop, partitions=partitions, data_dir=data, session_timeout_s=SESSION_S, fetch_max_records=100
    )
    return build_app(role(shop, partitions), settings, KafkaSettings(), bootstrap, instance_id=instance_id)


async def serve(app: EngineApp) -> None:
    """Run an app until SIGTERM, or until it crashes."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    logging.getLogger(__name__).info(SERVING)
    running = asyncio.create_task(app.start())
    ended = asyncio.create_task(app.wait_until_stopped())
    await asyncio.wait((asyncio.create_task(asked.wait()), ended), return_when=asyncio.FIRST_COMPLETED)
    await app.stop()
    await running
    if app.crash_reason is not None:
        raise app.crash_reason


def main() -> None:
    """Read the arguments and serve."""
    bootstrap, shop, partitions, data, instance_id = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")

    async def run() -> None:
        await serve(counting_app(bootstrap, shop, int(partitions), Path(data), instance_id or None))

    uvloop.run(run())


if __name__ == "__main__":
    main()
