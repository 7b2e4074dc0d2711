"""Looks at a shop, once or again and again, over connections that stay."""

import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from index.durable import published
from streams import follow
from streams.admin import admin_client
from streams.clock import now_ms
from streams.engine.deadletters import refused
from streams.follow import Span, Spans
from streams.settings import KafkaSettings, Settings
from streams.status.groups import group, names
from streams.status.report import Group, Snapshot, Status, TopicSize
from streams.status.sizes import sizes
from streams.topics import Topics

SNAPSHOTS = ("index", "serve/index")
"""Where under UPWELL_DATA_DIR workers and `upwell serve` save their index."""


class Look:
    """A view of one shop. Make it with `Look.at`."""

    def __init__(
        self,
        settings: Settings,
        contract: Topics,
        bootstrap: str,
        client: AIOKafkaAdminClient,
        reader: AIOKafkaConsumer,
    ) -> None:
        self._settings = settings
        self._contract = contract
        self._bootstrap = bootstrap
        self._client = client
        self._reader = reader
        self._refused: Counter[str] = Counter()
        self._letters: Spans = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def at(
        cls, settings: Settings, kafka: KafkaSettings, contract: Topics, bootstrap: str
    ) -> "AsyncIterator[Look]":
        """Connect.

        Raises:
            BrokerError: the cluster cannot be reached, or goes away.
        """
        async with admin_client(bootstrap, kafka) as client, follow.reader(bootstrap, kafka) as reader:
            yield cls(settings, contract, bootstrap, client, reader)

    async def now(self) -> Status:
        """Everything as it is now. The first look reads all refused records, later ones the new."""
        partitions = {row["topic"]: len(row["partitions"]) for row in await self._client.describe_topics()}
        there = {topic.name: partitions[topic.name] for topic in self._contract if topic.name in partitions}
        spans = await self._spans(there)
        groups = [await self._group(role, name, spans) for role, name in (await self._names()).items()]
        events = {place: span for place, span in spans.items() if place.topic == self._contract.events.name}
        last = await follow.last(self._reader, events)
        await self._count({p: span for p, span in spans.items() if p.topic == self._contract.dlq.name})
        return Status(
            shop=self._settings.shop,
            bootstrap=self._bootstrap,
            time=now_ms(),
            groups=groups,
            topics=await self._topics(there, spans),
            newest=max((record.timestamp for record in last.values()), default=None),
            refused=dict(self._refused.most_common()),
            snapshots=[found for part in SNAPSHOTS if (found := snapshot(self._settings.data_dir / part))],
        )

    async def _spans(self, topics: dict[str, int]) -> Spans:
        places = [TopicPartition(name, number) for name, count in topics.items() for number in range(count)]
        # The client learns of topics that it is assigned to at once, and of others one by one, a round trip each.
        self._reader.assign(places)
        self._reader.pause(*places)
        begins = await self._reader.beginning_offsets(places)
        ends = await self._reader.end_offsets(places)
        return {place: Span(begins[place], ends[place]) for place in places}

    async def _names(self) -> dict[str, str]:
        return await names(self._client, f"{self._settings.shop}.upwell.", sources(self._contract))

    async def _group(self, role: str, name: str, spans: Spans) -> Group:
        read = sources(self._contract).get(role.partition("-")[0], ())
        return await group(self._client, self._reader, name, role, read, spans)

    async def _topics(self, there: dict[str, int], spans: Spans) -> list[TopicSize]:
        told = await sizes(self._client, list(there.items()))
        held: Counter[str] = Counter()
        for place, span in spans.items():
            held[place.topic] += span.size
        return [
            TopicSize(
                topic=topic.name,
                exists=topic.name in there,
                partitions=there.get(topic.name, 0),
                records=held[topic.name],
                bytes=None if told is None or topic.name not in there else told.get(topic.name, 0),
            )
            for topic in self._contract
        ]

    async def _count(self, letters: Spans) -> None:
        """Count refused records by reason: the new ones, or all of them where old ones have gone."""
        if any(letters[place].begin != span.begin for place, span in self._letters.items() if place in letters):
            self._letters = {}
        if not self._letters:
            self._refused.clear()
        fresh = {
            place: Span(self._letters[place].end, span.end) if place in self._letters else span
            for place, span in letters.items()
        }
        async for record in follow.between(self._reader, fresh):
            letter = refused(record)
            self._refused[letter.reason if letter else "no dead letter of Upwell's"] += 1
        self._letters = letters


def sources(topics: Topics) -> dict[str, list[str]]:
    """What each role of a worker reads."""
    return {
        "encoder": [topics.catalogue.name],
        "profiles": [topics.events.name, topics.merges.name],
        "neighbours": [topics.pairs.name],
        "head": [topics.pairs.name],
        "ranker": [topics.examples.name],
        "answers": [topics.questions.name],
    }


def snapshot(directory: Path) -> Snapshot | None:
    """The newest snapshot in a directory, None where there is none."""
    found = published(directory)
    return Snapshot(str(found[-1]), max(0.0, time.time() - found[-1].stat().st_mtime)) if found else None
