"""What every worker holds in memory of the compacted topics, read whole: index, facts, popularity, neighbours.

    shop.catalogue.v1  ──► facts          what an item is, whether it can be bought
    shop.embeddings.v1 ──► index          where it is among the others (of a model on each topic: see `shelves`)
    shop.trending.v1   ──► board          how much is done with it, summed over the event partitions
    shop.neighbours.v1 ──► neighbourhood  what is had together with it
    shop.sessions.v1   ──► sessions       what shoppers had lately
    shop.head.v1       ──► steered        where shoppers go next, seen from where they look
    shop.ranker.v1     ──► ranker         how candidates are to be ordered

`Replica` applies records and answers questions; it knows no Kafka client (`streams.replication` feeds it).
"""

import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from index.attributes import Filter, Values
from index.base import Vectors
from index.filtered import FilteredIndex
from streams import codecs, headrows, ranking_codec, sessions
from streams.core import coldstart, decay, exploration, head
from streams.core.answers.lexicon import Lexicon
from streams.core.channels import Stock
from streams.core.halflives import HalfLives
from streams.core.items import Items, Places
from streams.core.neighbourhood import Neighbourhood
from streams.core.profile import Profile
from streams.core.ranking import Ranker
from streams.core.sessions import Sessions
from streams.core.trending import HALF_LIFE_MS, Board
from streams.edge import Limits, accept_item
from streams.engine.effects import Record, Rejection
from streams.filters import Told
from streams.headrows import HeadRow
from streams.records import CatalogueItem, Scalar
from streams.shelves import MakeIndex, ReplicaIndex, Shelf, Shelves, by_topic
from streams.topics import Topics


