"""Lets a shop's state go, so that workers rebuild it from the events and the catalogue.

    committed offsets ──► rows on the state topics ──► this machine's directories

In this order: a crash in between leaves workers that read everything once more, and never ones that go on from a
committed offset without the state that belongs to it.

Rows are deleted by tombstones, as an operator does it: they delete whatever the age of the row. So the topics keep
their configuration and offsets, and a worker on another machine whose store still has the rows loses them as soon as
it has caught up with its changelog.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, KafkaError

from streams import changelogs, follow
from streams.admin import admin_client, patiently
from streams.encoding import FIRST
from streams.engine.effects import Output
from streams.engine.publisher import Publisher
from streams.errors import BrokerError, UpwellError
from streams.follow import Start
from streams.settings import KafkaSettings, Settings
from streams.topics import Topic, Topics

_SOURCES = {
    "encoder": ("catalogue", Start.BEGINNING),
    "profiles": ("events", Start.BEGINNING),
    # Pairs are made anew from the events: those on the topic are passed over.
    "neighbours": ("pairs", Start.LATEST),
    "head": ("pairs", Start.LATEST),
    # So are examples.
    "ranker": ("examples", Start.LATEST),
}
"""What each role reads, and where it shall begin."""

_ALSO = {"profiles": ("merges", Start.LATEST)}
"""What a role reads beside it: moves are made anew from the events, too."""

_NEXT = f"{FIRST}-"
"""How the roles begin that encode with another model than a shop's first."""

_TOGETHER = 2_000
_MEMBERS = 5  # (error code, group, state, protocol type, protocol, members, …)


