"""The vectors of one model, or of two while a shop changes its model, and which of them serve.

    shop.embeddings.v1   ──► shelf ─┐
    shop.embeddings-b.v1 ──► shelf ─┴─► serving      shop.models.v1 says which model is on which topic

Two models never share an index. While a plan names a `next` model, its shelf fills beside the one that serves; when it
passes the gates of `index.bluegreen`, it serves, from one recommendation to the next. Whoever answers takes `serving`
once and stays with it. When the plan is done the other shelf is cleared; when it is given up, the old one serves again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import structlog

from index.attributes import Filter, Values
from index.base import Vectors
from index.bluegreen import Gates, Side, Verdict, judge
from index.live import LiveIndex
from streams import codecs
from streams.engine.effects import Record
from streams.records import ModelPlan, ServedModel
from streams.topics import Topics

GRACE_S = 30.0
"""How long answers that began with an index may still ask it after another one serves."""

_log = structlog.get_logger(__name__)


class ReplicaIndex(Protocol):
    """What a replica needs of an index: `index.live.LiveIndex`, or any `VectorIndex` in an `Immediate`."""

    def __len__(self) -> int: ...
    async def upsert(self, ids: Sequence[str], vectors: Vectors) -> None: ...
    async def delete(self, ids: Sequence[str]) -> None: ...
    async def describe(self, ids: Sequence[str], attributes: Sequence[Mapping[str, Values]]) -> None: ...
    async def search(
        self, queries: Vectors, k: int, where: Filter | None = None
    ) -> tuple[list[list[str]], list[Vectors]]: ...
    async def vectors(self, ids: Sequence[str]) -> Vectors: ...


MakeIndex = Callable[[int], Awaitable[ReplicaIndex]]
"""Makes an empty index for vectors of a dimension."""

AttributesOf = Callable[[str], Mapping[str, Values]]
"""What an index is to know of an item beside its vector."""


@dataclass(eq=False, slots=True)
class Shelf:
    """A model's vectors from one topic. `index` is None before the first one, `model` empty where none is due."""

    topic: str
    model: str = ""
    index: ReplicaIndex | None = None


