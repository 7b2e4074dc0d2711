"""aiokafka's getmany, and msgspec on top: the cost of reading, under whatever an engine adds.

The records go to nobody, nothing is committed.
"""

import asyncio

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.engine_load.child import Job, Meter, Usage, answer
from streams.records import Event

_decode = msgspec.json.Decoder(Event).decode


async def read(job: Job) -> Usage:
    """Read the events, and decode them if that is the work."""
    consumer = AIOKafkaConsumer(bootstrap_servers=job.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(job.topic, number) for number in range(job.partitions)])
    meter, done = Meter(), 0
    while done < job.events:
        batches = await consumer.getmany(timeout_ms=1000, max_records=2000)
        for records in batches.values():
            meter.start()
            if job.work == "decode":
                for record in records:
                    _decode(record.value)
            done += len(records)
    usage = meter.finish(done)
    await consumer.stop()
    return usage


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer(runner.run(read(Job.given())))
