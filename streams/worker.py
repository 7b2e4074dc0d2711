"""One worker process: the roles it was given, and the replica they need.

    catalogue ──► [encoder]    ──► embeddings ──► replica ─┐
    events    ──► [profiles]   ◄────────────────────┼──────┤ ──► recommendations
                      ├─► pairs ──┬─► [neighbours] ─┤      │
                      │           └─► [head] ───────┤      │
                      └─► examples ─► [ranker] ─────┘      │
    questions ──► [answers]    ◄───────────────────────────┘ ──► answers

Each role is a Faust app of its own with its own consumer group, so that roles scale apart; one process may run all.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import structlog

from streams import modelplan, policies, rivals
from streams.admin import require_topics
from streams.agents.head import HeadHandler
from streams.agents.neighbours import NeighboursHandler
from streams.agents.profiles import ProfilesHandler
from streams.agents.ranker import RankerHandler, learning_of
from streams.edge import Limits, limits_of
from streams.encoding import EncoderRoles, LoadEncoder, Stop
from streams.engine import app as engine
from streams.engine.app import EngineApp
from streams.errors import UpwellError
from streams.health import Health
from streams.heap import keep_loaded
from streams.helpdesk import Helpdesk
from streams.locking import alone
from streams.replicas import Replica
from streams.replication import Progress, Replication
from streams.settings import KafkaSettings, Settings
from streams.snapshots import IndexKeeper
from streams.telemetry.indexing import Applied, watch_index
from streams.telemetry.observing import Heard, observe, watch_ends
from streams.topics import Topics, topics
from streams.watchdog import guard_loop, watch
from streams.web.probes import probes

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from streams.telemetry.tracing import Tracing

TELL_S = 2.0
COLLECT_MS = 200
"""How long pairs are collected, so that a row of neighbours is written once for many of them."""
SAVE_S = 300.0
"""How often the index is saved while it changes."""

_log = structlog.get_logger(__name__)


class Role(StrEnum):
    """What a worker can do."""

    ENCODER = "encoder"
    PROFILES = "profiles"
    NEIGHBOURS = "neighbours"
    HEAD = "head"
    RANKER = "ranker"
    ANSWERS = "answers"


class WorkerError(UpwellError):
    """A part of the worker ended by itself, and the worker with it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Kafka to work with."""

    bootstrap: str
    kafka: KafkaSettings


async def run(
    settings: Settings,
    cluster: Cluster,
    roles: Collection[Role],
    load_encoder: LoadEncoder,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Run roles until SIGTERM or SIGINT, then finish the batch at hand, commit and leave.

    Args:
        settings: of the worker.
        cluster: the Kafka to work with.
        roles: which, at least one.
        load_encoder: called for the roles `encoder` and `answers`.
        on_ready: called when everything runs.

    Raises:
        ConfigError: a setting is wrong, or the port of the probes is taken.
        ContractError: the live topics are not what the contract says.
        DataError: another worker has the data directory.
        WorkerError, StalledError: a part ended by itself, or does nothing.
    """
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    work = asyncio.create_task(_work(settings, cluster, roles, load_encoder, on_ready))
    stopping = asyncio.create_task(signalled.wait())
    await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not work.done():
        _log.info("stopping")
        work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _work(
    settings: Settings,
    cluster: Cluster,
    roles: Collection[Role],
    load_encoder: LoadEncoder,
    on_ready: Callable[[], None],
) -> None:
    contract = topics(settings.shop, settings.partitions)
    limits = limits_of(settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(alone(settings.data_dir))
        await require_topics(cluster.bootstrap, cluster.kafka, contract)
        stack.enter_context(rivals.watched(settings.instance))
        parts = _Parts(settings, cluster, stack)
        if settings.probe_port is not None:
            await stack.enter_async_context(probes(parts.health, settings.probe_port, settings.probe_host))
        if Role.ENCODER in roles:
            await parts.encode(contract, limits, load_encoder)
        if Role.NEIGHBOURS in roles:
            adding = NeighboursHandler(contract.pairs)
            await parts.consume(
                engine.Role(
                    "neighbours",
                    contract.pairs,
                    (contract.neighbours,),
                    contract.dlq,
                    adding,
                    collect_ms=COLLECT_MS,
                )
            )
        if Role.RANKER in roles:
            learns = RankerHandler(settings.ranker_rate)
            await parts.consume(
                engine.Role(
                    "ranker", contract.examples, (contract.ranker,), contract.dlq, learns, collect_ms=COLLECT_MS
                )
            )
        if {Role.PROFILES, Role.HEAD, Role.ANSWERS}.intersection(roles):
            # A stack of its own: the index must outlive the role that asks it, though it may be made later.
            indexes = await stack.enter_async_context(contextlib.AsyncExitStack())
            keeper = IndexKeeper(settings.data_dir / "index", indexes)
            replica = Replica(contract, keeper.make, limits)
            helpdesk = Helpdesk(settings, replica) if Role.ANSWERS in roles else None
            await parts.replicate(replica, contract, keeper)
            if Role.PROFILES in roles:
                policy = policies.of(settings)
                profiles = ProfilesHandler(contract, replica, policy, limits, learning_of(settings))
                profiles.observer = Heard(parts.health.telemetry)
                tables = (contract.trending, contract.erasures, contract.profiles)
                role = engine.Role("profiles", contract.events, tables, contract.dlq, profiles, also=(contract.merges,))
                await parts.consume(role)
            if Role.HEAD in roles:
                teaching = HeadHandler(contract.pairs, replica)
                learning = engine.Role(
                    "head", contract.pairs, (contract.head,), contract.dlq, teaching, collect_ms=COLLECT_MS
                )
                await parts.consume(learning)
            if helpdesk is not None:
                await parts.answer(helpdesk, contract, limits, load_encoder)
        keep_loaded()
        parts.health.starting = None
        on_ready()
        await parts.first_to_end()


class _Parts:
    """What a worker runs. Each part is stopped with the stack; none of them should end before."""

    def __init__(self, settings: Settings, cluster: Cluster, stack: contextlib.AsyncExitStack) -> None:
        self.health = Health()
        self._settings = settings
        self._cluster = cluster
        self._stack = stack
        self._tasks: set[asyncio.Task[None]] = set()
        self._over: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
        self._apps: dict[str, EngineApp] = {}
        self._tracer: TracerProvider | None = None
        self._run("loop", guard_loop())
        self._run("ends", watch_ends(self.health.telemetry, self._apps, cluster.bootstrap, cluster.kafka))

    async def encode(self, contract: Topics, limits: Limits, load: LoadEncoder) -> None:
        """Start the encoder roles, and change them as the shop changes its model."""
        settings, cluster = self._settings, self._cluster
        roles = EncoderRoles(contract, limits, settings.encode_batch, settings.model, load, self.consume)
        self.health.encoders = roles.encoders
        plans = modelplan.changes(cluster.bootstrap, cluster.kafka, contract)
        try:
            plan = await anext(plans)
            there = None if plan else await modelplan.stamped(cluster.bootstrap, cluster.kafka, contract)
            await roles.begin(plan, there)
        except BaseException:
            await plans.aclose()
            raise

        async def follow() -> None:
            async for plan in plans:
                if plan is not None:
                    await roles.obey(plan)

        self._run("models", follow())

    async def answer(self, helpdesk: Helpdesk, contract: Topics, limits: Limits, load: LoadEncoder) -> None:
        """Start the role that answers questions."""
        where = self._cluster.bootstrap, self._cluster.kafka
        await self.consume(await helpdesk.role(contract, limits, load, where, self._stack, self._run))

    async def consume(self, role: engine.Role) -> Stop:
        """Start a role; what is returned stops it before the worker does."""
        tracing = self._tracing(role.name) if self._settings.traces else None
        if tracing is not None:
            role = replace(role, handler=tracing.handler(role.handler))
        app = engine.build_app(
            role, self._settings, self._cluster.kafka, self._cluster.bootstrap, instance_id=self._settings.instance
        )
        if tracing is not None:
            app.committer = tracing.committer(app.committer)
        observe(app, self.health.telemetry)
        self._stack.push_async_callback(app.stop)  # also where starting is interrupted
        await app.start()
        self._apps[role.name] = app
        self.health.parts.append(app.stats)
        patience = self._settings.stall_timeout_s
        tasks = [
            self._run(role.name, _ended(app)),
            self._run(f"{role.name} watchdog", watch(app, self._cluster.bootstrap, self._cluster.kafka, patience)),
        ]
        _log.info("role runs", role=role.name)

        async def stop() -> None:
            self.health.parts.remove(app.stats)
            del self._apps[role.name], self.health.telemetry.roles[role.name]
            for task in tasks:
                self._tasks.discard(task)
                await _cancelled(task)
            await app.stop()

        return stop

    def _tracing(self, role: str) -> "Tracing":
        from streams.telemetry import tracing

        if self._tracer is None:
            self._tracer = tracing.provider()
            self._stack.push_async_callback(asyncio.to_thread, self._tracer.shutdown)
        return tracing.Tracing(role, self._tracer)

    async def replicate(self, replica: Replica, contract: Topics, keeper: IndexKeeper) -> None:
        """Fill the replica, then keep it current, and its index on disk."""
        replication = Replication(
            replica, contract, self._cluster.bootstrap, self._cluster.kafka, self._settings.fetch_wait_ms
        )
        self._stack.push_async_callback(replication.stop)
        await keeper.restore(replica)
        await replication.load(_Teller())
        _log.info("replica is loaded", items=len(replica.facts), searchable=replica.searchable)
        self._stack.push_async_callback(keeper.save, replica)
        telemetry = self.health.telemetry
        replication.on_applied = Applied(telemetry, contract, replica)
        self._run("replica", replication.follow())
        self._run("index", watch_index(telemetry, replica, keeper.directory))
        self._run("saving", keeper.save_every(SAVE_S, replica))

    async def first_to_end(self) -> None:
        """Wait for a part that ends; raises what it ended with."""
        (await self._over.get()).result()

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._over.put_nowait(task) if task in self._tasks else None)
        self._stack.push_async_callback(_cancelled, task)
        return task


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for it; how it ends does not matter any more."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _ended(app: EngineApp) -> None:
    """Wait for an app that should not end by itself."""
    await app.wait_until_stopped()
    raise WorkerError(f"the {app.stats.role} role ended: {app.crash_reason!r}") from app.crash_reason


class _Teller:
    """Logs how far loading is, now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + TELL_S

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() >= self._next:
            self._next += TELL_S
            _log.info("loading replica", records=progress.done, of=progress.total)