class AliveError(UpwellError):
    """Workers are running."""


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group: what it reads, where it shall begin, by partition how many records it is off."""

    name: str
    source: Topic
    start: Start
    away: dict[int, int]


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of this machine that can be made again, with its size in bytes."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """All that a reset lets go."""

    groups: list[Group]
    rows: dict[str, list[tuple[int, bytes]]]
    """By topic: partition and key of every row."""
    directories: list[Directory]

    @property
    def empty(self) -> bool:
        """There is nothing to let go."""
        return not (any(group.away for group in self.groups) or any(self.rows.values()) or self.directories)


@dataclass(frozen=True, slots=True)
class Reset:
    """The reset of one shop on one cluster."""

    settings: Settings
    kafka: KafkaSettings
    topics: Topics
    bootstrap: str

    async def look(self) -> Holdings:
        """What there is.

        Raises:
            BrokerError: the cluster cannot be reached.
        """
        rows = {}
        async with follow.reader(self.bootstrap, self.kafka) as consumer:
            for topic in self.topics:
                # The ledger of erasures stays: what it covers must not be folded again.
                state = topic.table is not None and topic != self.topics.erasures
                if state or topic in (self.topics.models, self.topics.sessions):
                    rows[topic.name] = sorted(await changelogs.rows_of(consumer, topic))
        groups = [await self._group(*group) for group in self._groups(await self._roles())]
        return Holdings(groups, rows, await asyncio.to_thread(self._directories))

    async def insist_on_rest(self) -> None:
        """Make sure that no worker runs.

        Raises:
            AliveError: one does.
            BrokerError: the cluster cannot be reached.
        """
        alive = {}
        roles = await self._roles()
        async with admin_client(self.bootstrap, self.kafka) as client:
            for name, _, _ in self._groups(roles):
                # One at a time: the client misreads an answer about several.
                for answer in await patiently(partial(client.describe_consumer_groups, [name])):
                    for group in answer.groups:
                        if members := group[_MEMBERS]:
                            alive[name] = len(members)
        if alive:
            counts = ", ".join(f"{name} has {count}" for name, count in alive.items())
            raise AliveError(
                f"workers are running ({counts} member{'s' * (sum(alive.values()) != 1)}). Stop them; one that died "
                f"or keeps its place (UPWELL_INSTANCE) is gone after {self.settings.session_timeout_s:g} seconds"
            )

    async def let_go(self, holdings: Holdings, progress: Callable[[int], None] = lambda done: None) -> None:
        """Let everything go.

        Args:
            holdings: what `look` found.
            progress: told how many rows are deleted.

        Raises:
            AliveError: workers run, or started meanwhile.
            BrokerError: the cluster cannot be reached; run it again.
        """
        await self.insist_on_rest()
        for group in holdings.groups:
            if group.away:
                await self._rewind(group)
        await self._delete(holdings.rows, progress)
        for directory in holdings.directories:
            await asyncio.to_thread(_remove, directory.path)
        # A worker that came while rows were being deleted may have written some that are gone now.
        await self.insist_on_rest()

    async def _roles(self) -> list[str]:
        """The roles of workers, those among them that encoded, or do, as a plan of the models says."""
        group = f"{self.settings.shop}.upwell."
        async with admin_client(self.bootstrap, self.kafka) as client:
            known = [name for name, *_ in await patiently(client.list_consumer_groups)]
        return [*_SOURCES, *sorted(name.removeprefix(group) for name in known if name.startswith(group + _NEXT))]

    def _groups(self, roles: Iterable[str]) -> Iterable[tuple[str, Topic, Start]]:
        """Name, source and where to begin, of the group of each role, once for each topic that it reads."""
        for role in roles:
            sources = [_SOURCES[FIRST if role.startswith(_NEXT) else role], *([_ALSO[role]] if role in _ALSO else [])]
            for source, start in sources:
                yield f"{self.settings.shop}.upwell.{role}", getattr(self.topics, source), start

    def _directories(self) -> list[Directory]:
        tables = self.settings.data_dir / "tables"
        others = sorted(tables.glob(f"{_NEXT}*"))
        paths = [*(tables / role for role in _SOURCES), *others, self.settings.data_dir / "index"]
        return [Directory(path, _size(path)) for path in paths if path.is_dir()]

    async def _group(self, name: str, source: Topic, start: Start) -> Group:
        async with _member_of_nothing(self.bootstrap, self.kafka, name) as consumer:
            begins = await follow.offsets(consumer, source.name, source.partitions, Start.BEGINNING)
            wanted = await follow.offsets(consumer, source.name, source.partitions, start)
            away = {}
            for partition, begin in begins.items():
                at = max(begin, await consumer.committed(partition) or begin)
                if at != wanted[partition]:
                    away[partition.partition] = abs(at - wanted[partition])
        return Group(name, source, start, away)

    async def _rewind(self, group: Group) -> None:
        async with _member_of_nothing(self.bootstrap, self.kafka, group.name) as consumer:
            wanted = await follow.offsets(consumer, group.source.name, group.source.partitions, group.start)
            consumer.assign(list(wanted))
            await consumer.commit(wanted)

    async def _delete(self, rows: dict[str, list[tuple[int, bytes]]], progress: Callable[[int], None]) -> None:
        publisher = Publisher({"bootstrap_servers": self.bootstrap.split(","), **self.kafka.client_options()})
        tombstones = [Output(topic, key, None, number) for topic, keys in rows.items() for number, key in keys]
        try:
            for start in range(0, len(tombstones), _TOGETHER):
                await publisher.publish(tombstones[start : start + _TOGETHER])
                progress(min(start + _TOGETHER, len(tombstones)))
        finally:
            await publisher.stop()


@contextlib.asynccontextmanager
async def _member_of_nothing(bootstrap: str, kafka: KafkaSettings, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that reads and writes the offsets of a group without joining it."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, **kafka.client_options()
    )
    try:
        await consumer.start()
        yield consumer
    except CommitFailedError as error:  # the broker takes commits from outside only while a group is empty
        raise AliveError(f"a worker of {group} has started meanwhile: stop it, and reset again") from error
    except (KafkaError, OSError) as error:
        raise BrokerError(
            f"the Kafka at {bootstrap} did not tell or take the offsets of {group} ({type(error).__name__})"
        ) from error
    finally:
        await consumer.stop()


def _remove(path: Path) -> None:
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise UpwellError(f"cannot remove {path}: {error.strerror}. The rest is done; remove it by hand") from None


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
