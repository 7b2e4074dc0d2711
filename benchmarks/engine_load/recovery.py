"""Recovery of a table from its changelog onto an empty disk: `python -m benchmarks.engine_load.recovery JOB`."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import uvloop

from benchmarks.engine_load.child import Job, Meter, Usage, leave
from benchmarks.engine_load.engine import POLL_S
from benchmarks.engine_load.handlers import DecodeHandler
from benchmarks.engine_load.load import create, topic
from streams.engine.app import Role, build_app
from streams.engine.rows import header
from streams.settings import KafkaSettings, Settings

ROW_BYTES = 1024


def rows(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Rows of a changelog, each with a key of its own, that do not compress."""
    rng = random.Random(1)
    for number in range(count):
        start = header(1, number)
        yield b"u-%08d" % number, start + rng.randbytes(ROW_BYTES - len(start))


async def recover(job: Job) -> Usage:
    """The job's topic is the changelog, its events are rows."""
    source, dlq = topic(f"{job.name}.in", job.partitions), topic(f"{job.name}.dlq", 1)
    await create(job.bootstrap, [source, dlq])
    table = topic(job.topic, job.partitions, table="rows")
    settings = Settings(shop=job.name, partitions=job.partitions, data_dir=Path(job.directory))
    app = build_app(Role("recovery", source, (table,), dlq, DecodeHandler()), settings, KafkaSettings(), job.bootstrap)
    starting = asyncio.create_task(app.start())
    meter = Meter()
    while app.stats.recovered < job.events:
        if app.stats.recovered:
            meter.start()
        await asyncio.sleep(POLL_S)
    usage = meter.finish(app.stats.recovered)
    await starting
    return usage


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        leave(runner.run(recover(Job.given())))