class Shelves:
    """The shelves of a replica.

    Args:
        topics: of the shop.
        make_index: called with the dimension of the first vector of a model.
        attributes_of: asked when an item gets a vector, and when it is to be described anew.
        gates: what a new model must reach.
    """

    def __init__(
        self,
        topics: Topics,
        make_index: MakeIndex,
        attributes_of: AttributesOf = lambda item: {},
        gates: Gates | None = None,
    ) -> None:
        self.plan: ModelPlan | None = None
        self.ignored = 0
        """Vectors left out because another model made them than their topic is for."""
        self.to_read_again: set[str] = set()
        """Topics whose shelf was cleared for another model: whoever feeds the replica starts them anew."""
        self._topics = topics
        self._shelves = {topic.name: Shelf(topic.name) for topic in topics.slots.values()}
        self.serving = self._shelves[topics.embeddings.name]
        self._make_index = make_index
        self._attributes_of = attributes_of
        self._gates = gates or Gates()
        self._before: Shelf | None = None

    def __iter__(self) -> Iterator[Shelf]:
        return iter(self._shelves.values())

    def adopt(self, topic: str, index: ReplicaIndex, model: str) -> None:
        """Take over an index that holds vectors of `model` from `topic`; it serves."""
        self.serving = self._shelves[topic] = Shelf(topic, model, index)

    def disown(self) -> None:
        """Let go of all vectors: they are of other topics."""
        for topic, shelf in self._shelves.items():
            self._shelves[topic] = Shelf(topic, self._due(topic))
            if shelf is self.serving:
                self.serving = self._shelves[topic]

    def obey(self, plan: ModelPlan | None) -> None:
        """Take note of a plan: clear the shelves whose model is not due any more, give up or finish a switch.

        Without one, as after a reset, all are cleared, and the first topic serves with whatever model is on it.
        """
        before, self.plan = self.plan, plan
        if plan is None:
            if before is not None:
                self._begin_anew()
            return
        home = self.of(plan.serving)
        if self.serving.index is None:
            self.serving = home
        if plan.next is None and self._before is home:
            _log.warning("back to the model before", model=home.model)
            self.serving = home
        if plan.next is None and self.serving is home:
            self._before = None
        for topic, shelf in list(self._shelves.items()):
            due = self._due(topic)
            if shelf.model == due or (not due and shelf is self.serving):  # it serves until its successor is ready
                continue
            self._shelves[topic] = Shelf(topic, due)
            if self.serving is shelf and shelf.index is None:
                self.serving = self._shelves[topic]
            if due:
                self.to_read_again.add(topic)
            if shelf.index is not None and shelf is not self.serving:
                _close_later(shelf.index)

    async def apply(self, topic: str, records: Sequence[Record]) -> None:
        """Apply consecutive records of one partition of a topic of embeddings."""
        shelf = self._shelves[topic]
        newest = {record.key.decode(): record.value for record in records if record.key}
        vectors = {}
        for item, value in newest.items():
            if value is None:
                continue
            embedding = codecs.decode_embedding(value)
            if not shelf.model and self.plan is None and topic == self._topics.embeddings.name:
                shelf.model = embedding.model
            if embedding.model == shelf.model:
                vectors[item] = embedding.vector
            elif shelf.model:
                self.ignored += 1
        if vectors and shelf.index is None:
            shelf.index = await self._make_index(len(next(iter(vectors.values()))))
        if shelf.index is not None:
            await shelf.index.delete([item for item, value in newest.items() if value is None])
            if vectors:
                await shelf.index.upsert(list(vectors), np.stack(list(vectors.values())).astype(np.float32))
                await shelf.index.describe(list(vectors), [self._attributes_of(item) for item in vectors])

    async def describe(self, items: Sequence[str]) -> None:
        """Tell every index what is known of items now."""
        for shelf in list(self):
            if shelf.index is not None:
                await shelf.index.describe(items, [self._attributes_of(item) for item in items])

    async def consider(self) -> Verdict | None:
        """Let the model that is due serve if it passes the gates, or the one before it again if it fails them now.

        Returns:
            What was measured; None where there is nothing to decide.
        """
        if self.plan is None:
            return None
        plan, before = self.plan, self.serving
        due = self.of(plan.next or plan.serving)
        if due is before:
            return await self._checked()
        verdict = await self.judge(before, due)
        if verdict is not None and verdict.passed and self.plan is plan and self.serving is before:
            self.serving, self._before = due, before
            _log.info("another model serves", model=due.model, coverage=verdict.coverage, overlap=verdict.overlap)
            self.obey(plan)
        return verdict

    async def judge(self, old: Shelf, new: Shelf) -> Verdict | None:
        """What the gates say of one shelf beside another; None while one of them has no index."""
        if not (isinstance(old.index, LiveIndex) and isinstance(new.index, LiveIndex)):
            return None
        return await judge(Side(new.model, new.index), Side(old.model, old.index), self._gates)

    def of(self, served: ServedModel) -> Shelf:
        """The shelf of a model."""
        return self._shelves[self._topics.slots[served.slot].name]

    def _begin_anew(self) -> None:
        for topic, shelf in self._shelves.items():
            self._shelves[topic] = Shelf(topic)
            if shelf.index is not None:
                _close_later(shelf.index)
        self.serving = self._shelves[self._topics.embeddings.name]
        self._before = None
        self.to_read_again |= self._shelves.keys()

    async def _checked(self) -> Verdict | None:
        if (before := self._before) is None:
            return None
        verdict = await self.judge(before, self.serving)
        if verdict is not None and not verdict.passed and self._before is before:
            _log.warning("back to the model before: the new one fails its gates now", model=before.model)
            self.serving, self._before = before, None
        return verdict

    def _due(self, topic: str) -> str:
        """Id of the model whose vectors a shelf is for; empty where none is."""
        if self.plan is None:
            return ""
        due = [served for served in (self.plan.serving, self.plan.next) if served is not None]
        return next((served.id for served in due if self._topics.slots[served.slot].name == topic), "")


def _close_later(index: ReplicaIndex) -> None:
    if isinstance(index, LiveIndex):
        loop = asyncio.get_running_loop()
        loop.call_later(GRACE_S, lambda: loop.create_task(index.close()))


def by_topic(as_of: Mapping[str, int], topic: str) -> dict[str, int]:
    """The part of `topic/partition` → offset that is of one topic."""
    return {place: offset for place, offset in as_of.items() if place.rpartition("/")[0] == topic}