class Immediate:
    """An index behind coroutines that never wait: for replays, notebooks and tests."""

    def __init__(self, index: FilteredIndex) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    async def upsert(self, ids: Sequence[str], vectors: Vectors) -> None:
        """See `VectorIndex.upsert`."""
        self._index.upsert(ids, vectors)

    async def delete(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.delete`."""
        self._index.delete(ids)

    async def describe(self, ids: Sequence[str], attributes: Sequence[Mapping[str, Values]]) -> None:
        """See `FilteredIndex.describe`."""
        self._index.describe(ids, attributes)

    async def search(
        self, queries: Vectors, k: int, where: Filter | None = None
    ) -> tuple[list[list[str]], list[Vectors]]:
        """See `FilteredIndex.search`."""
        return self._index.search(queries, k, where)

    async def vectors(self, ids: Sequence[str]) -> Vectors:
        """See `VectorIndex.vectors`."""
        return self._index.vectors(ids)


_NOWHERE: Places = np.zeros(0, np.int64)

MAX_SEGMENTS = 1_000
"""Segments whose popularity is held."""

ENOUGH = 10
"""Items that a segment must have dealt with, before its popularity says anything."""


class Facts(NamedTuple):
    """What serving needs to know of an item. `category` is the finest of its path."""

    title: str
    available: bool
    category: str | None
    brand: str | None
    price: float | None
    attributes: Mapping[str, Scalar]
    currency: str | None = None
    rating: float | None = None


def facts_of(item: CatalogueItem) -> Facts:
    """The facts of a catalogue item."""
    return Facts(
        item.title,
        item.available,
        item.category[-1] if item.category else None,
        item.brand,
        item.price,
        item.attributes,
        item.currency,
        item.rating,
    )


class Replica:
    """One worker's copy of the shared state, as of `as_of`."""

    def __init__(self, topics: Topics, make_index: MakeIndex, limits: Limits) -> None:
        """An empty replica. `make_index` is called with the dimension of the first vector that arrives."""
        self.facts: dict[str, Facts] = {}
        self.items = Items()
        """The places of all items, and their facts as columns."""
        self.board = Board(topics.trending.partitions, self.items)
        self.discoveries = Board(topics.trending.partitions, self.items)
        self.boards: dict[str, Board] = {}
        """Popularity within segments of shoppers, each over places of its own."""
        self._of_segments: dict[str, Places] = {}
        """Where the items of those places are among all items."""
        self._trending_partitions = topics.trending.partitions
        self.neighbourhood = Neighbourhood(self.items)
        self.sessions = Sessions(self.items)
        self.stock = Stock(self.items, self.board, self.discoveries, self.neighbourhood, self.sessions)
        self.ranker = Ranker()
        """What the shop has learnt of ranking."""
        self._heads: dict[int, HeadRow] = {}
        self.as_of: dict[str, int] = {}
        """`topic/partition` → offset of the last record applied."""
        self.lexicon: Lexicon | None = None
        """The words of the catalogue, where somebody answers questions; to be set before anything is applied."""
        self.told = Told()
        """What the indexes know of items, and rules as filters of them."""
        self.shelves = Shelves(topics, make_index, lambda item: self.told.attributes(self.facts.get(item)))
        self._pinned: Shelf | None = None
        self._limits = limits
        self._appliers: dict[str, Callable[[Sequence[Record]], Awaitable[None]]] = {
            topics.catalogue.name: self._apply_catalogue,
            **{topic.name: partial(self.shelves.apply, topic.name) for topic in topics.slots.values()},
            topics.models.name: self._apply_models,
            topics.trending.name: self._apply_trending,
            topics.neighbours.name: self._apply_neighbours,
            topics.sessions.name: self._apply_sessions,
            topics.head.name: self._apply_heads,
            topics.ranker.name: self._apply_ranker,
        }

    async def apply(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        """Apply consecutive records of one partition, in offset order."""
        await self._appliers[topic](records)
        self.as_of[f"{topic}/{partition}"] = records[-1].offset

    def pinned(self) -> "Replica":
        """This replica, with the model that serves now: no answer from it mixes two models, whatever happens."""
        view = copy.copy(self)
        view._pinned = self.shelf
        return view

    @property
    def half_lives(self) -> HalfLives:
        """How fast what shoppers did fades."""
        return self._limits.half_lives

    @property
    def shelf(self) -> Shelf:
        """The vectors that answer."""
        return self._pinned or self.shelves.serving

    @property
    def model(self) -> str:
        """Id of the encoder whose vectors answer; empty before the first one."""
        return self.shelf.model if self.shelf.index is not None else ""

    @property
    def ignored_vectors(self) -> int:
        """Vectors left out because another model made them: one index never mixes two."""
        return self.shelves.ignored

    def adopt(self, index: ReplicaIndex, model: str, as_of: Mapping[str, int]) -> None:
        """Take over an index that holds the embeddings of one topic up to `as_of`, vectors of `model`."""
        topics = {place.rpartition("/")[0] for place in as_of}
        if len(topics) == 1 and topics <= {shelf.topic for shelf in self.shelves}:
            self.shelves.adopt(topics.pop(), index, model)
            self.as_of.update(as_of)

    def disown(self) -> None:
        """Let go of the vectors and of how far they were: they are of other topics."""
        self.shelves.disown()
        for shelf in self.shelves:
            self._forget(shelf.topic)

    def to_read_again(self) -> set[str]:
        """Topics that must be read from their beginning, told once: what was read of them was let go."""
        topics, self.shelves.to_read_again = self.shelves.to_read_again, set()
        for topic in topics:
            self._forget(topic)
        return topics

    def embeddings_as_of(self) -> dict[str, int]:
        """The part of `as_of` that the index rests on."""
        return by_topic(self.as_of, self.shelf.topic)

    def rests_on(self) -> dict[str, int]:
        """`as_of` without the vectors that do not answer."""
        others = {shelf.topic for shelf in self.shelves if shelf is not self.shelf}
        return {place: offset for place, offset in self.as_of.items() if place.rpartition("/")[0] not in others}

    @property
    def searchable(self) -> int:
        """Items in the index."""
        return 0 if self.shelf.index is None else len(self.shelf.index)

    async def vectors(self, items: Sequence[str]) -> Vectors:
        """float32 (len(items), dim), unit rows; zeros for an item without a vector; dim is 0 before the first one."""
        index = self.shelf.index
        return np.zeros((len(items), 0), np.float32) if index is None else await index.vectors(items)

    def steered(self, queries: Vectors) -> Vectors:
        """Queries turned to where shoppers go next, as far as that was learnt and helps: see `core.head`.

        queries: float32 (n, dim), no row zero. Items, too, are like each other without this.
        """
        return head.steered([row.head for row in self._heads.values() if row.model == self.model], queries)

    async def nearest(self, queries: Vectors, count: int, where: Filter | None = None) -> list[list[str]]:
        """The items nearest to each query, best first: see `search`."""
        ids, _ = await self.search(queries, count, where)
        return ids

    async def search(
        self, queries: Vectors, count: int, where: Filter | None = None
    ) -> tuple[list[list[str]], list[Vectors]]:
        """The items nearest to each query, best first, and their cosines, float32 (count,).

        Args:
            queries: float32 (n, dim), not zero.
            count: how many; all when there are fewer.
            where: which items count, by what the index was told of them: see `streams.filters`.
        """
        index = self.shelf.index
        if index is None:
            return [[] for _ in queries], [np.zeros(0, np.float32) for _ in queries]
        return await index.search(queries, count, where)

    def available(self, item: str) -> bool:
        """Whether an item is in the catalogue and can be bought."""
        facts = self.facts.get(item)
        return facts is not None and facts.available

    def title(self, item: str) -> str:
        """The item's title, or its id where the catalogue has none."""
        facts = self.facts.get(item)
        return facts.title if facts else item

    async def _apply_catalogue(self, records: Sequence[Record]) -> None:
        await self._limits.formats.learn_patiently(records)
        changed: dict[str, None] = {}
        for record in records:
            accepted = accept_item(record, self._limits)
            if isinstance(accepted, Rejection):  # the encoder agent sends it to the dead-letter topic
                continue
            key, item = accepted
            changed[key] = None
            if self.lexicon is not None:
                self.lexicon.put(key, item)
            if item is None:
                self.facts.pop(key, None)
                self.items.forget(key)
            else:
                facts = self.facts[key] = facts_of(item)
                self.items.describe(
                    key, available=facts.available, category=facts.category, brand=facts.brand, price=facts.price
                )
        await self.shelves.describe(list(changed))

    async def _apply_models(self, records: Iterable[Record]) -> None:
        for record in records:
            self.shelves.obey(codecs.decode_plan(record.value))

    def _forget(self, topic: str) -> None:
        for place in by_topic(self.as_of, topic):
            del self.as_of[place]

    async def _apply_trending(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.key and record.value:
                segment, item = codecs.popularity_of(record.key)
                board = self.board if segment is None else self._board(segment)
                popularity = codecs.decode_popularity(record.value)
                if board is not None:
                    board.update(item, record.partition, popularity.log_mass)
                if segment is None:
                    self.items.met(item, popularity.first)
                    if popularity.log_found > decay.EMPTY:
                        self.discoveries.update(item, record.partition, popularity.log_found)

    def segment(self, profile: Profile) -> str:
        """The finest segment of a shopper of which enough is known to tell what is popular there; empty for none."""
        for segment in coldstart.segments(profile.attributes, self._limits.segments):
            board = self.boards.get(segment)
            if board is not None and len(board.top(ENOUGH)) == ENOUGH:
                return segment
        return ""

    def fresh(self, item: str, now: int) -> bool:
        """Whether an item is hardly known yet. `now`: event time, Unix milliseconds."""
        return self.board.total(item) < exploration.LOG_FRESH + decay.log_mass(1.0, now, HALF_LIFE_MS)

    def popular(self, segment: str) -> Places:
        """The places of what is popular within a segment that was heard of, best first: int64 (n,)."""
        board, known = self.boards[segment], self._of_segments.get(segment, _NOWHERE)
        if len(known) < len(board.items):
            new = self.items.places(board.items.ids[len(known) :])
            known = self._of_segments[segment] = np.concatenate((known, new))
        order: Places = known[board.order()]
        return order

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

    async def _apply_sessions(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.key and record.value:
                self.sessions.update(record.key, partial(sessions.decode, record.value))
            elif record.key:
                self.sessions.forget(record.key)

    async def _apply_heads(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.key == headrows.KEY and record.value:
                self._heads[record.partition] = headrows.decode(record.value)
            elif record.key == headrows.KEY:
                self._heads.pop(record.partition, None)

    async def _apply_ranker(self, records: Sequence[Record]) -> None:
        if records[-1].value:
            self.ranker = ranking_codec.decode_ranker(records[-1].value).ranker


def _partners(row: bytes) -> Mapping[str, float]:
    return codecs.decode_neighbours(row).partners
