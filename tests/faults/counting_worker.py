"""A worker process of the counting role: `main` takes the arguments BOOTSTRAP SHOP PARTITIONS INSTANCE.

Data directory and port of its probes come from the environment, as with `upwell worker`. Ends on SIGTERM in good order,
with exit code 0.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import uvloop

from streams.engine import publisher, store
from streams.engine.app import EngineApp, build_app
from streams.health import Health
from streams.settings import KafkaSettings, Settings
from streams.web.probes import probes
from tests.faults.counting import role
from tests.faults.without import take_away

SESSION_S = 6.0
"""The shortest that Apache Kafka allows unless told otherwise."""

SERVING = "serving until SIGTERM"
"""Logged when SIGTERM is listened for."""

_MEMTABLE_BYTES = 64 << 10
_REQUEST_MS = 2_000


def counting_app(bootstrap: str, shop: str, partitions: int, data: Path, instance_id: str | None = None) -> EngineApp:
    """An app of the counting role, with small batches: more of them to be cut off in the middle."""
    settings = Settings(
        shop=shop, partitions=partitions, data_dir=data, session_timeout_s=SESSION_S, fetch_max_records=100
    )
    return build_app(role(shop, partitions), settings, KafkaSettings(), bootstrap, instance_id=instance_id)


async def serve(app: EngineApp, port: int) -> None:
    """Run an app until SIGTERM, or until it crashes."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    logging.getLogger(__name__).info(SERVING)
    async with probes(Health([app.stats], starting=None), port):
        running = asyncio.create_task(app.start())
        ended = asyncio.create_task(app.wait_until_stopped())
        await asyncio.wait((asyncio.create_task(asked.wait()), ended), return_when=asyncio.FIRST_COMPLETED)
        await app.stop()
        await running
    if app.crash_reason is not None:
        raise app.crash_reason


def main() -> None:
    """Read the arguments and serve."""
    bootstrap, shop, partitions, instance_id = sys.argv[1:]
    settings = Settings()
    assert settings.probe_port is not None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    take_away()
    # Small memtables and short requests: more flushes to be cut off, more sends that are given up and tried again.
    store._WRITE_BUFFER = _MEMTABLE_BYTES
    publisher._REQUEST_MS = _REQUEST_MS

    async def run(probe_port: int) -> None:
        app = counting_app(bootstrap, shop, int(partitions), settings.data_dir, instance_id or None)
        await serve(app, probe_port)

    uvloop.run(run(settings.probe_port))
