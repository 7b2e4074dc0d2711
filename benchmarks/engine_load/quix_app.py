"""Quix Streams counting events by shopper, state in RocksDB with its changelog. Runs in an environment of its own."""

from typing import Any

from quixstreams import Application
from quixstreams.state import State

from benchmarks.engine_load.child import Job, Meter, answer


def main(job: Job) -> None:
    """Do the job; the last commit is in the measure."""
    app = Application(
        broker_address=job.bootstrap,
        consumer_group=job.name,
        auto_offset_reset="earliest",
        state_dir=job.directory,
        loglevel="ERROR",
    )
    meter, done = Meter(), 0

    def count(event: dict[str, Any], state: State) -> None:
        nonlocal done
        meter.start()
        state.set("events", state.get("events", 0) + 1)
        done += 1
        if done == job.events:
            app.stop()

    events = app.topic(job.topic, value_deserializer="json", key_deserializer="bytes")
    app.dataframe(events).update(count, stateful=True)
    app.run()
    answer(meter.finish(done))


if __name__ == "__main__":
    main(Job.given())
