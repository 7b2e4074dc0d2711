"""One serving process: the replica and the copy of the profiles, kept current, behind HTTP.

    catalogue, embeddings, trending ─► replica ──┐
    profiles ─► RocksDB copy ────────────────────┼─► recommender ─► HTTP
    HTTP ─► events, catalogue (Kafka)            │
                    query encoder ───────────────┘

It is in no consumer group and owns nothing: start as many as are wanted, wherever.
"""

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import structlog
from aiohttp import web

from streams import policies
from streams.admin import require_topics
from streams.answering import Answerer
from streams.core.answers.lexicon import Lexicon
from streams.edge import limits_of
from streams.engine.publisher import Publisher
from streams.errors import ConfigError
from streams.health import Health
from streams.heap import keep_loaded
from streams.profile_replica import ProfileReplication
from streams.recommender import TOGETHER
from streams.replicas import Replica
from streams.replication import Replication
from streams.serving import LoadEncoder, Serving, TextSearch
from streams.settings import ApiSettings, KafkaSettings, Settings
from streams.snapshots import IndexKeeper
from streams.telemetry.indexing import Applied, watch_index
from streams.telemetry.instruments import Telemetry
from streams.telemetry.requests import Follow, untold
from streams.together import Together
from streams.topics import Topics, topics
from streams.watchdog import guard_loop
from streams.web import application
from streams.web.admission import Admission, Buckets
from streams.web.application import Front
from streams.web.door import Bounds, Door, Site
from streams.web.endpoints import Service
from streams.web.gate import Gate
from streams.web.live import Live
from streams.web.metrics import HttpMetrics
from streams.web.probes import registry_of
from streams.web.securing import Secured, secured
from streams.web.watch import Watch
from streams.wording import Wording

SAVE_S = 300.0
"""How often the index is saved while it changes."""

MEASURE_S = 5.0

