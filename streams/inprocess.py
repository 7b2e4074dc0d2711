"""All roles of a shop in one process, without Kafka: the workers' own handlers, and their effects passed on.

    catalogue ──► encoder  ──► embeddings ─────────► replica
    events    ──► profiles ──► trending ───────────►    │
                     │ ├─► pairs ────► neighbours ─►    │
                     │ └─► examples ─► ranker ─────►    │
                     └◄─────────────────────────────────┘ ──► recommendations

Replay and evaluation run on this. Pairs are added up before the events that they came from are done with, and what
moves from anonymous shoppers to users right after, so the state after a batch is a function of the batches alone.
"""

import math
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from index.exact import ExactIndex
from streams.agents.encoder import EncoderHandler
from streams.agents.head import HeadHandler
from streams.agents.neighbours import NeighboursHandler
from streams.agents.profiles import ProfilesHandler
from streams.agents.ranker import Learning, RankerHandler
from streams.core.policy import Policy
from streams.edge import Limits
from streams.engine.commit import Committer
from streams.engine.effects import Batch, Handler, Output, Record, Row
from streams.engine.publisher import TopicPartition
from streams.engine.stats import Stats
from streams.engine.store import MemoryPartition
from streams.items import ItemEncoder
from streams.records import ModelPlan, ServedModel
from streams.replicas import Immediate, Replica
from streams.shelves import ReplicaIndex
from streams.topics import Topic, Topics


class MemoryTable:
    """A table in memory: what a committer needs, and all of its rows."""

    def __init__(self, topic: Topic) -> None:
        self.changelog = topic.name
        self._partitions: defaultdict[int, MemoryPartition] = defaultdict(MemoryPartition)

    def get(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `streams.engine.commit.Table`."""
        return self._partitions[partition].get(keys)

    def write(self, partition: int, rows: Sequence[Row], changelog_offset: int) -> None:
        """See `streams.engine.commit.Table`."""
        self._partitions[partition].write(rows, changelog_offset)

    def rows(self) -> dict[tuple[int, bytes], bytes]:
        """Partition and key → row."""
        return {(number, key): row for number, part in self._partitions.items() for key, row in part.items()}


@dataclass(frozen=True, slots=True)
class _Published:
    """What would be on a topic, as a record."""

    key: bytes | None
    value: bytes | None
    topic: str
    partition: int
    offset: int
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class InProcess:
    """A shop's roles, tables and replica.

    The index is the exact one: what is looked at is what a policy does, not what a graph misses.

    Args:
        contract: the topics; recommendations are addressed to `contract.recommendations`.
        policy: how to recommend.
        limits: what the edge lets through.
        encoder: encodes the catalogue; None where vectors come with a topic of embeddings.
        serving: the model whose vectors come with a topic; None for whichever is on the first of them.
        teaches: teach the head with the pairs; else it is what the head's topic says.
        role: whose statistics these are.
        learning: how the ranker learns; None: as workers do that are told nothing.
    """

    def __init__(  # noqa: PLR0913 - a shop has many parts
        self,
        contract: Topics,
        policy: Policy,
        limits: Limits,
        encoder: ItemEncoder | None = None,
        role: str = "replay",
        serving: ServedModel | None = None,
        *,
        teaches: bool = False,
        learning: Learning | None = None,
    ) -> None:
        self.replica = Replica(contract, _exact, limits)
        if serving is not None:
            self.replica.shelves.obey(ModelPlan(serving))
        self.stats = Stats(role)
        self.tables = {str(topic.table): MemoryTable(topic) for topic in contract if topic.table}
        self._contract = contract
        # Requests to erase anonymous shoppers are in the log already, wherever it is from.
        self._unread = {contract.profiles.name, contract.erasures.name, contract.dlq.name, contract.events.name}
        self._said: list[Output] = []
        self._ends: Counter[TopicPartition] = Counter()
        self._moved: deque[Batch] = deque()
        # Batches are cut by whoever applies them: a large one does not say that anybody is behind.
        learning = (learning or Learning())._replace(a_batch=math.inf)
        speaking = ProfilesHandler(contract, self.replica, policy, limits, learning)
        self._speaking = self._committer(speaking, speaks=True)
        silent = ProfilesHandler(contract, self.replica, policy, limits, learning, speaks=False)
        self._silent = self._committer(silent)
        self._adding = self._committer(NeighboursHandler(contract.pairs))
        self._teaching = self._committer(HeadHandler(contract.pairs, self.replica)) if teaches else None
        self._learning = self._committer(RankerHandler(learning.rate))
        self._encoding = encoder and self._committer(EncoderHandler(encoder, limits))

    async def apply(
        self, topic: str, partition: int, records: Sequence[Record], *, speaks: bool = False
    ) -> list[Output]:
        """Apply consecutive records of a partition: of the events, or of what a worker's replica reads.

        Returns:
            The recommendations that are due after a batch of events, if it `speaks`.
        """
        batch = Batch(topic, partition, records)
        if topic == self._contract.events.name:
            profiles = self._speaking if speaks else self._silent
            await _commit(profiles, batch)
            while self._moved:
                await _commit(profiles, self._moved.popleft())
        else:
            if topic == self._contract.catalogue.name and self._encoding:
                await _commit(self._encoding, batch)
            await self.replica.apply(topic, partition, records)
        said, self._said = self._said, []
        return said

    def _committer(self, handler: Handler, *, speaks: bool = False) -> Committer:
        publish = partial(self._publish, speaks=speaks)
        return Committer(handler, self.tables, self._contract.dlq.name, publish, self.stats)

    async def _publish(self, records: Sequence[Output], *, speaks: bool) -> dict[TopicPartition, int]:
        """What would go to Kafka: to whoever reads it there."""
        read: dict[TopicPartition, list[_Published]] = {}
        for record in records:
            where = record.topic, record.partition or 0
            if record.topic == self._contract.recommendations.name:
                if speaks:
                    self._said.append(record)
            elif record.topic not in self._unread:
                read.setdefault(where, []).append(
                    _Published(record.key, record.value, *where, self._ends[where], 0, record.headers)
                )
                self._ends[where] += 1
        for (topic, partition), published in read.items():
            if topic == self._contract.pairs.name:
                await _commit(self._adding, Batch(topic, partition, published))
                if self._teaching:
                    await _commit(self._teaching, Batch(topic, partition, published))
            elif topic == self._contract.merges.name:
                self._moved.append(Batch(topic, partition, published))  # it takes its turn behind the batch at hand
            elif topic == self._contract.examples.name:
                await _commit(self._learning, Batch(topic, partition, published))
            else:
                await self.replica.apply(topic, partition, published)
                # It was made here: no offset of the topic says what it rests on.
                del self.replica.as_of[f"{topic}/{partition}"]
        return {(record.topic, record.partition or 0): 0 for record in records}


async def _commit(committer: Committer, batch: Batch) -> None:
    await committer.commit(batch, lambda: True)


async def _exact(dim: int) -> ReplicaIndex:
    return Immediate(ExactIndex(dim))
