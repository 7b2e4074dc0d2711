"""Our engine with one of the handlers: `python -m benchmarks.engine_load.engine JOB`."""

import asyncio
from pathlib import Path

import uvloop

from benchmarks.engine_load.child import Job, Meter, Usage, leave
from benchmarks.engine_load.handlers import CountHandler, DecodeHandler, ProfileHandler, RetrievalHandler, count_in
from benchmarks.engine_load.load import create, load_graph, load_vectors, topic
from streams.engine.app import EngineApp, Role, build_app
from streams.engine.effects import Batch, Effects, Handler, Reader
from streams.settings import KafkaSettings, Settings

POLL_S = 0.002


class Metered:
    """A handler that starts the meter with its first batch."""

    def __init__(self, handler: Handler, meter: Meter) -> None:
        self._handler = handler
        self._meter = meter

    async def __call__(self, batch: Batch, read: Reader) -> Effects:
        """See `Handler`."""
        self._meter.start()
        return await self._handler(batch, read)


async def run(role: Role, job: Job, meter: Meter) -> tuple[EngineApp, Usage]:
    """Run a role until enough events are committed. The app that comes back still runs."""
    settings = Settings(shop=job.name, partitions=job.partitions, data_dir=Path(job.directory))
    app = build_app(role, settings, KafkaSettings(), job.bootstrap)
    await app.start()
    while app.stats.records < job.events:
        if app.should_stop:
            raise RuntimeError(f"the role ended: {app.crash_reason!r}")
        await asyncio.sleep(POLL_S)
    return app, meter.finish(app.stats.records)


def _handler(job: Job, out: str) -> tuple[Handler, str | None]:
    """The handler of a work, and the name of its table."""
    match job.work:
        case "decode":
            return DecodeHandler(), None
        case "count":
            return CountHandler(), "counts"
        case "profile":
            return ProfileHandler(load_vectors(job.items)), "profiles"
        case "retrieval":
            return RetrievalHandler(load_vectors(job.items), load_graph(job.items), out), "profiles"
    raise ValueError(f"the engine has no work {job.work!r}")


async def main(job: Job) -> None:
    """Do the job, check what came of it, and leave."""
    meter = Meter()
    out, dlq = topic(f"{job.name}.out", job.partitions), topic(f"{job.name}.dlq", 1)
    handler, table = _handler(job, out.name)
    tables = (topic(f"{job.name}.{table}", job.partitions, table=table),) if table else ()
    await create(job.bootstrap, [out, dlq, *tables])
    role = Role(job.work, topic(job.topic, job.partitions), tables, dlq, Metered(handler, meter))
    app, usage = await run(role, job, meter)
    if app.stats.rejected:
        raise RuntimeError(f"records were refused: {dict(app.stats.rejected)}")
    if job.work == "count":
        _check_counts(app, job, usage)
    leave(usage)


def _check_counts(app: EngineApp, job: Job, usage: Usage) -> None:
    stores = [app.tables["counts"].partition(number) for number in range(job.partitions)]
    counted = sum(count_in(row) for store in stores for _, row in store.items())
    if counted < usage.events:
        raise RuntimeError(f"the rows count {counted} events, {usage.events} were acknowledged")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(Job.given()))
