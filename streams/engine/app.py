"""A Faust app for one role: its topics, its tables, its handler, and every setting that Faust gets wrong for us.

    role = Role("profiles", topics.events, (topics.profiles,), topics.dlq, handler)
    app = build_app(role, settings, kafka, bootstrap)
    await app.start()
    await app.stop()      # finishes the batches at hand, commits, leaves the group

Several apps, one per role, may run on one event loop. The topics must exist (`upwell topics create`).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import faust
from faust.types import TransportT
from mode import CrashingSupervisor
from yarl import URL

from streams.engine.commit import Committer
from streams.engine.consumer import Delivery, transport
from streams.engine.effects import Batch, Handler
from streams.engine.lanes import Lanes
from streams.engine.publisher import Publisher
from streams.engine.stats import Stats
from streams.engine.store import MemoryPartition, PartitionStore, RocksPartition, StoreKind
from streams.engine.table import BulkTable, OpenPartition
from streams.errors import ConfigError
from streams.private import private
from streams.settings import KafkaSettings, Settings
from streams.topics import Topic

_COMMIT_S = 1.0
_BATCHES_WAITING = 4
_COLLECTED_BYTES = 64 * 1024
_GRACE_S = 5.0
_REBALANCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Role:
    """What an app does: read `source`, and `also` others, keep `tables` (by their changelog topics), refuse to `dlq`.

    Batches of one partition of all topics it reads come one after the other, each of one topic. A row has the offset of
    one topic: those that records of another lead to are under other keys.

    A batch has at most `max_records`; None for as many as the settings allow. The broker may hold a fetch back for
    `collect_ms` until there is enough for a batch; with None one record alone is handled at once.
    """

    name: str
    source: Topic
    tables: tuple[Topic, ...]
    dlq: Topic
    handler: Handler
    max_records: int | None = None
    collect_ms: int | None = None
    also: tuple[Topic, ...] = ()

    @property
    def sources(self) -> tuple[Topic, ...]:
        """All that it reads."""
        return (self.source, *self.also)


class Commits(Protocol):
    """`Committer`, or what stands around it."""

    async def commit(self, batch: Batch, current: Callable[[], bool]) -> bool:
        """See `Committer.commit`."""
        ...


class EngineApp(faust.App):
    """A Faust app whose data path is the engine's. Made by `build_app`."""

    def __init__(self, role: Role, fetch_wait_ms: int, max_records: int, publisher: Publisher, **options: Any) -> None:
        self.stats = Stats(role.name)
        self.fetch_wait_ms = role.collect_ms or fetch_wait_ms
        self.fetch_min_bytes = _COLLECTED_BYTES if role.collect_ms else 1
        self.source = role.source.name
        self.batch_topics = frozenset(topic.name for topic in role.sources)
        self.committer: Commits
        self.lanes = Lanes(self.consume, max_records)
        self.publisher = publisher
        self._out_of_time = False
        super().__init__(**options)

    async def consume(self, delivery: Delivery) -> bool:
        """Commit a batch. True if it may be acknowledged."""
        if self.should_stop:
            return False
        return await self.committer.commit(
            delivery.batch, lambda: delivery.epoch == self.consumer.epoch and not self._out_of_time
        )

    def positions(self) -> dict[int, int]:
        """Partitions of the source that are assigned here → offset of the next record to read."""
        return self.consumer.positions()  # type: ignore[no-any-return]

    async def on_stop(self) -> None:
        """Finish the batches at hand, take no other."""
        if self._consumer is not None:  # made on first use
            self._consumer.stop_flow()
        self.flow_control.suspend()
        try:
            await asyncio.wait_for(self.lanes.idle(), _GRACE_S)
        except TimeoutError:
            self._out_of_time = True
        if self._consumer is not None:  # before the tables are closed, which note what the group has agreed to
            await self._consumer.commit_what_is_done()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Let go of the producer, when no agent can need it any more."""
        await self.publisher.stop()
        await super().on_shutdown()

    def _new_transport(self) -> TransportT:
        return transport(self)


class RawSchema(faust.Schema):
    """Values as the consumer made them."""

    def __init__(self) -> None:
        super().__init__(key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    def compile(self, app: Any, **_: Any) -> Callable[..., Any]:
        """A decoder that does not decode."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(message.key, message.value, message.headers, message)

        return decode


