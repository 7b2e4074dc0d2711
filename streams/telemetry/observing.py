"""Looks at the engine and at Kafka while they work, and tells the instruments.

committer ─► Observed ─► committed(role, partition, offset, times)
handler   ─► Heard    ─► events, duplicates, recommendations
Kafka     ─► watch_ends   every 5 s, one client for all roles

What is behind is counted from what is committed: what is fetched and waits for its turn is not done.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.edge import AcceptedEvent
from streams.engine.effects import Batch
from streams.health import SILENT_S
from streams.records import Recommendation
from streams.settings import KafkaSettings
from streams.telemetry.clicks import Place
from streams.telemetry.instruments import Telemetry
from streams.telemetry.lag import Progress
from streams.watchdog import Watched

if TYPE_CHECKING:
    from streams.engine.app import Commits, EngineApp

LOOK_S = 5.0
RETRY_S = 1.0
"""After a look that failed: one alone must not make a worker that is well seem cut off (`streams.health.SILENT_S`)."""


class Observed:
    """A committer that tells what it committed of the role's source; what else it consumes has offsets of its own."""

    def __init__(self, committer: "Commits", role: str, source: str, telemetry: Telemetry) -> None:
        self._committer = committer
        self._role = role
        self._source = source
        self._telemetry = telemetry

    async def commit(self, batch: Batch, current: Callable[[], bool]) -> bool:
        """See `Committer.commit`."""
        done = await self._committer.commit(batch, current)
        if done and batch.topic == self._source:
            times = [record.timestamp for record in batch.records]
            self._telemetry.committed(self._role, batch.partition, batch.records[-1].offset, times)
        return done


class Heard:
    """What the profiles handler tells: see `streams.agents.profiles.Observer`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def handled(self, events: Iterable[AcceptedEvent], duplicates: int, sent: Iterable[Recommendation]) -> None:
        """A batch was folded."""
        for accepted in events:
            event = accepted.event
            self._telemetry.event(event.type, event.item, event.attributes)
        self._telemetry.duplicates += duplicates
        for one in sent:
            self._telemetry.recommended(one.id, one.policy, [Place(item.item, item.channel) for item in one.items])


def observe(app: "EngineApp", telemetry: Telemetry) -> None:
    """Have an app tell what it commits; `watch_ends` looks at how far it is."""
    role = app.stats.role
    telemetry.roles[role] = Progress()
    app.committer = Observed(app.committer, role, app.source, telemetry)


async def watch_ends(
    telemetry: Telemetry,
    apps: Mapping[str, Watched],
    bootstrap: str,
    kafka: KafkaSettings,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look at the ends of what the apps consume, every `LOOK_S` seconds, until cancelled.

    Args:
        telemetry: is told.
        apps: those that run now, by role.
        bootstrap: host:port[,host:port…].
        kafka: how to talk to it.
        pause: sleeps so many seconds between two looks.
    """
    while True:
        with contextlib.suppress(KafkaError, OSError):  # without a broker there is nothing to look at
            async with _client(bootstrap, kafka) as client:
                while True:
                    for role in list(apps):
                        if (app := apps.get(role)) is None:  # it was stopped while another was looked at
                            continue
                        positions = app.positions()
                        partitions = [TopicPartition(app.source, number) for number in positions]
                        ends = await client.end_offsets(partitions) if partitions else {}
                        if ends:  # each answer counts, however many there are to wait for
                            telemetry.heard = telemetry.now()
                        if role in telemetry.roles:
                            numbers = {place.partition: int(end) for place, end in ends.items()}
                            telemetry.roles[role].looked(telemetry.now(), positions, numbers)
                    await client.topics()  # asks a broker even where nothing is assigned
                    telemetry.heard = telemetry.now()
                    await pause(LOOK_S)
        await pause(RETRY_S)


@contextlib.asynccontextmanager
async def _client(bootstrap: str, kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        # A connection that nobody answers on is given up, or it would be waited for when brokers are long back.
        request_timeout_ms=int(SILENT_S * 1000),
        **kafka.client_options(),
    )
    try:
        await client.start()
        yield client
    finally:
        await client.stop()
