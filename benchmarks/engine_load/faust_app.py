"""Plain Faust doing the same count or the same profiles: a table, an agent, one event at a time.

Favoured where that costs nothing in honesty: uvloop, raw serializers with msgspec by hand, rows as packed bytes,
no web server, no leader topic, no standby replicas, no pause for an empty queue.
"""

import asyncio
import os
from typing import Any

import faust
import msgspec
import numpy as np
import uvloop

from benchmarks.engine_load.child import Job, Meter, leave
from benchmarks.engine_load.handlers import DECAY
from benchmarks.engine_load.load import DIM, item_name, load_vectors
from streams.core.events import WEIGHTS
from streams.records import Event

_decode = msgspec.json.Decoder(Event).decode
_NOTHING = bytes(2 * DIM)


async def main(job: Job) -> None:
    """Do the job and leave."""
    app = faust.App(
        job.name, broker=f"kafka://{job.bootstrap}", store="rocksdb://", datadir=job.directory, autodiscover=False,
        key_serializer="raw", value_serializer="raw", topic_partitions=job.partitions, topic_disable_leader=True,
        topic_replication_factor=1, table_standby_replicas=0, stream_wait_empty=False, web_enabled=False,
        consumer_auto_offset_reset="earliest",
    )  # fmt: skip
    source = app.topic(job.topic, key_type=bytes, value_type=bytes, partitions=job.partitions)
    table = app.Table("rows", key_type=bytes, value_type=bytes, partitions=job.partitions)
    update = count if job.work == "count" else Profiles(job)
    meter, done = Meter(), 0

    @app.agent(source)
    async def agent(stream: Any) -> None:
        nonlocal done
        async for event in stream.events():
            meter.start()
            update(table, _decode(event.value))
            done += 1
            if done == job.events:
                await app.producer.flush()
                leave(meter.finish(done))

    await app.start()
    await app.wait_until_stopped()
    os._exit(1)  # only a crash leads here


def count(table: Any, event: Event) -> None:
    """One more event of a shopper."""
    key = str(event.user).encode()
    table[key] = b"%d" % (int(table.get(key) or 0) + 1)


class Profiles:
    """A decayed sum of item vectors for each shopper, as float16."""

    def __init__(self, job: Job) -> None:
        self._items = load_vectors(job.items)
        self._places = {item_name(number): number for number in range(len(self._items))}

    def __call__(self, table: Any, event: Event) -> None:
        """Fold an event into its shopper's profile."""
        key = str(event.user).encode()
        held = np.frombuffer(table.get(key) or _NOTHING, np.float16).astype(np.float32)
        held = held * DECAY + self._items[self._places[str(event.item)]] * WEIGHTS[event.type]
        table[key] = held.astype(np.float16).tobytes()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Job.given()))
