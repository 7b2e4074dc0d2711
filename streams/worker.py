"""One worker process: the roles it was given, and the replica they need.

    catalogue ──► [encoder]  ──► embeddings ──► replica ─┐
    events    ──► [profiles] ◄───────────────────────────┘ ──► recommendations

Each role is a Faust app of its own with its own consumer group, so that roles scale apart; one process may run all.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from enum import StrEnum
from typing import Any

import structlog

from encoders.base import Encoder
from streams.admin import require_topics
from streams.agents.encoder import EncoderHandler
from streams.agents.profiles import ProfilesHandler
from streams.core.policy import Policy
from streams.edge import limits_of
from streams.engine import app as engine
from streams.engine.app import EngineApp, build_app
from streams.errors import UpwellError
from streams.replicas import Replica
from streams.replication import Progress, Replication
from streams.settings import KafkaSettings, Settings
from streams.snapshots import IndexKeeper
from streams.topics import topics

TELL_S = 2.0
SAVE_S = 300.0
"""How often the index is saved while it changes."""

_log = structlog.get_logger(__name__)


class Role(StrEnum):
    """What a worker can do."""

    ENCODER = "encoder"
    PROFILES = "profiles"


class WorkerError(UpwellError):
    """A part of the worker ended by itself, and the worker with it."""


async def run(
    settings: Settings,
    kafka: KafkaSettings,
    bootstrap: str,
    roles: Collection[Role],
    load_encoder: Callable[[], Encoder],
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Run roles until SIGTERM or SIGINT, then finish the batch at hand, commit and leave.

    Args:
        settings: of the worker.
        kafka: how to talk to the cluster.
        bootstrap: host:port of the cluster.
        roles: which, at least one.
        load_encoder: called for the role `encoder`.
        on_ready: called when everything runs.

    Raises:
        ContractError: the live topics are not what the contract says.
        WorkerError: a part ended by itself.
    """
    contract = topics(settings.shop, settings.partitions)
    await require_topics(bootstrap, kafka, contract)
    async with contextlib.AsyncExitStack() as stack:
        parts: list[asyncio.Task[Any]] = [_task("signal", _signalled())]
        limits = limits_of(settings)
        if Role.ENCODER in roles:
            encoder = EncoderHandler(await asyncio.to_thread(load_encoder), limits)
            role = engine.Role("encoder", contract.catalogue, (contract.embeddings,), contract.dlq, encoder)
            parts.append(await _started(stack, build_app(role, settings, kafka, bootstrap)))
        if Role.PROFILES in roles:
            # A stack of its own: the index must outlive the role that asks it, though it may be made later.
            indexes = await stack.enter_async_context(contextlib.AsyncExitStack())
            keeper = IndexKeeper(settings.data_dir / "index", indexes)
            replica = Replica(contract, keeper.make, limits)
            replication = Replication(replica, contract, bootstrap, kafka, settings.fetch_wait_ms)
            parts += await stack.enter_async_context(_replicated(replica, replication, keeper))
            policy = Policy(name=settings.policy, size=settings.recommend)
            profiles = ProfilesHandler(contract, replica, policy, limits)
            tables = (contract.trending, contract.profiles)
            role = engine.Role("profiles", contract.events, tables, contract.dlq, profiles)
            parts.append(await _started(stack, build_app(role, settings, kafka, bootstrap)))
        on_ready()
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            part.result()
            _log.info("stopping", because=part.get_name())


def _task(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=name)


async def _signalled() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def _started(stack: contextlib.AsyncExitStack, app: EngineApp) -> asyncio.Task[None]:
    """Start an app, to be stopped with the stack. The task ends when the app does, and fails if it crashed."""

    async def ended() -> None:
        await app.wait_until_stopped()
        raise WorkerError(f"the {app.stats.role} role ended: {app.crash_reason!r}") from app.crash_reason

    await app.start()
    stack.push_async_callback(app.stop)
    _log.info("role runs", role=app.stats.role)
    watch = _task(app.stats.role, ended())
    stack.callback(watch.cancel)
    return watch


@contextlib.asynccontextmanager
async def _replicated(
    replica: Replica, replication: Replication, keeper: IndexKeeper
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Fill the replica, then keep it current, and its index on disk, in the tasks that are handed out."""
    try:
        await keeper.restore(replica)
        await replication.load(_Teller())
        _log.info("replica is loaded", items=len(replica.facts), searchable=replica.searchable)
        tasks = [_task("replica", replication.follow()), _task("saving", keeper.save_every(SAVE_S, replica))]
        yield tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await keeper.save(replica)
    finally:
        await replication.stop()


class _Teller:
    """Logs how far loading is, now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + TELL_S

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() >= self._next:
            self._next += TELL_S
            _log.info("loading replica", records=progress.done, of=progress.total)
