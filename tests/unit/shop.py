"""A whole shop in memory: the real handlers over dicts instead of Kafka and RocksDB."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from encoders.hashing import HashingEncoder
from index.exact import ExactIndex
from streams.agents.encoder import EncoderHandler
from streams.agents.neighbours import NeighboursHandler
from streams.agents.profiles import ProfilesHandler
from streams.agents.ranker import NOT_AT_ALL, Learning, RankerHandler
from streams.core.policy import Policy
from streams.edge import Limits
from streams.engine.effects import Batch, Effects, Handler, Output
from streams.items import ItemEncoder
from streams.records import Recommendation
from streams.replicas import Immediate, Replica
from streams.shelves import ReplicaIndex
from streams.topics import topics
from tests.unit.records import LIMITS, FakeRecord

TOPICS = topics("shop", partitions=1)


class CountingEncoder(HashingEncoder):
    """Remembers the texts it encoded."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.texts.extend(texts)
        return super().encode(texts)


async def immediate_index(dim: int) -> ReplicaIndex:
    return Immediate(ExactIndex(dim))


def told(effects: Effects) -> list[Output]:
    """Recommendations, and that there are none any more."""
    return [output for output in effects.outputs if output.topic == TOPICS.recommendations.name]


class Shop:
    """Runs all agents, applies their effects, feeds the replica with what the changelogs would carry."""

    def __init__(self, policy: Policy | None = None, limits: Limits = LIMITS, learning: Learning | None = None) -> None:
        """With `learning`, the ranker learns of every batch."""
        self.encoder = CountingEncoder()
        self.replica = Replica(TOPICS, immediate_index, limits)
        self.tables: dict[str, dict[bytes, bytes]] = {
            "profiles": {}, "trending": {}, "erasures": {}, "neighbours": {}, "ranker": {}, "embeddings": {},
            "embeddings_b": {}, "head": {},
        }  # fmt: skip
        self.profiles = ProfilesHandler(TOPICS, self.replica, policy or Policy(), limits, learning or NOT_AT_ALL)
        self.ranker = RankerHandler(Learning().rate)
        self.examples_sent: list[FakeRecord] = []
        self.items = EncoderHandler(ItemEncoder(self.encoder), limits)
        self.pairs = NeighboursHandler(TOPICS.pairs)
        self.pairs_sent: list[FakeRecord] = []
        self.changelog_offset = 0

    def read(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.tables[table].get(key) for key in keys]

    def catalogue(self, *records: FakeRecord) -> Effects:
        effects = self._run(self.items, TOPICS.catalogue.name, records)
        asyncio.run(self.replica.apply(TOPICS.catalogue.name, 0, records))
        return effects

    def events(self, *records: FakeRecord) -> list[Recommendation]:
        effects = self._run(self.profiles, TOPICS.events.name, records)
        return [msgspec.json.decode(output.value or b"", type=Recommendation) for output in told(effects)]

    def _run(self, handler: Handler, topic: str, records: Sequence[FakeRecord]) -> Effects:
        effects = asyncio.run(handler(Batch(topic, 0, records), self.read))
        for delta in effects.deltas:
            if delta.topic == TOPICS.pairs.name:
                self.pairs_sent.append(FakeRecord(None, delta.value, len(self.pairs_sent), delta.topic))
                self._run(self.pairs, delta.topic, self.pairs_sent[-1:])
            if delta.topic == TOPICS.examples.name:
                self.examples_sent.append(FakeRecord(None, delta.value, len(self.examples_sent), delta.topic))
                self._run(self.ranker, delta.topic, self.examples_sent[-1:])
        for table, rows in effects.rows.items():
            changelog = []
            for key, value in rows:
                if value is None:
                    self.tables[table].pop(key, None)
                else:
                    self.tables[table][key] = value
                changelog.append(FakeRecord(key, value, self.changelog_offset, TOPICS.by_table(table).name))
                self.changelog_offset += 1
            if table not in ("profiles", "erasures") and changelog:
                asyncio.run(self.replica.apply(TOPICS.by_table(table).name, 0, changelog))
        sessions = [output for output in effects.outputs if output.topic == TOPICS.sessions.name]
        if sessions:
            records = [
                FakeRecord(output.key, output.value, n, TOPICS.sessions.name) for n, output in enumerate(sessions)
            ]
            asyncio.run(self.replica.apply(TOPICS.sessions.name, 0, records))
        return effects