LINE_BYTES = 1 << 16
"""A request line may have so many: the longest parameters there are, percent-encoded."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """Everything a serving process is told."""

    settings: Settings
    api: ApiSettings
    kafka: KafkaSettings
    bootstrap: str


async def run(
    told: Told, load_encoder: LoadEncoder | None, on_listening: Callable[[str], None] = lambda url: None
) -> None:
    """Serve until SIGTERM or SIGINT; requests that are being worked on are finished.

    Args:
        told: what to serve, and how.
        load_encoder: gets a model by name, for searching by text; None to do without.
        on_listening: called with the URL once it is ready for requests.

    Raises:
        ConfigError: a setting is wrong, or the address cannot be listened on.
        ContractError: the live topics are not what the contract says.
        StoreLockedError: another process serves from this data directory.
    """
    work = asyncio.create_task(_serve(told, load_encoder, on_listening))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _serve(told: Told, load_encoder: LoadEncoder | None, on_listening: Callable[[str], None]) -> None:
    settings, contract = told.settings, topics(told.settings.shop, told.settings.partitions)
    guarded = secured(told.api)
    wording = Wording(settings.answer_templates)
    await require_topics(told.bootstrap, told.kafka, contract)
    async with contextlib.AsyncExitStack() as stack:
        state = await _State.opened(told, contract, stack)
        search = TextSearch(load_encoder, state.replica) if load_encoder else None
        if search is not None:
            await search.begin()
        options = {"bootstrap_servers": told.bootstrap, **told.kafka.client_options()}
        publisher = Publisher(options, settings.partitioner)
        stack.push_async_callback(publisher.stop)
        serving = Serving(state.replica, lambda: state.profiles.replica, policies.of(settings), contract)
        recommending = Together(serving.recommend, TOGETHER)
        searching = Together(search.vectors, TOGETHER) if search else None
        repeats = limits_of(settings).pseudonyms is None
        answering = Together(Answerer(serving, search, wording, repeats=repeats).answer, TOGETHER)
        service = Service(serving, recommending, search, searching, answering, publisher, contract, limits_of(settings))
        watch = Watch(told.bootstrap, told.kafka, settings.shop, contract, state.profiles)
        live = Live(contract, state.replica, watch.look, limits_of(settings))
        front = replace(front_of(told.api, guarded, live), follow=following(stack) if settings.traces else untold)
        tasks = [guard_loop(), _measured(front, state), live.run(watch.read), live.beat()]
        tasks += [search.follow()] if search else []
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(task) for task in tasks]
            try:
                app = application.build(service, front)
                async with _listening(app, told.api, guarded.tls, front.metrics) as url:
                    _log.info("listening; reading the topics", url=url)
                    await state.load()
                    background += [
                        group.create_task(task) for task in state.following(front.health.telemetry, contract)
                    ]
                    keep_loaded()
                    front.health.starting = None
                    on_listening(url)
                    await asyncio.Event().wait()
            finally:
                for task in background:
                    task.cancel()


class _State:
    """What is read of the topics."""

    def __init__(
        self, replica: Replica, replication: Replication, keeper: IndexKeeper, profiles: ProfileReplication
    ) -> None:
        self.replica = replica
        self.profiles = profiles
        self._replication = replication
        self._keeper = keeper

    @classmethod
    async def opened(cls, told: Told, contract: Topics, stack: contextlib.AsyncExitStack) -> "_State":
        """With nothing read yet; closed with the stack. In a directory apart from that of a worker beside it."""
        settings, home = told.settings, told.settings.data_dir / "serve"
        wait = settings.fetch_wait_ms
        profiles = ProfileReplication(
            home / "profiles", settings.rocksdb_cache_mb, contract.profiles, told.bootstrap, told.kafka, wait
        )
        stack.push_async_callback(profiles.stop)
        # A stack of its own: the index must outlive whoever asks it, though it may be made later.
        indexes = await stack.enter_async_context(contextlib.AsyncExitStack())
        keeper = IndexKeeper(home / "index", indexes)
        replica = Replica(contract, keeper.make, limits_of(settings))
        replica.lexicon = Lexicon()
        replication = Replication(replica, contract, told.bootstrap, told.kafka, wait)
        stack.push_async_callback(replication.stop)
        stack.push_async_callback(keeper.save, replica)
        return cls(replica, replication, keeper, profiles)

    async def load(self) -> None:
        """Read all that is there."""
        await self._keeper.restore(self.replica)
        await self._replication.load()
        await self.profiles.load()
        _log.info("state is loaded", items=len(self.replica.facts), searchable=self.replica.searchable)

    def following(self, telemetry: Telemetry, contract: Topics) -> list[Coroutine[Any, Any, None]]:
        """What keeps it current, to be run until cancelled."""
        self._replication.on_applied = Applied(telemetry, contract, self.replica)
        return [
            self._replication.follow(),
            self.profiles.follow(),
            self._keeper.save_every(SAVE_S, self.replica),
            watch_index(telemetry, self.replica, self._keeper.directory),
        ]


def following(stack: contextlib.AsyncExitStack) -> Follow:
    """Tells OpenTelemetry of requests, until the stack ends."""
    from streams.telemetry import tracing

    provider = tracing.provider()
    stack.push_async_callback(asyncio.to_thread, provider.shutdown)
    return tracing.Requests(provider).follow


def front_of(api: ApiSettings, guarded: Secured, live: Live) -> Front:
    """What stands before the endpoints; not ready yet."""
    health = Health(starting="reading the topics")
    registry = registry_of(health)
    admission = Admission(api.concurrency, api.queue, api.deadline_ms / 1000)
    metrics = HttpMetrics(registry)
    metrics.waiting.set_function(lambda: admission.waiting)
    gate = Gate(guarded.keyring, guarded.tokens, Buckets(api.rate, api.burst))
    return Front(gate, admission, health, registry, metrics, live, api.max_body_bytes)


async def _measured(front: Front, state: _State) -> None:
    """Keep the numbers that have to be asked for, until cancelled."""
    front.metrics.items.set_function(lambda: len(state.replica.facts))
    front.metrics.searchable.set_function(lambda: state.replica.searchable)
    while True:
        await asyncio.sleep(MEASURE_S)
        if not front.health.starting and (lag := await state.profiles.lag()) is not None:
            front.metrics.profile_lag.set(lag)


@contextlib.asynccontextmanager
async def _listening(
    app: web.Application, api: ApiSettings, tls: ssl.SSLContext | None, metrics: HttpMetrics
) -> AsyncIterator[str]:
    """Serve an application; hands out its URL."""
    # The library's own log lines show what a malformed request said.
    quiet = logging.getLogger(f"{__name__}.protocol")
    quiet.setLevel(logging.CRITICAL)
    door = Door(Bounds(api.connections, api.connections_each, api.idle_s), metrics.turned_away.inc)
    metrics.connections.set_function(lambda: door.open)
    runner = web.AppRunner(app, shutdown_timeout=api.deadline_ms / 1000 + 1)
    await runner.setup()
    try:
        site = Site(
            runner,
            door,
            (api.host, api.port),
            tls,
            access_log=None,
            logger=quiet,
            max_line_size=LINE_BYTES,
            # Counts from the connection to the end of the first request's headers, and then between requests: whoever
            # sends them drop by drop holds no connection for longer.
            keepalive_timeout=api.idle_s,
        )
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {api.host} port {api.port} ({error.strerror}): choose others with UPWELL_API_HOST "
                "and UPWELL_API_PORT"
            ) from None
        host = f"[{api.host}]" if ":" in api.host else api.host
        yield f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
