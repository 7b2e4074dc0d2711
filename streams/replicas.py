"""What every worker holds in memory of the compacted topics, read whole: index, facts, popularity, neighbours.

    shop.catalogue.v1  ──► facts          what an item is, whether it can be bought
    shop.embeddings.v1 ──► index          where it is among the others
    shop.trending.v1   ──► board          how much is done with it, summed over the event partitions
    shop.neighbours.v1 ──► neighbourhood  what is had together with it

`Replica` applies records and answers questions; it knows no Kafka client (`streams.replication` feeds it).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from index.base import VectorIndex, Vectors
from streams import codecs
from streams.core.neighbourhood import Neighbourhood
from streams.core.trending import Board
from streams.edge import Limits, accept_item
from streams.engine.effects import Record, Rejection
from streams.records import CatalogueItem
from streams.topics import Topics


class ReplicaIndex(Protocol):
    """What a replica needs of an index: `index.live.LiveIndex`, or any `VectorIndex` in an `Immediate`."""

    def __len__(self) -> int: ...
    async def upsert(self, ids: Sequence[str], vectors: Vectors) -> None: ...
    async def delete(self, ids: Sequence[str]) -> None: ...
    async def search(self, queries: Vectors, k: int) -> tuple[list[list[str]], list[Vectors]]: ...
    async def vectors(self, ids: Sequence[str]) -> Vectors: ...


class Immediate:
    """A `VectorIndex` behind coroutines that never wait: for replays, notebooks and tests."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    async def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """See `VectorIndex.upsert`."""
        self._index.upsert(ids, vectors)

    async def delete(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.delete`."""
        self._index.delete(ids)

    async def search(self, queries: Vectors, k: int) -> tuple[list[list[str]], list[Vectors]]:
        """See `VectorIndex.search`."""
        return self._index.search(queries, k)

    async def vectors(self, ids: Sequence[str]) -> Vectors:
        """See `VectorIndex.vectors`."""
        return self._index.vectors(ids)


MakeIndex = Callable[[int], Awaitable[ReplicaIndex]]
"""Makes an empty index for vectors of a dimension."""


MAX_SEGMENTS = 1_000
"""Segments whose popularity is held."""


class Facts(NamedTuple):
    """What serving needs to know of an item. `category` is the finest of its path."""

    title: str
    available: bool
    category: str | None
    brand: str | None
    price: float | None


def facts_of(item: CatalogueItem) -> Facts:
    """The facts of a catalogue item."""
    return Facts(item.title, item.available, item.category[-1] if item.category else None, item.brand, item.price)


class Replica:
    """One worker's copy of the shared state, as of `as_of`."""

    def __init__(self, topics: Topics, make_index: MakeIndex, limits: Limits) -> None:
        """An empty replica. `make_index` is called with the dimension of the first vector that arrives."""
        self.facts: dict[str, Facts] = {}
        self.board = Board(topics.trending.partitions)
        self.boards: dict[str, Board] = {}
        """Popularity within segments of shoppers."""
        self._trending_partitions = topics.trending.partitions
        self.neighbourhood = Neighbourhood()
        self.as_of: dict[str, int] = {}
        """`topic/partition` → offset of the last record applied."""
        self.model = ""
        """Id of the encoder whose vectors are in the index; empty before the first one."""
        self.ignored_vectors = 0
        """Vectors left out because another model made them: one index never mixes two."""
        self._embeddings = topics.embeddings.name
        self._index: ReplicaIndex | None = None
        self._make_index = make_index
        self._limits = limits
        self._appliers = {
            topics.catalogue.name: self._apply_catalogue,
            topics.embeddings.name: self._apply_embeddings,
            topics.trending.name: self._apply_trending,
            topics.neighbours.name: self._apply_neighbours,
        }

    async def apply(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Apply consecutive records of one partition, in offset order."""
        await self._appliers[topic](records)
        self.as_of[f"{topic}/{partition}"] = records[-1].offset

    def adopt(self, index: ReplicaIndex, model: str, as_of: Mapping[str, int]) -> None:
        """Take over an index that holds the embeddings up to `as_of`, vectors of `model`."""
        self._index, self.model = index, model
        self.as_of.update(as_of)

    def disown(self) -> None:
        """Let go of the index and of how far it was: it is of another topic."""
        self._index, self.model = None, ""
        for partition in self.embeddings_as_of():
            del self.as_of[partition]

    def embeddings_as_of(self) -> dict[str, int]:
        """The part of `as_of` that the index rests on."""
        return {p: offset for p, offset in self.as_of.items() if p.rpartition("/")[0] == self._embeddings}

    @property
    def searchable(self) -> int:
        """Items in the index."""
        return 0 if self._index is None else len(self._index)

    async def vectors(self, items: Sequence[str]) -> Vectors:
        """float32 (len(items), dim), unit rows; zeros for an item without a vector; dim is 0 before the first one."""
        return np.zeros((len(items), 0), np.float32) if self._index is None else await self._index.vectors(items)

    async def nearest(self, queries: Vectors, count: int) -> list[list[str]]:
        """The items nearest to each query, best first. queries: float32 (n, dim), not zero."""
        if self._index is None:
            return [[] for _ in queries]
        ids, _ = await self._index.search(queries, count)
        return ids

    def available(self, item: str) -> bool:
        """Whether an item is in the catalogue and can be bought."""
        facts = self.facts.get(item)
        return facts is not None and facts.available

    def title(self, item: str) -> str:
        """The item's title, or its id where the catalogue has none."""
        facts = self.facts.get(item)
        return facts.title if facts else item

    async def _apply_catalogue(self, records: Iterable[Record]) -> None:
        for record in records:
            accepted = accept_item(record, self._limits)
            if isinstance(accepted, Rejection):  # the encoder agent sends it to the dead-letter topic
                continue
            key, item = accepted
            if item is None:
                self.facts.pop(key, None)
            else:
                self.facts[key] = facts_of(item)

    async def _apply_embeddings(self, records: Iterable[Record]) -> None:
        newest = {record.key.decode(): record.value for record in records if record.key}
        deleted = [item for item, value in newest.items() if value is None]
        vectors = {}
        for item, value in newest.items():
            if value is None:
                continue
            embedding = codecs.decode_embedding(value)
            self.model = self.model or embedding.model
            if embedding.model == self.model:
                vectors[item] = embedding.vector
            else:
                self.ignored_vectors += 1
        if vectors and self._index is None:
            self._index = await self._make_index(len(next(iter(vectors.values()))))
        if self._index is not None:
            await self._index.delete(deleted)
            if vectors:
                await self._index.upsert(list(vectors), np.stack(list(vectors.values())).astype(np.float32))

    async def _apply_trending(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.key and record.value:
                segment, item = codecs.popularity_of(record.key)
                board = self.board if segment is None else self._board(segment)
                if board is not None:
                    board.update(item, record.partition, codecs.decode_popularity(record.value).log_mass)

    def _board(self, segment: str) -> Board | None:
        """The popularity of a segment; None for one too many: attributes have any value that a producer sends."""
        board = self.boards.get(segment)
        if board is None and len(self.boards) < MAX_SEGMENTS:
            board = self.boards[segment] = Board(self._trending_partitions)
        return board

    async def _apply_neighbours(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.key and record.value:
                mass = codecs.neighbours_mass(record.value)
                self.neighbourhood.update(record.key.decode(), mass, partial(_partners, record.value))


def _partners(row: bytes) -> Mapping[str, float]:
    return codecs.decode_neighbours(row).partners