def build_app(
    role: Role,
    settings: Settings,
    kafka: KafkaSettings,
    bootstrap: str,
    *,
    store: str = StoreKind.ROCKSDB,
    instance_id: str | None = None,
) -> EngineApp:
    """Make the app of a role. Its consumer group is `<shop>.upwell.<role>`.

    Args:
        role: what it does.
        settings: everything of Upwell's.
        kafka: how to talk to the cluster.
        bootstrap: host:port[,host:port…].
        store: `rocksdb://`, or `memory://` for tests.
        instance_id: a name that this worker keeps across restarts, and no other has: with it (static membership) a
            restart within the session timeout moves no partitions.

    Raises:
        ConfigError: an unknown store, or tables that are partitioned unlike their source.
    """
    _check(role)
    directory = settings.data_dir / "tables" / role.name
    private(directory)
    publisher = Publisher({"bootstrap_servers": bootstrap.split(","), **kafka.client_options()})
    app = EngineApp(
        role,
        settings.fetch_wait_ms,
        role.max_records or settings.fetch_max_records,
        publisher,
        id=f"{settings.shop}.upwell.{role.name}",
        broker=[URL(f"kafka://{server}") for server in bootstrap.split(",")],
        datadir=directory,
        **_faust_settings(role, settings, kafka, instance_id),
    )
    tables = _tables(app, role, directory, _opener(StoreKind.parse(store), settings))
    app.committer = Committer(
        role.handler, tables, role.dlq.name, publisher.publish, app.stats, burials=settings.failures_in_a_row
    )
    source = app.topic(*(topic.name for topic in role.sources), schema=RawSchema(), partitions=role.source.partitions)

    # An agent that fails ends the worker: restarted in place it would go on behind the batch that it failed on.
    @app.agent(source, name=role.name, supervisor_strategy=CrashingSupervisor)
    async def agent(stream: Any) -> None:
        await app.lanes.run(stream.noack().events())

    return app


def _check(role: Role) -> None:
    for table in role.tables:
        if table.table is None:
            raise ConfigError(f"{table.name} is not the changelog of a table")
    for other in (*role.tables, *role.also):
        if other.partitions != role.source.partitions:
            raise ConfigError(
                f"{other.name} has {other.partitions} partitions and the source {role.source.name} has "
                f"{role.source.partitions}; they must be equal, for rows stay on the partition of their records"
            )


def _tables(app: EngineApp, role: Role, directory: Path, open_partition: OpenPartition) -> dict[str, BulkTable]:
    tables = {}
    for topic in role.tables:
        changelog = app.topic(topic.name, schema=RawSchema(), partitions=topic.partitions, acks=False)
        table = BulkTable(
            app, directory=directory, open_partition=open_partition,
            name=topic.table, partitions=topic.partitions, changelog_topic=changelog,
        )  # fmt: skip
        tables[str(topic.table)] = app.tables.add(table)
    return tables


def _opener(kind: StoreKind, settings: Settings) -> OpenPartition:
    def open_partition(path: Path) -> PartitionStore:
        return RocksPartition(path, settings.rocksdb_cache_mb) if kind is StoreKind.ROCKSDB else MemoryPartition()

    return open_partition


def _faust_settings(role: Role, settings: Settings, kafka: KafkaSettings, instance_id: str | None) -> dict[str, Any]:
    session = settings.session_timeout_s
    return {
        "autodiscover": False,
        "broker_client_id": f"upwell-{role.name}",
        "broker_commit_interval": _COMMIT_S,
        "broker_credentials": _credentials(kafka),
        "broker_heartbeat_interval": min(3.0, session / 4),
        "broker_max_poll_records": role.max_records or settings.fetch_max_records,
        "broker_rebalance_timeout": max(_REBALANCE_S, session),
        "broker_request_timeout": max(40.0, session),
        "broker_session_timeout": session,
        "consumer_auto_offset_reset": "earliest",
        "consumer_group_instance_id": instance_id,
        "key_serializer": "raw",
        "recovery_consistency_check": False,  # streams.engine.recovery says what to do
        "value_serializer": "raw",
        "stream_buffer_maxsize": _BATCHES_WAITING,
        "stream_recovery_delay": 0.0,
        "stream_wait_empty": False,
        "table_standby_replicas": 0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "topic_partitions": role.source.partitions,
        "web_enabled": False,
    }


def _credentials(kafka: KafkaSettings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    options = kafka.client_options()
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            mechanism=options["sasl_mechanism"],
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None
